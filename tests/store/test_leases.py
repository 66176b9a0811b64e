"""A dead node's call is brought back by exactly one other node; a living node's call by none."""

from __future__ import annotations

import asyncio

import pytest_asyncio

from voicebot.core.conversation import Channel
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases, LostCall

CALLS = [f"CA{n}" for n in range(6)]


@pytest_asyncio.fixture
async def calls(database: Database, keys: KeyRing) -> dict[str, str]:
    """Conversation ids by CallSid."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        return {
            call: await conversations.create(
                tx, channel=Channel.PHONE, call_sid=call, caller=None, called=None, state={}
            )
            for call in CALLS
        }


def node(name: str) -> Leases:
    return Leases(name, f"http://{name}.test", ttl_s=600)


async def take(database: Database, leases: Leases, calls: dict[str, str], *which: str) -> None:
    async with database.transaction() as tx:
        for call in which or CALLS:
            await leases.take(tx, call, calls[call], f"MZ{call}")


async def die(database: Database, leases: Leases) -> None:
    """The node stopped renewing ``ttl_s`` ago: its leases are past their time."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE leases SET expires_at = clock_timestamp() - interval '1 ms' WHERE node_id = %s",
            (leases.node_id,),
        )


async def claim(database: Database, leases: Leases) -> list[LostCall]:
    async with database.transaction() as tx:
        return await leases.claim_lost(tx)


async def test_a_dead_nodes_calls_go_to_exactly_one_of_several(
    database: Database, calls: dict[str, str]
) -> None:
    dead, nodes = node("dead"), [node(f"n{n}") for n in range(4)]
    await take(database, dead, calls)
    await die(database, dead)
    claimed = await asyncio.gather(*(claim(database, one) for one in nodes))
    flat = [call for part in claimed for call in part]
    assert sorted(flat, key=lambda call: call.call_sid) == [LostCall(call, calls[call]) for call in CALLS]


async def test_claims_skip_what_another_is_claiming(database: Database, calls: dict[str, str]) -> None:
    dead = node("dead")
    await take(database, dead, calls)
    await die(database, dead)
    async with database.transaction() as tx:
        assert len(await node("a").claim_lost(tx)) == len(CALLS)
        assert await claim(database, node("b")) == [], "not committed yet, and not waited for"


async def test_living_nodes_calls_are_not_claimed(database: Database, calls: dict[str, str]) -> None:
    living = node("living")
    await take(database, living, calls)
    assert await claim(database, node("other")) == []
    await die(database, living)
    assert await claim(database, living) == [], "its own media is here, it was only late"
    async with database.transaction() as tx:
        assert await living.renew(tx) == set(CALLS)
    assert await claim(database, node("other")) == []


async def test_a_node_learns_that_a_call_was_taken_from_it(database: Database, calls: dict[str, str]) -> None:
    slow, other = node("slow"), node("other")
    await take(database, slow, calls)
    await die(database, slow)
    await claim(database, other)
    async with database.transaction() as tx:
        assert await slow.renew(tx) == frozenset()
        assert await other.renew(tx) == frozenset(), "claimed is not held: the media is not back yet"
    await take(database, other, calls, "CA1")
    async with database.transaction() as tx:
        assert await other.renew(tx) == {"CA1"}
        await slow.release(tx, "CA1")
        assert await other.renew(tx) == {"CA1"}, "a late release of the old node changes nothing"


async def test_a_claim_that_came_to_nothing_can_be_claimed_again(
    database: Database, calls: dict[str, str]
) -> None:
    """The claimer may have died too, or Twilio did not come back."""
    dead, first, second = node("dead"), node("first"), node("second")
    await take(database, dead, calls, "CA1")
    await die(database, dead)
    assert await claim(database, first) == [LostCall("CA1", calls["CA1"], claims=1)]
    assert await claim(database, second) == []
    await die(database, first)
    assert await claim(database, first) == [LostCall("CA1", calls["CA1"], claims=2)]
    await die(database, first)
    assert await claim(database, second) == [LostCall("CA1", calls["CA1"], claims=3)]


async def test_a_released_call_is_gone_and_a_lost_one_claimable_at_once(
    database: Database, calls: dict[str, str]
) -> None:
    leases = node("n")
    await take(database, leases, calls, "CA1", "CA2")
    async with database.transaction() as tx:
        await leases.release(tx, "CA1")
        await leases.release(tx, "CA2", lost=True)
        await leases.release(tx, "CA9")
    assert await claim(database, leases) == [LostCall("CA2", calls["CA2"])]


async def test_ended_and_handed_over_calls_are_not_brought_back(
    database: Database, calls: dict[str, str], keys: KeyRing
) -> None:
    dead = node("dead")
    await take(database, dead, calls, "CA1", "CA2", "CA3")
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        await conversations.finish(tx, calls["CA1"], reason="caller_left")
        await conversations.set_status(tx, calls["CA2"], "handoff")
    await die(database, dead)
    assert [call.call_sid for call in await claim(database, node("n"))] == ["CA3"]
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT count(*) AS n FROM leases")
        assert await cursor.fetchone() == {"n": 1}, "and their leases are gone"


async def test_who_has_a_conversation(database: Database, calls: dict[str, str]) -> None:
    leases = node("n")
    await take(database, leases, calls, "CA1")
    async with database.transaction() as tx:
        assert await leases.holder(tx, calls["CA1"]) == "http://n.test"
        assert await leases.holder(tx, calls["CA2"]) is None
    await die(database, leases)
    async with database.transaction() as tx:
        assert await leases.holder(tx, calls["CA1"]) is None
