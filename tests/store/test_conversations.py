"""Two writers never both win a turn, a turn is written once, and an ended conversation stays ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voicebot.core.conversation import Channel
from voicebot.core.store.conversations import (
    ConversationEnded,
    Conversations,
    StaleState,
    UnknownConversation,
)
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing

CALLER = "+15005550006"


@pytest.fixture
def conversations(keys: KeyRing) -> Conversations:
    return Conversations(keys)


async def start(conversations: Conversations, database: Database, call_sid: str | None = "CA1") -> str:
    async with database.transaction() as tx:
        return await conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid=call_sid,
            caller=CALLER,
            called="+15005550001",
            state={"name": "Ada"},
        )


async def save(conversations: Conversations, tx: Transaction, conversation_id: str, **changes: Any) -> bool:
    turn = {
        "turn": 1,
        "transaction_id": "tx1",
        "input": {"text": "where is my order"},
        "decision": {"intent": "order_status"},
        "spoken": "On its way.",
    }
    return await conversations.save_turn(tx, conversation_id, **(turn | changes))


async def test_a_conversation_comes_back_as_it_was_made(
    conversations: Conversations, database: Database
) -> None:
    conversation_id = await start(conversations, database)
    async with database.transaction() as tx:
        snapshot = await conversations.load(tx, conversation_id)
        assert await conversations.by_call(tx, "CA1") == conversation_id
        assert await conversations.by_call(tx, "CA2") is None
    assert snapshot.state == {"name": "Ada"}
    assert (snapshot.caller, snapshot.called) == (CALLER, "+15005550001")
    assert (snapshot.channel, snapshot.status) == (Channel.PHONE, "live")
    assert (snapshot.version, snapshot.epoch, snapshot.turn) == (0, 0, 0)


async def test_no_personal_value_lies_in_the_clear(conversations: Conversations, database: Database) -> None:
    conversation_id = await start(conversations, database)
    async with database.transaction() as tx:
        await save(conversations, tx, conversation_id)
        heard = {"text": "On its", "complete": False}
        await conversations.close_turn(tx, conversation_id, turn=1, heard=heard, timings={})
        dumps: list[str] = []
        for table in (b"subjects", b"conversations", b"turns"):
            cursor = await tx.execute(b"SELECT t::text AS whole FROM %s t" % table)
            dumps += [row["whole"] for row in await cursor.fetchall()]
    whole = "\n".join(dumps)
    decoded = whole + "".join(
        bytes.fromhex(part.split("x")[1].strip('"')).decode(errors="replace")
        for part in whole.replace("(", ",").replace(")", ",").split(",")
        if part.startswith('"\\\\x')
    )
    assert conversation_id in decoded, "the dump shows something"
    for personal in ("Ada", CALLER, CALLER[1:], "where is my order", "order_status", "On its"):
        assert personal not in decoded


async def test_the_same_call_twice_is_one_conversation(
    conversations: Conversations, database: Database
) -> None:
    """Twilio sends a webhook again when the answer was slow; both may be under way at once."""
    ids = await asyncio.gather(*(start(conversations, database) for _ in range(5)))
    assert len(set(ids)) == 1
    async with database.transaction() as tx:
        assert len(await conversations.list(tx)) == 1
        cursor = await tx.execute("SELECT count(*) AS n FROM subjects")
        assert await cursor.fetchone() == {"n": 1}, "no key without a conversation"


async def test_a_call_sid_is_used_again_only_after_its_end_and_only_when_asked(
    conversations: Conversations, database: Database
) -> None:
    """A late webhook makes no second conversation of an ended call; a program that wants one gets one."""

    async def again() -> str:
        async with database.transaction() as tx:
            return await conversations.create(
                tx, channel=Channel.PHONE, call_sid="CA1", caller=None, called=None, state={}, again=True
            )

    first = await start(conversations, database)
    assert await again() == first, "it has not ended"
    async with database.transaction() as tx:
        await conversations.finish(tx, first, reason="caller_hung_up")
    assert await start(conversations, database) == first
    both = set(await asyncio.gather(again(), again()))
    assert len(both) == 1
    (second,) = both
    assert second != first
    async with database.transaction() as tx:
        assert await conversations.by_call(tx, "CA1") == second
        assert {row["call_sid"] for row in await conversations.list(tx)} == {"CA1"}
        await conversations.finish(tx, second, reason="caller_hung_up")
        assert await conversations.by_call(tx, "CA1") == second, "the newest"


async def test_conversations_without_a_call_are_separate(
    conversations: Conversations, database: Database
) -> None:
    assert await start(conversations, database, None) != await start(conversations, database, None)


async def test_of_two_racing_commits_one_wins(conversations: Conversations, database: Database) -> None:
    conversation_id = await start(conversations, database)
    both_loaded = asyncio.Barrier(2)

    async def commit(name: str) -> str | None:
        try:
            async with database.transaction() as tx:
                snapshot = await conversations.load(tx, conversation_id)
                await both_loaded.wait()
                await conversations.advance(tx, snapshot, turn=1, state={"winner": name})
                await save(conversations, tx, conversation_id, transaction_id=name)
        except StaleState:
            return None
        return name

    results = await asyncio.gather(commit("a"), commit("b"))
    winners = [name for name in results if name is not None]
    assert len(winners) == 1
    async with database.transaction() as tx:
        snapshot = await conversations.load(tx, conversation_id)
        turns = await conversations.turns(tx, conversation_id)
    assert (snapshot.version, snapshot.turn, snapshot.state) == (1, 1, {"winner": winners[0]})
    assert [turn["transaction_id"] for turn in turns] == winners, "the loser left nothing"


async def test_a_new_media_session_voids_the_plans_of_the_one_before(
    conversations: Conversations, database: Database
) -> None:
    conversation_id = await start(conversations, database)
    async with database.transaction() as tx:
        old = await conversations.load(tx, conversation_id)
        assert await conversations.new_epoch(tx, conversation_id) == 1
    with pytest.raises(StaleState):
        async with database.transaction() as tx:
            await conversations.advance(tx, old, turn=1, state={})
    async with database.transaction() as tx:
        new = await conversations.load(tx, conversation_id)
        await conversations.advance(tx, new, turn=1, state={"ok": True})


async def test_a_locked_load_makes_others_wait(conversations: Conversations, database: Database) -> None:
    conversation_id = await start(conversations, database)
    order: list[str] = []
    locked = asyncio.Event()

    async def second() -> None:
        await locked.wait()
        async with database.transaction() as tx:
            order.append("second asks")
            snapshot = await conversations.load(tx, conversation_id, lock=True)
            order.append(f"second sees {snapshot.version}")

    async def first() -> None:
        async with database.transaction() as tx:
            snapshot = await conversations.load(tx, conversation_id, lock=True)
            locked.set()
            while "second asks" not in order:
                await asyncio.sleep(0)
            await conversations.advance(tx, snapshot, turn=1, state={})
            order.append("first commits")

    await asyncio.gather(first(), second())
    assert order == ["second asks", "first commits", "second sees 1"]


async def test_a_turn_is_saved_once(conversations: Conversations, database: Database) -> None:
    conversation_id = await start(conversations, database)
    async with database.transaction() as tx:
        assert await save(conversations, tx, conversation_id) is True
    async with database.transaction() as tx:
        assert await save(conversations, tx, conversation_id, spoken="Something else.") is False
        [turn] = await conversations.turns(tx, conversation_id)
    assert turn["spoken"] == "On its way."
    assert turn["input"] == {"text": "where is my order"}
    assert turn["heard"] is None
    assert turn["timings"] is None


async def test_what_was_heard_is_written_once(conversations: Conversations, database: Database) -> None:
    conversation_id = await start(conversations, database)
    heard = {"text": "On its", "complete": False}
    async with database.transaction() as tx:
        await save(conversations, tx, conversation_id)
        await conversations.close_turn(
            tx, conversation_id, turn=1, heard=heard, timings={"first_heard_ms": 740}
        )
    async with database.transaction() as tx:
        await conversations.close_turn(
            tx, conversation_id, turn=1, heard={"text": "", "complete": True}, timings={}
        )
        [turn] = await conversations.turns(tx, conversation_id)
        assert (turn["heard"], turn["timings"]) == (heard, {"first_heard_ms": 740})
        with pytest.raises(UnknownConversation, match="no turn 2"):
            await conversations.close_turn(tx, conversation_id, turn=2, heard=heard, timings={})


async def test_a_conversation_ends_exactly_once(conversations: Conversations, database: Database) -> None:
    """Hang-up, ``stop`` and status callbacks race; one of them ends the call."""
    conversation_id = await start(conversations, database)

    async def finish(reason: str) -> bool:
        async with database.transaction() as tx:
            return await conversations.finish(tx, conversation_id, reason=reason)

    reasons = ["stop", "status", "hangup"]
    ended = await asyncio.gather(*(finish(reason) for reason in reasons))
    assert sorted(ended) == [False, False, True]
    async with database.transaction() as tx:
        snapshot = await conversations.load(tx, conversation_id)
        assert snapshot.end_reason == reasons[ended.index(True)]
        assert snapshot.ended_at is not None
        with pytest.raises(ConversationEnded):
            await conversations.set_status(tx, conversation_id, "live")


async def test_status_moves_between_bot_and_person_until_the_end(
    conversations: Conversations, database: Database
) -> None:
    conversation_id = await start(conversations, database)
    async with database.transaction() as tx:
        for status in ("handoff", "live", "handoff", "ended"):
            await conversations.set_status(tx, conversation_id, status)
            assert (await conversations.load(tx, conversation_id)).status == status
        await conversations.set_status(tx, conversation_id, "ended")
        with pytest.raises(ValueError, match="not one of live, handoff, ended"):
            await conversations.set_status(tx, conversation_id, "zombie")


async def test_unknown_conversations_are_named(conversations: Conversations, database: Database) -> None:
    async with database.transaction() as tx:
        for attempt in (
            conversations.load(tx, "cv_none"),
            conversations.turns(tx, "cv_none"),
            conversations.finish(tx, "cv_none", reason="x"),
            conversations.set_status(tx, "cv_none", "handoff"),
            conversations.new_epoch(tx, "cv_none"),
            save(conversations, tx, "cv_none"),
        ):
            with pytest.raises(UnknownConversation, match="cv_none"):
                await attempt


async def test_the_list_pages_backwards_and_holds_nothing_personal(
    conversations: Conversations, database: Database
) -> None:
    ids = [await start(conversations, database, f"CA{n}") for n in range(5)]
    async with database.transaction() as tx:
        first = await conversations.list(tx, limit=2)
        rest = await conversations.list(tx, before=first[-1]["created_at"])
    assert [row["id"] for row in first + rest] == ids[::-1]
    assert CALLER not in str(first)
    assert not any(key.startswith("sealed") or key.endswith("hash") for key in first[0])
