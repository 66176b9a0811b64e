"""A committed event is delivered, in order, at least once, whatever dies in between; others never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from voicebot.core.bus import Bus, Subscription
from voicebot.core.conversation import Channel, Event
from voicebot.core.store import audit
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, is_held
from voicebot.core.store.follow import follow
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import BATCH, Relay, append, events_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Call:
    """A conversation to write events for."""

    def __init__(self, database: Database, keys: KeyRing, conversation_id: str, subject_id: str) -> None:
        self.database, self.keys = database, keys
        self.id, self.subject_id = conversation_id, subject_id

    def event(self, name: str) -> Event:
        return Event(
            id=f"{self.id}.{name}",
            type="turn.committed",
            conversation_id=self.id,
            turn=1,
            time=NOW,
            data={"name": name},
        )

    async def commit(self, *names: str, database: Database | None = None) -> list[int]:
        async with (database or self.database).transaction() as tx:
            return [await append(tx, self.keys, self.subject_id, self.event(name)) for name in names]


async def make_call(database: Database, keys: KeyRing) -> Call:
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        conversation_id = await conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={}
        )
        snapshot = await conversations.load(tx, conversation_id)
    return Call(database, keys, conversation_id, snapshot.subject_id)


@pytest_asyncio.fixture
async def call(database: Database, keys: KeyRing) -> Call:
    return await make_call(database, keys)


@pytest_asyncio.fixture
async def other_node(fresh_database_url: str) -> AsyncIterator[Database]:
    """Another process on the same database."""
    opened = await Database.open(fresh_database_url, timeout_s=10.0)
    yield opened
    await opened.close()


def received(subscription: Subscription) -> list[str]:
    """Names of what was delivered so far."""
    subscription.close()

    async def drain() -> list[str]:
        return [event.data["name"] async for event in subscription]

    coroutine = drain()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a closed subscription does not wait")


async def test_an_event_is_delivered_whole_and_once_taken_out(
    call: Call, database: Database, keys: KeyRing
) -> None:
    bus = Bus()
    subscription = bus.subscribe()
    relay = Relay(database, keys, bus)
    [seq] = await call.commit("a")
    assert await relay.deliver() == 1
    assert await anext(subscription) == call.event("a").model_copy(update={"seq": seq})
    assert await relay.deliver() == 0


async def test_what_rolls_back_was_never_said(call: Call, database: Database, keys: KeyRing) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await append(tx, keys, call.subject_id, call.event("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    bus = Bus()
    subscription = bus.subscribe()
    assert await Relay(database, keys, bus).deliver() == 0
    assert received(subscription) == []


async def test_the_same_event_twice_is_one(call: Call, database: Database, keys: KeyRing) -> None:
    first, again = await call.commit("a"), await call.commit("a")
    assert first == again
    bus = Bus()
    subscription = bus.subscribe()
    assert await Relay(database, keys, bus).deliver() == 1
    assert received(subscription) == ["a"]


async def test_order_holds_over_many_transactions_and_batches(
    call: Call, database: Database, keys: KeyRing
) -> None:
    names = [f"n{n}" for n in range(BATCH + 20)]
    for start in range(0, len(names), 40):
        await call.commit(*names[start : start + 40])
    bus = Bus()
    subscription = bus.subscribe()
    relay = Relay(database, keys, bus)
    assert [await relay.deliver() for _ in range(3)] == [BATCH, 20, 0]
    assert received(subscription) == names


async def test_seq_follows_the_order_of_commits_within_a_conversation(
    call: Call, database: Database, keys: KeyRing
) -> None:
    """Else a viewer that read up to seq 2 would never see seq 1, committed later."""
    first_wrote = asyncio.Event()

    async def first() -> None:
        async with database.transaction() as tx:
            await append(tx, keys, call.subject_id, call.event("first"))
            first_wrote.set()
            await asyncio.sleep(0.05)  # the second reaches the lock meanwhile; if it is late, nothing breaks

    async def second() -> None:
        await first_wrote.wait()
        await call.commit("second")
        async with database.transaction() as tx:
            seen = await events_of(tx, keys, call.id)
        assert [event.data["name"] for event in seen] == ["first", "second"]

    await asyncio.gather(first(), second())


async def test_after_a_crash_between_commit_and_delivery_another_process_delivers(
    call: Call, database: Database, other_node: Database, keys: KeyRing
) -> None:
    await call.commit("a", "b")
    # The process of `database` dies here. Nobody else touches its events while it may be alive:
    bus = Bus()
    subscription = bus.subscribe()
    assert await Relay(other_node, keys, bus, takeover_s=60).deliver() == 0
    relay = Relay(other_node, keys, bus, takeover_s=0)
    assert await relay.deliver() == 2
    assert received(subscription) == ["a", "b"]


async def test_after_a_takeover_of_the_call_the_old_events_come_first(
    call: Call, other_node: Database, keys: KeyRing
) -> None:
    await call.commit("before")
    await call.commit("after", database=other_node)
    bus = Bus()
    subscription = bus.subscribe()
    await Relay(other_node, keys, bus, takeover_s=60).deliver()
    assert received(subscription) == ["before", "after"]


async def test_an_event_comes_again_if_taking_it_out_fails(
    call: Call, database: Database, keys: KeyRing
) -> None:
    class DyingBus(Bus):
        def publish(self, event: Event) -> None:
            super().publish(event)
            raise ConnectionError("this process dies after publishing, before the outbox row is gone")

    dying, bus = DyingBus(), Bus()
    first, second = dying.subscribe(), bus.subscribe()
    await call.commit("a")
    with pytest.raises(ConnectionError):
        await Relay(database, keys, dying).deliver()
    await Relay(database, keys, bus).deliver()
    assert received(first) == received(second) == ["a"]


async def test_two_relays_at_once_deliver_each_event_to_one(
    call: Call, database: Database, other_node: Database, keys: KeyRing
) -> None:
    names = [f"n{n}" for n in range(30)]
    await call.commit(*names)
    buses = Bus(), Bus()
    subscriptions = [bus.subscribe() for bus in buses]
    relays = [
        Relay(db, keys, bus, takeover_s=0) for db, bus in zip((database, other_node), buses, strict=True)
    ]
    await asyncio.gather(*(relay.deliver() for relay in relays))
    assert sorted(received(subscriptions[0]) + received(subscriptions[1])) == sorted(names)


async def test_an_unreadable_event_does_not_hold_up_the_others_and_is_recorded(
    call: Call, database: Database, keys: KeyRing
) -> None:
    await call.commit("a", "b")
    async with database.transaction() as tx:
        await tx.execute("UPDATE events SET sealed_data = 'x' WHERE id LIKE '%.a'")
    bus = Bus()
    subscription = bus.subscribe()
    assert await Relay(database, keys, bus).deliver() == 2
    assert received(subscription) == ["b"]
    async with database.transaction() as tx:
        [record] = await audit.records(tx, conversation_id=call.id)
    assert (record["what"], record["reason"]) == ("outbox.event", "SealBroken")


async def test_a_poke_delivers_at_once(call: Call, database: Database, keys: KeyRing) -> None:
    bus = Bus()
    subscription = bus.subscribe(call.id)
    relay = Relay(database, keys, bus, poll_s=3600)
    running = asyncio.create_task(relay.run())
    for name in ("a", "b"):
        await call.commit(name)
        relay.poke()
        async with asyncio.timeout(30):
            assert (await anext(subscription)).data == {"name": name}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_event_needs_its_conversation(call: Call, database: Database, keys: KeyRing) -> None:
    event = call.event("a").model_copy(update={"conversation_id": "cv_none"})
    async with database.transaction() as tx:
        with pytest.raises(LookupError, match="cv_none"):
            await append(tx, keys, call.subject_id, event)


async def test_who_loaded_the_conversation_locked_need_not_lock_it_again(
    call: Call, database: Database, keys: KeyRing
) -> None:
    """Order still holds: whoever comes second waits for the first, locked or only looked at."""
    conversations = Conversations(keys)
    began, go_on = asyncio.Event(), asyncio.Event()

    async def first() -> int:
        async with database.transaction() as tx:
            await conversations.load(tx, call.id, lock=True)
            assert is_held(tx, call.id)
            began.set()
            await go_on.wait()
            return await append(tx, keys, call.subject_id, call.event("one"))

    async def second() -> int:
        await began.wait()
        async with database.transaction() as tx:
            await conversations.load(tx, call.id)
            assert not is_held(tx, call.id)
            asyncio.get_running_loop().call_later(0.2, go_on.set)
            return await append(tx, keys, call.subject_id, call.event("two"))

    one, two = await asyncio.gather(first(), second())
    assert one < two


async def test_what_a_busy_process_writes_goes_together(
    call: Call, database: Database, keys: KeyRing
) -> None:
    """The first at once, those that follow it after a pause."""
    relay = Relay(database, keys, Bus(), poll_s=3600)
    rounds: list[int] = []
    deliver = relay.deliver

    async def counted() -> int:
        rounds.append(await deliver())
        return rounds[-1]

    relay.deliver = counted  # type: ignore[method-assign]
    running = asyncio.create_task(relay.run())
    for nth in range(10):
        await call.commit(str(nth))
        relay.poke()
    async with asyncio.timeout(30):
        while sum(rounds) < 10:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert len([one for one in rounds if one]) <= 3


async def test_events_after_a_seq(call: Call, database: Database, keys: KeyRing) -> None:
    other = await make_call(database, keys)
    first = await call.commit("a")
    await other.commit("x")
    await call.commit("b", "c")
    async with database.transaction() as tx:
        assert [e.data["name"] for e in await events_of(tx, keys, call.id)] == ["a", "b", "c"]
        assert [e.data["name"] for e in await events_of(tx, keys, call.id, after_seq=first[0])] == ["b", "c"]


async def test_following_has_no_gap_and_no_duplicate(
    call: Call, database: Database, other_node: Database, keys: KeyRing
) -> None:
    """Stored events, live ones, and live partials, from the call's own process and from another."""
    bus = Bus()
    relay = Relay(database, keys, bus, poll_s=3600)
    running = asyncio.create_task(relay.run())
    await call.commit("a", "b")

    async def watch(database: Database, bus: Bus, poll_s: float, after_seq: int = 0) -> list[str]:
        seen: list[str] = []
        async with aclosing(
            follow(database, keys, bus, call.id, after_seq=after_seq, poll_s=poll_s)
        ) as events:
            async for event in events:
                if event is None:
                    continue
                seen.append(event.data["name"])
                if event.data["name"] == "end":
                    return seen
        raise AssertionError("following does not end by itself")

    here = asyncio.create_task(watch(database, bus, 3600))
    elsewhere = asyncio.create_task(watch(other_node, Bus(), 0.02))
    while bus.subscribers < 1:
        await asyncio.sleep(0)
    for n in range(5):
        await call.commit(f"n{n}")
        relay.poke()
        await asyncio.sleep(0.01)
    bus.publish(call.event("partial"))  # no seq: it is not stored
    await call.commit("end")
    relay.poke()
    async with asyncio.timeout(60):
        seen_here, seen_elsewhere = await here, await elsewhere
    stored = ["a", "b", "n0", "n1", "n2", "n3", "n4", "end"]
    assert [name for name in seen_here if name != "partial"] == stored
    assert seen_here.count("partial") == 1
    assert seen_elsewhere == stored
    async with asyncio.timeout(60):
        assert (await watch(other_node, Bus(), 0.02, after_seq=4)) == stored[4:], "reconnected"
    assert bus.subscribers == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
