"""Audit, access log, switches and handoffs say what happened, and only if it happened."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Channel
from voicebot.core.store import audit, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import set_switch, switches


async def test_a_refusal_is_recorded_with_its_reason(database: Database) -> None:
    async with database.transaction() as tx:
        await audit.refusal(tx, what="stream_token", reason="expired", facts={"call_sid": "CA1"})
        [row] = await audit.records(tx)
    assert {k: row[k] for k in ("kind", "what", "reason", "facts", "conversation_id")} == {
        "kind": "refusal",
        "what": "stream_token",
        "reason": "expired",
        "facts": {"call_sid": "CA1"},
        "conversation_id": None,
    }


async def test_an_action_and_its_record_are_one(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await audit.record(tx, action="order.cancel", actor="bot", facts={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.transaction() as tx:
        assert await audit.records(tx) == []


async def test_records_of_one_conversation_newest_first(database: Database) -> None:
    async with database.transaction() as tx:
        for turn, conversation in enumerate(("cv_1", "cv_2", "cv_1")):
            await audit.record(
                tx, action="turn", actor="bot", facts={}, conversation_id=conversation, turn=turn
            )
        assert [row["turn"] for row in await audit.records(tx, conversation_id="cv_1")] == [2, 0]
        assert [row["turn"] for row in await audit.records(tx, limit=1)] == [2]


async def test_a_read_by_a_discarded_plan_is_in_the_access_log(database: Database) -> None:
    async with database.transaction() as tx:
        await audit.access(
            tx,
            actor="bot",
            resource="shop.orders",
            purpose="order_status",
            fields=("status", "postcode"),
            conversation_id="cv_1",
            turn=2,
            discarded=True,
        )
        [row] = await audit.accesses(tx, "cv_1")
    assert (row["resource"], row["fields"], row["discarded"]) == (
        "shop.orders",
        ["status", "postcode"],
        True,
    )


async def test_switches_are_on_until_someone_says_off_and_it_is_recorded_who(database: Database) -> None:
    async with database.transaction() as tx:
        assert await switches(tx) == {"bot": True}
        await set_switch(tx, "bot", False, "cli")
        await set_switch(tx, "tool:order_status", False, "cli")
        await set_switch(tx, "tool:order_status", True, "ada")
        assert await switches(tx) == {"bot": False, "tool:order_status": True}
        records = await audit.records(tx)
    assert [(row["what"], row["actor"], row["facts"]["name"]) for row in records] == [
        ("switch.on", "ada", "tool:order_status"),
        ("switch.off", "cli", "tool:order_status"),
        ("switch.off", "cli", "bot"),
    ]


async def test_a_handoff_is_stored_once_per_turn_and_sealed(database: Database, keys: KeyRing) -> None:
    conversations = Conversations(keys)
    payload = {"transcript": ["I want a person"], "next_action": "call back"}
    async with database.transaction() as tx:
        conversation_id = await conversations.create(
            tx, channel=Channel.PHONE, call_sid="CA1", caller=None, called=None, state={}
        )
        first, again = [
            await handoffs.save(
                tx,
                keys,
                conversation_id=conversation_id,
                turn=3,
                trigger="asked_for_person",
                urgency="normal",
                payload=payload,
            )
            for _ in range(2)
        ]
        assert first == again
        whole = await handoffs.get(tx, keys, first)
        assert (whole["payload"], whole["status"], whole["turn"]) == (payload, "waiting", 3)
        assert not any(name.startswith("sealed") for name in whole)
        cursor = await tx.execute("SELECT sealed_payload FROM handoffs")
        assert b"person" not in (await cursor.fetchone() or {})["sealed_payload"]


async def test_the_queue_of_handoffs(database: Database, keys: KeyRing) -> None:
    conversations = Conversations(keys)
    ids: list[str] = []
    for n in range(3):
        async with database.transaction() as tx:
            conversation_id = await conversations.create(
                tx, channel=Channel.PHONE, call_sid=f"CA{n}", caller=None, called=None, state={}
            )
            handoff_id = await handoffs.save(
                tx,
                keys,
                conversation_id=conversation_id,
                turn=1,
                trigger="asked_for_person",
                urgency="normal",
                payload={},
            )
            ids.append(handoff_id)
    async with database.transaction() as tx:
        assert await handoffs.move(tx, ids[0], "offered")
        assert [row["id"] for row in await handoffs.list(tx, status="waiting")] == ids[1:]
        assert [row["id"] for row in await handoffs.list(tx)] == ids
        [mine] = await handoffs.list(tx, conversation_id=conversation_id)
        assert mine["id"] == ids[2]
        assert "payload" not in mine
        for attempt in (handoffs.get(tx, keys, "ho_none"), handoffs.move(tx, "ho_none", "missed")):
            with pytest.raises(UnknownHandoff):
                await attempt
