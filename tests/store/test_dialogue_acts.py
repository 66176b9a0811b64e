"""An act happens with its turn or not at all, once; what is said of it comes from what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from dialogue_kit import Talk, node, with_policy

from voicebot.core.conversation import Action, Channel, Keys, Utterance
from voicebot.core.store import acts, follow_ups, vault
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.local import LOCAL_ACTS
from voicebot.dialogue.flow.draft import ActOutcome
from voicebot.dialogue.orchestrator import StalePlan
from voicebot.dialogue.plan import Plan
from voicebot.dialogue.speculation import Verdict

NOON_FRIDAY = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)  # noon in Portland
UNKNOWN = "how long is the warranty"
TABLES = ("turns", "events", "outbox", "audit", "acts", "follow_ups", "knowledge_gaps", "handoffs")


@pytest_asyncio.fixture
async def database(shop_database: Database) -> Database:
    """The shop without a word about warranties."""
    async with shop_database.transaction() as tx:
        await tx.execute(
            "DELETE FROM chunks WHERE article_id IN (SELECT id FROM articles WHERE 'warranty' = ANY(intents))"
        )
    return shop_database


async def begin(database: Database, keys: KeyRing, **more: Any) -> Talk:
    return await Talk.begin(database, keys, now=lambda: NOON_FRIDAY, **more)


async def offered(talk: Talk) -> str:
    """Up to the offer of a call back."""
    words = await talk.turn(UNKNOWN)
    while "Shall I connect you" not in words:
        words = await talk.turn("no")
    return await talk.turn("no thank you")


async def accepted(database: Database, keys: KeyRing, **more: Any) -> tuple[Talk, Plan]:
    """A plan that acts, not committed yet."""
    talk = await begin(database, keys, **more)
    await offered(talk)
    return talk, await talk.plan("yes please")


async def rows(database: Database) -> dict[str, int]:
    counts: dict[str, int] = {}
    async with database.transaction() as tx:
        for table in TABLES:
            row = await (await tx.execute(f"SELECT count(*) AS n FROM {table}".encode())).fetchone()  # noqa: S608
            assert row is not None
            counts[table] = row["n"]
    return counts


async def promises(talk: Talk) -> list[dict[str, Any]]:
    async with talk.database.transaction() as tx:
        found = await follow_ups.list(tx, conversation_id=talk.id)
        return [await follow_ups.get(tx, talk.keys, row["id"]) for row in found]


async def test_no_answer_no_person_so_a_call_back_is_offered_agreed_noted_and_then_said(
    database: Database, keys: KeyRing
) -> None:
    """Honest, a person first, then a time; after the yes it stands with owner, due time and number."""
    talk = await begin(database, keys)
    words = await offered(talk)
    assert "call you back by Monday at noon" in words
    assert talk.last is not None
    assert (talk.last.decision.action, talk.last.decision.expects.kind) == (Action.PROPOSE, "yes_no")
    assert await promises(talk) == []
    words = await talk.turn("yes please")
    assert words.startswith("That's noted. A colleague will call you back by Monday at noon.")
    assert talk.last.decision.action is Action.ACT
    (promise,) = await promises(talk)
    assert (promise["kind"], promise["intent"], promise["status"]) == ("callback", "warranty", "open")
    assert promise["owner"]
    assert promise["due_at"] == datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
    assert promise["details"]["contact"] == "+12025550100"
    assert promise["details"]["question"] == UNKNOWN
    assert {"act.done", "follow_up.promised"} <= set(await talk.events())
    assert "act.done" in await talk.audited()
    act = talk.last.decision.tools[-1]
    assert (act.tool, (act.result or {}).get("outcome")) == ("follow_up", "promised")


async def test_no_is_no(database: Database, keys: KeyRing) -> None:
    """Nothing is noted, and the call goes on."""
    talk = await begin(database, keys)
    await offered(talk)
    assert "leave that" in await talk.turn("no")
    assert await promises(talk) == []


async def test_an_acting_plan_has_no_words_before_its_act(database: Database, keys: KeyRing) -> None:
    """Neither the plan nor a stream: generation starts after the outcome."""
    _, plan = await accepted(database, keys)
    assert plan.said is None
    assert plan.stream is None
    assert [(call.tool, call.result) for call in plan.decision.tools] == []


@pytest.mark.parametrize("status", ["failed", "refused"])
async def test_what_did_not_happen_is_not_said_to_have_happened(
    database: Database, keys: KeyRing, status: Any
) -> None:
    """The act fails in the commit: honest words, a person, and the failure on record."""

    async def fails(
        tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
    ) -> ActOutcome:
        return ActOutcome(status, {"outcome": "no_room"})

    talk, plan = await accepted(database, keys, acts={**LOCAL_ACTS, "follow_up": fails})
    committed = await talk.commit(plan)
    words = await talk.words(committed)
    assert "couldn't note that down" in words
    assert "noted." not in words
    assert committed.after == "hand_over"
    assert f"act.{status}" in await talk.audited()
    async with talk.database.transaction() as tx:
        (act,) = await acts.of(tx, keys, talk.id)
    assert (act.status, act.outcome) == (status, {"outcome": "no_room"})


async def test_a_yes_before_the_time_was_heard_is_asked_again_in_short(
    database: Database, keys: KeyRing
) -> None:
    """Consent counts once the last essential of the read-back was heard; the near miss beside it acts."""
    talk = await begin(database, keys)
    await talk.turn(UNKNOWN)
    while "connect you" not in talk.said[-1]:
        await talk.turn("no")
    await talk.turn("no thank you", heard=7)
    words = await talk.turn("yes")
    assert words == "Just to be sure: a call back by Monday at noon. Is that right?"
    assert await promises(talk) == []
    await talk.turn("yes")
    assert len(await promises(talk)) == 1


async def test_a_promise_is_not_made_twice(database: Database, keys: KeyRing) -> None:
    """The same wish again: it stands already."""
    talk = await begin(database, keys)
    await offered(talk)
    await talk.turn("yes")
    words = await talk.turn(UNKNOWN)
    assert "still on their list" in words
    assert len(await promises(talk)) == 1


async def test_what_was_promised_and_not_heard_is_said_first_in_the_next_turn(
    database: Database, keys: KeyRing
) -> None:
    """The act stands though its words were cut."""
    talk, plan = await accepted(database, keys)
    committed = await talk.commit(plan)
    await talk.hear(committed.turn, await talk.words(committed), 1)
    words = await talk.turn("when are you open on sunday")
    assert words.startswith("That's noted. A colleague will call you back")
    assert len(await promises(talk)) == 1


async def test_a_number_nobody_knows_is_asked_for_once(database: Database, keys: KeyRing) -> None:
    """On a channel without one; kept from then on, and never asked again."""
    talk = await begin(database, keys, channel=Channel.CHAT, caller=None)
    words = await offered(talk)
    assert "phone number" in words
    assert talk.last is not None
    assert talk.last.decision.expects.length == 10
    assert "ten digits" in await talk.turn("two oh two five five five")
    words = await talk.turn("two oh two five five five oh one two three")
    assert "call you back by Monday at noon" in words
    await talk.turn("yes")
    (promise,) = await promises(talk)
    assert promise["details"]["contact"] == "[phone number 1]"
    async with database.transaction() as tx:
        assert (await vault.values(tx, keys, talk.id))["[phone number 1]"] == "2025550123"


async def test_a_number_may_be_keyed(database: Database, keys: KeyRing) -> None:
    """Ten keys are the number that was asked for."""
    talk = await begin(database, keys, caller=None)
    await offered(talk)
    assert "call you back" in await talk.turn(Keys(digits="2025550123#"))


async def test_what_policy_has_followed_up_is_promised_at_once(database: Database, keys: KeyRing) -> None:
    """At night an invoice copy is noted for the morning, without a question; the words come from the note."""
    night = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)  # ten in the evening in Portland
    talk = await Talk.begin(database, keys, now=lambda: night)
    words = await talk.turn("can you send me a copy of my invoice")
    assert talk.last is not None
    assert talk.last.decision.action is Action.FOLLOW_UP
    assert "passed that on" in words
    (promise,) = await promises(talk)
    assert (promise["kind"], promise["intent"]) == ("request", "invoice_copy")


async def test_a_route_goes_to_a_person_with_a_form(database: Database, keys: KeyRing) -> None:
    """What is known is filled in, and who answers for it is named."""
    deployment = with_policy(change_order={"then": Action.ROUTE, "owner": "delivery desk"})
    talk = await begin(database, keys, deployment=deployment)
    await talk.turn("where is my order four two seven one zero three")
    words = await talk.turn("i want to change my order")
    assert talk.last is not None
    assert talk.last.decision.action is Action.ROUTE
    assert "our delivery desk" in words
    handoff = await talk.handoff()
    assert handoff is not None
    payload = handoff["payload"]
    assert payload["specialist"] == handoff["skill"] == "delivery desk"
    assert payload["choice"]["pattern"] == "unverified_change"
    assert payload["trigger"]["name"] == handoff["trigger"]
    assert payload["form"]["intent"] == "change_order"
    assert payload["form"]["order_number_as_said"] == "[order number 1]"
    assert payload["form"]["verified"] is False


class Fragile:
    """A database whose connection dies at the ``at``-th statement; 0: the answer to the commit is lost."""

    def __init__(self, real: Database, admin: psycopg.Connection[Any], at: int) -> None:
        self._real, self._admin, self.at, self.seen = real, admin, at, 0
        self.name, self.timeout_s = real.name, real.timeout_s

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self._real.transaction() as tx:
            yield _Killed(self, tx)
        if self.at == 0:
            raise DatabaseDown("the answer to the commit was lost")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        async with self._real.reading() as tx:
            yield _Killed(self, tx)

    def statement(self, tx: Transaction) -> None:
        self.seen += 1
        if self.seen == self.at:
            self._admin.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))


class _Killed:
    def __init__(self, fragile: Fragile, tx: Transaction) -> None:
        self._fragile, self._tx = fragile, tx

    async def execute(self, *args: Any, **more: Any) -> Any:
        self._fragile.statement(self._tx)
        return await self._tx.execute(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    @property
    def __class__(self) -> Any:  # audit rows are written in transactions of our own database only
        return type(self._tx)


async def test_a_connection_that_dies_at_any_statement_of_a_commit_leaves_nothing(
    database: Database, keys: KeyRing
) -> None:
    """Killed at the first, the second, ... the last: not a row; then the same plan is committed, once."""
    _, plan = await accepted(database, keys)
    before = await rows(database)
    with psycopg.connect(database.url, autocommit=True) as admin:
        for at in range(1, 200):
            fragile = node(Fragile(database, admin, at), keys)
            try:
                await fragile.commit(plan)
            except DatabaseDown:
                assert await rows(database) == before, f"statement {at}"
            else:
                break
    assert at > 10
    after = await rows(database)
    assert (after["turns"], after["acts"], after["follow_ups"]) == (before["turns"] + 1, 1, 1)


async def test_a_commit_whose_answer_was_lost_is_repeated_and_says_the_same(
    database: Database, keys: KeyRing
) -> None:
    """It had happened: the second time finds the outcome, does nothing, and speaks from it."""
    talk, plan = await accepted(database, keys)
    with psycopg.connect(database.url, autocommit=True) as admin, pytest.raises(DatabaseDown):
        await node(Fragile(database, admin, 0), keys).commit(plan)
    counts = await rows(database)
    committed = await talk.commit(plan)
    assert await rows(database) == counts
    assert "call you back by Monday at noon" in await talk.words(committed)


async def test_of_two_nodes_one_acts(database: Database, keys: KeyRing) -> None:
    """Both planned the yes: one commits and acts, the other is stale and has done nothing."""
    talk, plan = await accepted(database, keys)
    other = await talk.plan("yes")
    results = await asyncio.gather(
        talk.orchestrator.commit(plan), talk.orchestrator.commit(other), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Committed", "StalePlan"]
    assert len(await promises(talk)) == 1


async def test_a_stale_plan_committed_late_acts_on_nothing(database: Database, keys: KeyRing) -> None:
    """The caller went on in the meantime."""
    talk, plan = await accepted(database, keys)
    await talk.turn("when are you open on sunday")
    with pytest.raises(StalePlan):
        await talk.commit(plan)
    assert await promises(talk) == []
    async with database.transaction() as tx:
        assert await acts.of(tx, keys, talk.id) == []


async def test_an_act_that_was_planned_early_says_and_does_nothing_before_its_commit(
    database: Database, keys: KeyRing
) -> None:
    """Its words come from what came of it, so there is nothing to make the sound of early."""
    talk = await begin(database, keys)
    await offered(talk)
    yes = Utterance(text="yes please")
    assert await talk.orchestrator.offer(talk.id, yes, likely=True) is Verdict.START
    assert await talk.orchestrator.first_clause(talk.id) is None
    assert await promises(talk) == []
    plan = await talk.orchestrator.settle(talk.id, yes)
    assert plan.early
    assert (await talk.words(await talk.commit(plan))).startswith("That's noted.")
    assert len(await promises(talk)) == 1
