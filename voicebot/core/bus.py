"""Events inside one process: whoever watches a call subscribes here.

Delivery is synchronous and never waits for a subscriber: one that does not keep up loses its
oldest events and is told so. What must not be lost is in the database (`store.outbox`).
What other processes publish is brought here by `store.sharing`.
Single event loop; not for other threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from voicebot.core.conversation import Event

CAPACITY = 1000
"""Events a subscriber may fall behind: minutes of a call's events, partials included."""


class Subscription:
    """An endless async iterator of events; ends when `close` is called.

    Attributes:
        conversation_id: of which conversation; None: of all.
        dropped: how many events were lost because this subscriber was slow.
    """

    def __init__(self, bus: Bus, conversation_id: str | None, capacity: int) -> None:
        self._bus = bus
        self.conversation_id = conversation_id
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def close(self) -> None:
        """No more events; an iteration that waits ends after those it already has. Twice does nothing."""
        self._closed = True
        self._bus.forget(self)
        self._wake.set()

    def skip_live(self) -> None:
        """Forgets the live events (``seq`` None) that were not taken yet."""
        self._events = deque(event for event in self._events if event.seq is not None)

    def deliver(self, event: Event) -> None:
        """Takes the event if it is wanted. Called by the bus."""
        if self.conversation_id not in (None, event.conversation_id):
            return
        if len(self._events) == self._capacity:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


def _nobody(_: object) -> None:
    return


class Bus:
    """Publish and subscribe. One per process."""

    def __init__(self) -> None:
        self._subscriptions: dict[Subscription, None] = {}
        self._watched: Counter[str] = Counter()
        self._published: Callable[[Event], None] = _nobody
        self._watching: Callable[[str], None] = _nobody

    def publish(self, event: Event) -> None:
        """Hands ``event`` to all who want it, now, in the order of their subscription."""
        self.bring(event)
        self._published(event)

    def bring(self, event: Event) -> None:
        """As `publish`, for an event that another process published: it goes no further."""
        for subscription in tuple(self._subscriptions):
            subscription.deliver(event)

    def share(self, published: Callable[[Event], None], watching: Callable[[str], None]) -> None:
        """Tells of every event that is published here, and of every conversation somebody begins to watch."""
        self._published, self._watching = published, watching

    def subscribe(self, conversation_id: str | None = None, *, capacity: int = CAPACITY) -> Subscription:
        """Events published from now on, of one conversation or (None) of all. Close it when done."""
        subscription = Subscription(self, conversation_id, capacity)
        self._subscriptions[subscription] = None
        if conversation_id is not None:
            self._watched[conversation_id] += 1
            self._watching(conversation_id)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Ends deliveries to ``subscription``; its own `Subscription.close` calls this."""
        if subscription not in self._subscriptions:
            return
        del self._subscriptions[subscription]
        watched = subscription.conversation_id
        if watched is not None:
            self._watched[watched] -= 1
            if not self._watched[watched]:
                del self._watched[watched]

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return len(self._subscriptions)

    @property
    def watched(self) -> tuple[str, ...]:
        """The conversations that somebody here watches."""
        return tuple(self._watched)
