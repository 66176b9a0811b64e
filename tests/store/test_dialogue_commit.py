"""A plan changes nothing; a commit is one transaction, once; a plan that lost is refused."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from dialogue_kit import DEPLOYMENT, ROOT, Talk, with_policy

from voicebot.core.conversation import CallStarted, Channel, Heard, Route, TurnTimings, Utterance
from voicebot.core.store import drafts, outbox
from voicebot.core.store.conversations import ConversationEnded, UnknownConversation
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.orchestrator import Orchestrator, StalePlan
from voicebot.dialogue.state import UnknownState, new_state
from voicebot.handoff.desk import StoredHandoffs

ORDER, CODE = "four two seven one zero three", "nine four one oh seven"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@pytest_asyncio.fixture
async def talk(database: Database, keys: KeyRing) -> Talk:
    return await Talk.begin(database, keys)


async def rows(database: Database) -> dict[str, int]:
    """How many rows each of our tables has."""
    counts: dict[str, int] = {}
    async with database.transaction() as tx:
        for table in ("turns", "events", "outbox", "audit", "handoffs", "access_log"):
            row = await (await tx.execute(f"SELECT count(*) AS n FROM {table}".encode())).fetchone()  # noqa: S608
            assert row is not None
            counts[table] = row["n"]
    return counts


async def test_a_plan_that_is_thrown_away_leaves_nothing_but_the_log_of_what_it_read(talk: Talk) -> None:
    """State, turns, events, audit and handoffs stay; the reads stand in the log as discarded."""
    await talk.turn(f"where is my order {ORDER}")
    before, snapshot = await rows(talk.database), await talk.snapshot()
    plan = await talk.plan(CODE)
    assert plan.said is not None
    assert "side table" in plan.said
    await talk.orchestrator.discard(plan)
    after = await rows(talk.database)
    assert {**after, "access_log": 0} == {**before, "access_log": 0}
    assert await talk.snapshot() == snapshot
    accesses = await talk.accesses()
    assert {resource for resource, _ in accesses} >= {"identity", "shop.orders", "customer.profile"}
    assert all(discarded for _, discarded in accesses)


async def test_the_log_marks_what_a_committed_plan_read(talk: Talk) -> None:
    """Discarded reads stay discarded beside it."""
    await talk.turn(f"where is my order {ORDER}")
    await talk.orchestrator.discard(await talk.plan(CODE))
    await talk.turn(CODE)
    accesses = await talk.accesses()
    half = len(accesses) // 2
    assert [discarded for _, discarded in accesses] == [True] * half + [False] * half
    assert sorted(resource for resource, _ in accesses[:half]) == sorted(name for name, _ in accesses[half:])


async def test_the_read_is_logged_before_it_happens(database: Database, keys: KeyRing) -> None:
    """A system of record that dies in the middle has still been asked for somebody's data."""

    class Dead:
        async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
            raise ConnectorError("gone")

    talk = await Talk.begin(database, keys, connector=Dead())
    await talk.turn(f"where is my order {ORDER}")
    words = await talk.turn(CODE)
    assert "can't reach our order system" in words
    assert talk.last is not None
    assert talk.last.decision.trigger == "tool_error"
    assert ("identity", False) in await talk.accesses()


async def test_a_commit_is_one_transaction(talk: Talk, keys: KeyRing) -> None:
    """The handoff fails at the end: not a row of the turn remains, and the same plan can be committed again."""  # noqa: E501

    class Failing(StoredHandoffs):
        fail = True

        async def store(self, tx: Transaction, request: HandoverRequest) -> str:
            handoff = await super().store(tx, request)
            if self.fail:
                raise DatabaseDown("the lights went out")
            return handoff

    desk = Failing.of(keys, ROOT)
    talk.orchestrator = Orchestrator(
        database=talk.database,
        keys=keys,
        deployment=DEPLOYMENT,
        connector=PostgresConnector(talk.database, DEPLOYMENT.queries),
        generator=GroundedResponder(),
        handoffs=desk,
    )
    before = await rows(talk.database)
    plan = await talk.plan("a person please")
    with pytest.raises(DatabaseDown):
        await talk.commit(plan)
    assert await rows(talk.database) == before
    desk.fail = False
    committed = await talk.commit(plan)
    assert committed.handoff is not None
    assert (await rows(talk.database))["handoffs"] == 1


async def test_the_same_plan_twice_is_once(talk: Talk) -> None:
    """A commit whose answer was lost is repeated: same turn, same handoff, one row of each."""
    plan = await talk.plan("a person please")
    first, counts = await talk.commit(plan), await rows(talk.database)
    second = await talk.commit(plan)
    assert (first.turn, first.handoff, first.after) == (second.turn, second.handoff, second.after)
    assert await rows(talk.database) == counts


async def test_a_repeated_commit_tells_of_no_earlier_handoff(talk: Talk) -> None:
    """The conversation was handed over before; this turn did not do it."""
    await talk.turn("a person please")
    plan = await talk.plan("when are you open")
    assert (await talk.commit(plan)).handoff is None
    assert (await talk.commit(plan)).handoff is None


async def test_a_chat_that_has_ended_takes_no_turn(database: Database, keys: KeyRing) -> None:
    """It was ended as forgotten between plan and commit: nothing is written after its end."""
    talk = await Talk.begin(database, keys, channel=Channel.CHAT)
    plan = await talk.plan("when are you open")
    async with database.transaction() as tx:
        await talk.conversations.finish(tx, talk.id, reason="idle")
    before = await rows(database)
    with pytest.raises(ConversationEnded):
        await talk.commit(plan)
    assert await rows(database) == before


async def test_a_caller_who_hung_up_is_still_given_to_a_person(talk: Talk) -> None:
    """He can be called back."""
    plan = await talk.plan("a person please")
    async with talk.database.transaction() as tx:
        await talk.conversations.finish(tx, talk.id, reason="caller_hung_up")
    assert (await talk.commit(plan)).handoff is not None
    assert (await talk.snapshot()).status == "ended"


async def test_one_clock_tells_all_times_of_a_turn(database: Database, keys: KeyRing) -> None:
    """The orchestrator's: in a replay, too, events and due times stand where they belong."""
    now = datetime(2031, 5, 1, 10, tzinfo=UTC)
    deployment = with_policy(gift_card={"route": Route.DRAFT})
    talk = await Talk.begin(database, keys, deployment=deployment, now=lambda: now)
    await talk.turn("do you have gift cards")
    async with database.transaction() as tx:
        events = await outbox.events_of(tx, keys, talk.id)
        (draft,) = await drafts.list(tx, conversation_id=talk.id)
    assert {event.time for event in events} == {now}
    assert draft["due_at"] == now + timedelta(seconds=60)
    assert (await talk.state()).held[0].due_at == draft["due_at"]


async def test_of_two_plans_for_one_turn_one_wins(talk: Talk) -> None:
    """Two nodes, the same turn, at the same time: one commit, one stale plan, whatever the order."""
    plans = [await talk.plan("when are you open"), await talk.plan("how long is the warranty")]
    results = await asyncio.gather(
        *(talk.orchestrator.commit(plan) for plan in plans), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Committed", "StalePlan"]
    assert len(await talk.turns()) == 2


async def test_a_plan_of_a_lost_media_session_cannot_commit(talk: Talk) -> None:
    """The call was resumed elsewhere in the meantime."""
    plan = await talk.plan("when are you open")
    async with talk.database.transaction() as tx:
        await talk.conversations.new_epoch(tx, talk.id)
    with pytest.raises(StalePlan):
        await talk.commit(plan)
    assert len(await talk.turns()) == 1


async def test_a_plan_made_before_the_last_turn_was_closed_is_stale(talk: Talk) -> None:
    """What was heard changes the state a plan rests on."""
    committed = await talk.commit(await talk.plan("when are you open"))
    words = await talk.words(committed)
    early = await talk.plan("how long is the warranty")
    await talk.hear(committed.turn, words)
    with pytest.raises(StalePlan):
        await talk.commit(early)


async def test_a_turn_is_stored_with_input_decision_words_and_what_was_heard(talk: Talk) -> None:
    """All that replay and a reviewer need; the heard part comes with its timings."""
    words = await talk.turn("when are you open", heard=5)
    turn = (await talk.turns())[-1]
    assert turn["input"] == Utterance(text="when are you open").model_dump(mode="json")
    assert turn["decision"]["policy_row"] == "opening_hours/tier0/sure"
    assert turn["spoken"] == words
    assert turn["heard"] == {"text": " ".join(words.split()[:5]), "complete": False}
    assert turn["timings"]["first_heard_ms"] == 1
    assert (await talk.events())[-2:] == ["turn.committed", "turn.heard"]


async def test_hearing_about_a_turn_twice_keeps_the_first(talk: Talk) -> None:
    """Late reports change neither state nor turn, and say nothing twice."""
    await talk.turn("when are you open")
    state, events = await talk.state(), await talk.events()
    assert talk.last is not None
    await talk.orchestrator.heard(talk.id, talk.last.turn, Heard(text="", complete=False), TurnTimings())
    assert await talk.state() == state
    assert await talk.events() == events
    assert (await talk.turns())[-1]["heard"]["complete"] is True


async def test_any_node_can_take_the_next_turn(talk: Talk, database: Database, keys: KeyRing) -> None:
    """Another orchestrator on the same database goes on in the middle of verification."""
    await talk.turn("where is my order")
    await talk.turn(ORDER)
    other = await Talk.begin(database, keys, greeted=False)
    other.id = talk.id
    assert "on its way" in await other.turn(CODE)


async def test_words_that_are_not_wanted_any_more_leave_nothing_running(talk: Talk) -> None:
    """Closing the words, or the orchestrator, ends their tasks."""
    before = asyncio.all_tasks()
    committed = await talk.commit(await talk.plan("when are you open"))
    words = talk.orchestrator.words(committed)
    assert (await anext(words)).text
    await words.aclose()  # type: ignore[attr-defined]
    await talk.orchestrator.close()
    assert asyncio.all_tasks() == before


async def test_an_unknown_conversation_and_an_unknown_state_are_refused(talk: Talk) -> None:
    """Typed errors; a state of another version is left as it is."""
    with pytest.raises(UnknownConversation):
        await talk.orchestrator.plan("cv_" + "0" * 32, CallStarted())
    snapshot = await talk.snapshot()
    async with talk.database.transaction() as tx:
        await talk.conversations.advance(
            tx, snapshot, turn=snapshot.turn, state={**new_state(), "schema_version": 99}
        )
    with pytest.raises(UnknownState, match="99"):
        await talk.plan("hello")
    assert (await talk.snapshot()).state["schema_version"] == 99


async def test_nothing_personal_is_stored_in_the_clear(talk: Talk) -> None:
    """Words, numbers and results are sealed; what lies in plain columns names no one."""
    await talk.turn(f"where is my order {ORDER}")
    await talk.turn(CODE)
    await talk.turn("a person please")
    found: list[str] = []
    async with talk.database.transaction() as tx:
        for table in ("conversations", "turns", "events", "audit", "access_log", "audit_outbox", "handoffs"):
            cursor = await tx.execute(f"SELECT row_to_json(t)::text AS j FROM {table} t".encode())  # noqa: S608
            found += [row["j"] for row in await cursor.fetchall()]
    # Sealed columns print as hexadecimal, in which any five digits may turn up by chance: their bytes count.
    sealed = re.findall(r"\\\\x([0-9a-f]+)", " ".join(found))
    everything = re.sub(r"\\\\x[0-9a-f]+", "", " ".join(found))
    everything += " ".join(bytes.fromhex(column).decode("latin-1") for column in sealed)
    assert sealed
    for secret in ("427103", "94107", "oak side table", "where is my order", "cu_0"):
        assert secret not in everything, secret


async def test_when_the_database_is_down_planning_says_so(talk: Talk) -> None:
    """The call's own failure path takes over; nothing hangs."""
    await talk.database.close()
    with pytest.raises(DatabaseDown):
        await talk.plan("when are you open")
