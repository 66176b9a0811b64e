"""A conversation's events from a point on: stored ones first, then as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from voicebot.core.bus import Bus, Subscription
from voicebot.core.conversation import Event
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import events_of

POLL_S = 0.5
"""How often the store is asked for events of other processes: they are seen in under a second."""


async def follow(
    database: Database,
    keys: KeyRing,
    bus: Bus,
    conversation_id: str,
    *,
    after_seq: int = 0,
    poll_s: float = POLL_S,
) -> AsyncGenerator[Event]:
    """Yields the stored events with ``seq`` above ``after_seq``: in order, no gap, no duplicate, no end.

    Works in any process: where the call is, the bus says at once that there is something new;
    elsewhere the store is polled. Live events that are not stored (``seq`` None: partials)
    come through as they are published, in the call's own process only.

    Close the generator when done (`contextlib.aclosing`).

    Raises:
        DatabaseDown: the store cannot be read; follow again from the last ``seq`` seen.
    """
    subscription = bus.subscribe(conversation_id)
    try:
        while True:
            async with database.transaction() as tx:
                stored = await events_of(tx, keys, conversation_id, after_seq=after_seq)
            for event in stored:
                assert event.seq is not None  # it comes from the store
                after_seq = event.seq
                yield event
            while (event := await _next(subscription, poll_s)) is not None:
                if event.seq is None:
                    yield event
                elif event.seq > after_seq:
                    break
    finally:
        subscription.close()


async def _next(subscription: Subscription, poll_s: float) -> Event | None:
    try:
        async with asyncio.timeout(poll_s):
            return await anext(subscription)
    except TimeoutError:
        return None
