"""Transfers survive their nodes: one per handoff, each thing done by one node, and carried on by another."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from deployment_kit import stored_handoffs

from voicebot.core.conversation import Channel
from voicebot.core.store import handoffs, outbox, presence, transfers
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import ConversationState, new_state
from voicebot.handoff.people import Agent, People
from voicebot.handoff.transfer.effects import Do
from voicebot.handoff.transfer.signs import (
    AgentIn,
    Answered,
    CallerIn,
    CallerLeft,
    Dialled,
    LegIs,
    MediaBack,
    Pressed,
    Tick,
)
from voicebot.handoff.transfer.states import State
from voicebot.handoff.transferring import (
    MAX_TRANSFERS,
    Transferring,
    TransferringDesk,
    load,
    load_effect,
)

CALL, LEG = "CA" + "0" * 32, "CA" + "1" * 32
PEOPLE = People.model_validate_json(
    '{"destinations": [{"name": "desk", "number": "+12025550140", "skills": ["general"]},'
    ' {"name": "desk 2", "number": "+12025550141", "skills": ["general"]}]}'
)


def transferring(keys: KeyRing, people: People = PEOPLE) -> Transferring:
    return Transferring(keys, people, cold=True, now=lambda: datetime(2026, 11, 20, 18, 0, tzinfo=UTC))


async def asked(database: Database, keys: KeyRing, **more: Any) -> HandoverRequest:
    """A call that asks for a person, at the commit of its turn."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        made = await conversations.create(
            tx,
            channel=more.pop("channel", Channel.PHONE),
            call_sid=more.pop("call_sid", CALL),
            caller="+12025550100",
            called="+12025550199",
            state=new_state(),
        )
        snapshot = await conversations.load(tx, made)
    return HandoverRequest(
        snapshot=snapshot,
        turn=1,
        state=ConversationState(),
        decision=None,
        trigger=more.pop("trigger", "asked_for_person"),
        urgency="normal",
        caller="a person please",
        said=None,
        turns=(),
        policy_version="p1",
        **more,
    )


async def requested(database: Database, keys: KeyRing, request: HandoverRequest) -> str | None:
    desk = TransferringDesk(stored_handoffs(keys), transferring(keys))
    async with database.transaction() as tx:
        await desk.store(tx, request)
    async with database.transaction() as tx:
        return await transfers.newest_of_call(tx, request.snapshot.call_sid or "")


async def take(database: Database, keys: KeyRing, transfer: str, *signs: Any) -> State:
    assert signs
    state = State.REQUESTED
    for sign in signs:
        async with database.transaction() as tx:
            state = (await transferring(keys).take(tx, transfer, sign)).transfer.state
    return state


async def test_asked_for_with_the_handoff(database: Database, keys: KeyRing) -> None:
    """In the same transaction, once: two nodes that commit the same turn leave one transfer and one dial."""
    request = await asked(database, keys)
    found = await asyncio.gather(*(requested(database, keys, request) for _ in range(3)))
    assert len({*found}) == 1
    assert found[0] is not None
    async with database.transaction() as tx:
        claimed = await transfers.claim(tx, "a")
        events = [e.type for e in await outbox.events_of(tx, keys, request.snapshot.id)]
    assert [load_effect(one.body).do for one in claimed] == [Do.DIAL]
    assert load_effect(claimed[0].body).destination == "desk"
    assert events == ["transfer.requested"]


async def test_a_number_whose_agents_pause_is_not_rung_while_another_can_be(
    database: Database, keys: KeyRing
) -> None:
    agents = (Agent(id="ada", answers="desk"), Agent(id="ben", answers="desk 2"))
    people = PEOPLE.model_copy(update={"agents": agents})
    rung: list[tuple[str, ...]] = []
    for nth, (ada, ben) in enumerate([(False, False), (True, False), (True, True)]):
        request = await asked(database, keys, call_sid=f"CA{nth:032x}")
        async with database.transaction() as tx:
            await presence.here(tx, "ada", paused=ada)
            await presence.here(tx, "ben", paused=ben)
            handoff = await stored_handoffs(keys).store(tx, request)
            made = await transferring(keys, people).request(tx, request, handoff)
            assert made is not None
            rung.append(load((await transfers.lock(tx, made)).body).destinations)
    assert rung == [("desk", "desk 2"), ("desk 2",), ("desk", "desk 2")]


async def test_a_turn_that_is_not_committed_asks_for_nobody(database: Database, keys: KeyRing) -> None:
    """The dial is ordered by the commit itself."""
    request = await asked(database, keys)
    desk = TransferringDesk(stored_handoffs(keys), transferring(keys))

    async def commit() -> None:
        async with database.transaction() as tx:
            await desk.store(tx, request)
            raise RuntimeError("the commit fails")

    with pytest.raises(RuntimeError, match="the commit fails"):
        await commit()
    async with database.transaction() as tx:
        assert await transfers.newest_of_call(tx, CALL) is None
        assert await transfers.claim(tx, "a") == []


async def test_who_is_not_put_through(database: Database, keys: KeyRing) -> None:
    """A chat, a call that fails while the bot is off, nobody to dial, and a caller who had many."""
    for n, more in enumerate(
        ({"channel": Channel.CHAT, "call_sid": None}, {"trigger": "bot_off"}, {"trigger": "draining"})
    ):
        request = await asked(database, keys, **({"call_sid": f"CA{n:032x}"} | more))
        assert await requested(database, keys, request) is None
    async with database.transaction() as tx:
        nobody = transferring(keys, People())
        assert await nobody.request(tx, await asked(database, keys, call_sid="CA" + "7" * 32), "ho_") is None
    request = await asked(database, keys)
    for turn in range(1, MAX_TRANSFERS + 2):
        assert await requested(database, keys, replace(request, turn=turn)) is not None
    async with database.transaction() as tx:
        assert await transfers.count(tx, request.snapshot.id) == MAX_TRANSFERS


async def test_each_effect_has_one_node(database: Database, keys: KeyRing) -> None:
    """Many nodes claim at once: one has it. When that one says nothing for its lease, one other has it."""
    await requested(database, keys, await asked(database, keys))

    async def claim(node: str) -> list[int]:
        async with database.transaction() as tx:
            return [one.claims for one in await transfers.claim(tx, node)]

    assert sorted(await asyncio.gather(*(claim(f"n{n}") for n in range(5)))) == [[], [], [], [], [1]]
    assert await claim("late") == []
    async with database.transaction() as tx:
        await tx.execute("UPDATE transfer_effects SET expires_at = clock_timestamp() - interval '1 s'")
    assert sorted(await asyncio.gather(*(claim(f"n{n}") for n in range(5)))) == [[], [], [], [], [2]]


async def test_its_life_is_told_and_timed(database: Database, keys: KeyRing) -> None:
    """Events in order, the handoff's status with them, and the times that the figures are made of."""
    request = await asked(database, keys)
    transfer = await requested(database, keys, request)
    assert transfer is not None
    rings = (Dialled(1, LEG), LegIs(1, LEG, "ringing"), LegIs(1, LEG, "ringing"))
    await take(database, keys, transfer, *rings, Answered(1, LEG), Pressed(1, LEG, 1, "2"))
    other = "CA" + "2" * 32
    hears = (LegIs(2, other, "ringing"), Answered(2, other))
    assert await take(database, keys, transfer, *hears, Pressed(2, other, 1, "1")) is State.ACCEPTED
    assert await take(database, keys, transfer, CallerLeft(), CallerLeft()) is State.CALLER_LEFT
    async with database.transaction() as tx:
        events = [e for e in await outbox.events_of(tx, keys, request.snapshot.id) if "transfer" in e.type]
        row = await transfers.get(tx, transfer)
        (handoff,) = await handoffs.list(tx, conversation_id=request.snapshot.id)
        legs = await transfers.known_legs(tx, [LEG, other, CALL])
    assert [(e.type.removeprefix("transfer."), e.data["destination"]) for e in events] == [
        ("requested", "desk"),
        ("ringing", "desk"),
        ("briefing", "desk"),
        ("declined", "desk"),
        ("requested", "desk 2"),
        ("ringing", "desk 2"),
        ("briefing", "desk 2"),
        ("accepted", "desk 2"),
        ("caller_left", "desk 2"),
    ]
    assert row.ringing_at is not None
    assert row.requested_at <= row.ringing_at
    assert (row.bridged_at, handoff["status"], handoff["declined_by"]) == (None, "missed", ["desk"])
    assert legs == {LEG, other}


async def test_what_is_due_is_found(database: Database, keys: KeyRing) -> None:
    """A transfer of which nothing is heard is looked at by any node; one that is over is not."""
    transfer = await requested(database, keys, await asked(database, keys))
    assert transfer is not None
    await take(database, keys, transfer, Dialled(1, LEG))
    async with database.transaction() as tx:
        assert await transfers.due(tx) == []
        await tx.execute("UPDATE transfers SET due_at = clock_timestamp() - interval '1 s'")
        assert await transfers.due(tx) == [transfer]
    assert await take(database, keys, transfer, Tick()) is State.REQUESTED, "by its own memory it is not due"
    await take(database, keys, transfer, LegIs(1, LEG, "busy"), LegIs(2, LEG, "busy"), MediaBack())
    async with database.transaction() as tx:
        assert (await transfers.get(tx, transfer)).state == "returned"
        assert await transfers.due(tx) == []


async def test_who_needs_a_node_that_stops(database: Database, keys: KeyRing) -> None:
    """From the turn until the caller has left: who talks with a person comes back to us afterwards."""

    async def needed(within_s: float = 600.0) -> frozenset[str]:
        async with database.transaction() as tx:
            return await transfers.under_way(tx, within_s=within_s)

    transfer = await requested(database, keys, await asked(database, keys))
    assert transfer is not None
    assert await needed() == {transfer}
    assert await needed(0.0) == frozenset(), "given up long ago"
    await take(database, keys, transfer, CallerIn(0), Answered(1, LEG), Pressed(1, LEG, 1, "1"))
    assert await needed() == {transfer}
    await take(database, keys, transfer, AgentIn(1))
    assert await needed(0.0) == {transfer}, "however long they talk"
    await take(database, keys, transfer, CallerLeft())
    assert await needed() == frozenset()


async def test_unknown(database: Database, keys: KeyRing) -> None:
    """A sign about a transfer that is not there is an error, and leaves nothing."""
    async with database.transaction() as tx:
        with pytest.raises(transfers.UnknownTransfer):
            await transferring(keys).take(tx, "tr_" + "0" * 32, CallerLeft())
