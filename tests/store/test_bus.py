"""The bus never waits for a subscriber; one that is slow loses its oldest events and knows it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from voicebot.core.bus import Bus
from voicebot.core.conversation import Event


def event(name: str, conversation_id: str = "cv_1") -> Event:
    return Event(
        id=name,
        type="partial.heard",
        conversation_id=conversation_id,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data={},
    )


async def test_a_subscriber_gets_its_conversation_from_now_on() -> None:
    bus = Bus()
    bus.publish(event("too early"))
    mine, all_of_them = bus.subscribe("cv_1"), bus.subscribe()
    bus.publish(event("a"))
    bus.publish(event("b", "cv_2"))
    bus.publish(event("c"))
    mine.close()
    all_of_them.close()
    assert [e.id async for e in mine] == ["a", "c"]
    assert [e.id async for e in all_of_them] == ["a", "b", "c"]


async def test_a_slow_subscriber_loses_the_oldest_and_is_told() -> None:
    bus = Bus()
    slow, quick = bus.subscribe(capacity=2), bus.subscribe()
    for n in range(5):
        bus.publish(event(str(n)))
    slow.close()
    quick.close()
    assert [e.id async for e in slow] == ["3", "4"]
    assert slow.dropped == 3
    assert [e.id async for e in quick] == ["0", "1", "2", "3", "4"]
    assert quick.dropped == 0


async def test_close_ends_one_that_waits_and_leaves_nothing() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    waiting = asyncio.create_task(anext(subscription))
    await asyncio.sleep(0)
    subscription.close()
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert bus.subscribers == 0
    bus.publish(event("nobody"))


async def test_a_cancelled_wait_loses_nothing() -> None:
    bus = Bus()
    subscription = bus.subscribe()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(subscription)
    bus.publish(event("a"))
    assert (await anext(subscription)).id == "a"
