"""A conversation's events from a point on: stored ones first, page by page, then as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from voicebot.core.bus import Bus, Subscription
from voicebot.core.conversation import Event
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import events_of

PAGE = 50
"""Events opened at once: about 1 ms of a node's event loop."""

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
    wanted: Callable[[str], bool] = lambda kind: True,
) -> AsyncGenerator[Event | None]:
    """Yields the stored events with ``seq`` above ``after_seq``: in order, no gap, no duplicate, no end.

    None means that all there is has been told: whenever the store was read to its end, and whenever nothing
    came for ``poll_s``. The next page is read when the one before was taken, so a reader far behind, or a
    slow one, costs one page.

    Works in any process: where the call is, the bus says at once that there is something new; elsewhere
    `sharing.Sharing` tells the bus, and the store is polled. Live events that are not stored (``seq`` None:
    partials) come through as they are published; they are not kept for a reader who is still catching up.

    Close the generator when done (`contextlib.aclosing`).

    Args:
        database: where they are stored.
        keys: open them.
        bus: this process's.
        conversation_id: ``cv_...``.
        after_seq: the last one seen.
        poll_s: seconds between two looks at the store while nothing is heard.
        wanted: which types are yielded.

    Raises:
        DatabaseDown: the store cannot be read; follow again from the last ``seq`` seen.
        KeysError: what is stored cannot be opened (any more).
    """
    subscription = bus.subscribe(conversation_id, capacity=PAGE)
    try:
        while True:
            full = True
            while full:
                async with database.transaction() as tx:
                    page = await events_of(tx, keys, conversation_id, after_seq=after_seq, limit=PAGE)
                full = len(page) == PAGE
                if full:
                    subscription.skip_live()  # words of that moment are of no use behind what comes first
                for event in page:
                    assert event.seq is not None  # it comes from the store
                    after_seq = event.seq
                    if wanted(event.type):
                        yield event
            yield None
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
