"""A change behind HTTP is made once, whoever dies when; nothing is said of it that is not known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio
from changes_kit import PACKED, change, count, done, read_back, status_of, statuses
from dialogue_kit import DEPLOYMENT, Talk, node
from shop_service import ShopService, running
from twilio_kit import eventually

from voicebot.core.store import follow_ups
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.http import HttpConnector
from voicebot.dialogue.orchestrator import Orchestrator

NUMBER = PACKED[0]
REFUNDS = f"order_number = '{NUMBER}'"
UNKNOWN = "I'm not sure that went through. A colleague will check it"


@pytest.fixture
def service(shop_database: Database) -> Iterator[ShopService]:
    with running(shop_database.url) as started:
        yield started


@pytest_asyncio.fixture
async def client(service: ShopService) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client(timeout=20.0) as made:
        yield made


@pytest.fixture
def connector(client: httpx.AsyncClient) -> HttpConnector:
    return HttpConnector(client, DEPLOYMENT.queries)


@pytest.fixture
def asks_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of a change is asked until a service that starts on a busy machine answers."""
    monkeypatch.setattr("voicebot.dialogue.doing.RECALLS_S", (0.0, *[0.5] * 60))


@pytest_asyncio.fixture
async def talk(shop_database: Database, keys: KeyRing, connector: HttpConnector) -> Talk:
    """A cancellation behind HTTP, read back and heard."""
    return await read_back(shop_database, keys, connector=connector)


@pytest_asyncio.fixture
async def elsewhere(
    shop_database: Database, keys: KeyRing, service: ShopService
) -> AsyncIterator[Callable[[], Orchestrator]]:
    """Makes other nodes."""
    async with AsyncExitStack() as stack:

        def another() -> Orchestrator:
            client = service.client(timeout=20.0)
            stack.push_async_callback(client.aclose)
            made = node(shop_database, keys, connector=HttpConnector(client, DEPLOYMENT.queries))
            stack.push_async_callback(made.close)
            return made

        yield another


async def abandoned(database: Database) -> None:
    """Nobody is at work on any act: the time of its claim is over."""
    await change(database, "UPDATE acts SET claimed_until = clock_timestamp() - interval '1 second'")


async def once(database: Database) -> bool:
    return (await status_of(database, NUMBER), await count(database, "shop.refunds", REFUNDS)) == (
        "cancelled",
        1,
    )


async def test_it_is_done_there_and_told_from_the_answer(talk: Talk) -> None:
    """Intended with the turn, done under its key, settled with audit, event and words."""
    words = await talk.turn("yes")
    assert words.startswith("Your order is cancelled, and one thousand two hundred")
    assert await once(talk.database)
    (act,) = await done(talk)
    assert (act.remote, act.status) == (True, "done")
    assert await statuses(talk) == ["done"]
    events = await talk.events()
    assert [one for one in events if one in {"act.intended", "act.done", "turn.acted"}] == [
        "act.intended",
        "act.done",
        "turn.acted",
    ]
    assert {"act.intended", "act.done"} <= set(await talk.audited())
    assert (await talk.state()).acting == ()
    turn = (await talk.turns())[-1]
    assert "Your order is cancelled" in turn["spoken"]


@pytest.mark.usefixtures("asks_long")
@pytest.mark.parametrize("fault", [{"drop": True}, {"polite": True}, {"after_s": 1.4}])
async def test_an_answer_that_does_not_come_is_read_by_the_key(
    talk: Talk, service: ShopService, client: httpx.AsyncClient, fault: dict[str, Any]
) -> None:
    """It was done; asked by the key, the service says so; done once."""
    service.breaks(**fault)
    plan = await talk.plan("yes")
    if "after_s" in fault:
        client.timeout = httpx.Timeout(1.0)
    assert "is cancelled" in await talk.words(await talk.commit(plan))
    assert await once(talk.database)


@pytest.mark.usefixtures("asks_long")
async def test_a_service_killed_between_doing_and_answering_is_asked_when_it_is_back(
    talk: Talk, service: ShopService
) -> None:
    """``kill -9`` of the service after its commit: nothing is said until the key tells."""
    service.breaks(die=True)
    plan = await talk.plan("yes")
    committing = asyncio.ensure_future(talk.commit(plan))
    await asyncio.to_thread(service.wait_dead)
    assert await once(talk.database), "it had been done"
    await asyncio.to_thread(service.restart)
    assert "is cancelled" in await talk.words(await committing)
    assert await once(talk.database)


async def test_what_cannot_be_learned_is_said_honestly_and_looked_at(
    talk: Talk, service: ShopService, shop_database: Database, elsewhere: Callable[[], Orchestrator]
) -> None:
    """The service stays away: a person with a time; when it is back, any node learns it and it is told."""
    service.breaks(die=True)
    words = await talk.turn("yes")
    assert words.startswith(UNKNOWN)
    assert "is cancelled" not in words
    assert await statuses(talk) == ["unknown"]
    async with shop_database.transaction() as tx:
        (promise,) = await follow_ups.list(tx, conversation_id=talk.id)
    assert (promise["kind"], promise["owner"], promise["status"]) == ("request", "service team", "open")
    await asyncio.to_thread(service.restart)
    await abandoned(shop_database)
    other = elsewhere()
    assert await other.recovery.sweep() == 1
    assert await statuses(talk) == ["done"]
    assert await once(shop_database)
    words = await talk.turn("when are you open on sunday")
    assert words.startswith("About what I was doing for you: Your order is cancelled")


class Gone(Exception):
    """The node died here."""


async def dead(orchestrator: Orchestrator, talk: Talk, *, before: bool) -> None:
    """The node takes the yes, and dies before or after the change was made elsewhere."""
    committing = orchestrator._committing  # where a node dies is inside of it
    carry_out = committing.carry_out

    async def dies(plan: Any) -> Any:
        if not before:
            await carry_out(plan)
        raise Gone

    committing.carry_out = dies  # type: ignore[method-assign]
    with pytest.raises(Gone):
        await talk.commit(await talk.plan("yes"))


@pytest.mark.parametrize("before", [True, False])
async def test_a_node_that_dies_with_an_act_in_hand_leaves_it_to_another(
    talk: Talk, shop_database: Database, elsewhere: Callable[[], Orchestrator], before: bool
) -> None:
    """Before it was sent, or after it was done: the act stands as intended, and is done once."""
    await dead(talk.orchestrator, talk, before=before)
    (act,) = await done(talk)
    assert act.status == "intended"
    others = [elsewhere() for _ in range(3)]
    assert await others[0].recovery.sweep() == 0, "its time is not over"
    await abandoned(shop_database)
    assert sum(await asyncio.gather(*(other.recovery.sweep() for other in others))) == 1
    assert await once(shop_database)
    assert await statuses(talk) == ["done"]
    assert (await talk.events()).count("act.done") == 1
    assert (await talk.audited()).count("act.done") == 1
    talk.orchestrator = others[0]
    words = await talk.turn("when are you open on sunday")
    assert words.startswith("About what I was doing for you: Your order is cancelled")


async def test_the_same_plan_again_after_a_death_goes_on_with_it(
    talk: Talk, shop_database: Database, elsewhere: Callable[[], Orchestrator]
) -> None:
    """Committed again by another node: same key, one change, words from the outcome."""
    plan = await talk.plan("yes")
    committing = talk.orchestrator._committing
    carry_out = committing.carry_out

    async def dies(plan: Any) -> Any:
        await carry_out(plan)
        raise Gone

    committing.carry_out = dies  # type: ignore[method-assign]
    with pytest.raises(Gone):
        await talk.commit(plan)
    other = elsewhere()
    words = await talk.words(await other.commit(plan))
    assert "is cancelled" in words
    assert await once(shop_database)
    assert len(await done(talk)) == 1


@pytest.mark.parametrize("fault", [{"lie": True}, {"claim": True}])
async def test_a_service_that_lies_is_not_believed(
    talk: Talk, service: ShopService, shop_database: Database, fault: dict[str, Any]
) -> None:
    """Another amount than was agreed to, or nothing done at all: a person looks, nothing is claimed."""
    service.breaks(**fault)
    words = await talk.turn("yes")
    assert "is cancelled" not in words
    assert "A colleague will check it" in words
    async with shop_database.transaction() as tx:
        assert len(await follow_ups.list(tx, conversation_id=talk.id)) == 1


async def test_a_refusal_there_is_told_as_one(talk: Talk, shop_database: Database) -> None:
    """The order left while the caller was asked: the service says no, and nothing was done."""
    plan = await talk.plan("yes")
    await change(shop_database, "UPDATE shop.orders SET status = 'shipped' WHERE number = %s", NUMBER)
    words = await talk.words(await talk.commit(plan))
    assert "has left our warehouse" in words
    assert await statuses(talk) == ["refused"]


async def test_a_caller_who_hangs_up_while_it_is_being_done_takes_nothing_back(
    talk: Talk, service: ShopService, shop_database: Database
) -> None:
    """The commit is waited for when the node ends."""
    service.breaks(before_s=0.5)
    waiting = asyncio.ensure_future(talk.orchestrator.commit(await talk.plan("yes")))

    async def intended() -> bool:
        return bool(await done(talk))

    await eventually(intended)
    await asyncio.sleep(0.2)  # it is on its way
    waiting.cancel()
    await talk.close()
    assert await once(shop_database)
    assert await statuses(talk) == ["done"]
