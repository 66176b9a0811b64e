"""Sends every step of every handoff to a connector, in order, until it is taken or given up.

Woken by the events that the outbox delivers; a look every second finds what another node left behind. A
target that hangs holds one lane of several and no handoff.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from voicebot.core import metrics
from voicebot.core.bus import Bus, Subscription
from voicebot.core.store import audit, handoff_deliveries, handoffs
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.handoff_deliveries import Delivery
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import KeyRing, KeysError
from voicebot.handoff import payload as payloads
from voicebot.handoff.connectors.connector import Connector, Delivered, Later, Message, Refused, wait_s
from voicebot.handoff.payload import UnknownPayload
from voicebot.handoff.views import payload_view

log = structlog.get_logger(__name__)

LANES = 8
"""Deliveries under way at once, on one node."""
LOOK_S = 1.0


class Deliveries:
    """Sends to one connector. One per node and connector; several nodes share the work.

    Args:
        database: ours.
        keys: opens payloads.
        bus: wakes it.
        connector: where to.
        reason: a trigger in words.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        bus: Bus,
        connector: Connector,
        reason: Callable[[str], str],
    ) -> None:
        self._database = database
        self._keys = keys
        self._bus = bus
        self._connector = connector
        self._reason = reason
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sends until cancelled."""
        news = self._bus.subscribe()
        listening = asyncio.create_task(self._listen(news))
        self._woken = asyncio.Event()
        try:
            while True:
                self._woken.clear()
                try:
                    await self._begin()
                except DatabaseDown:
                    log.warning("handoff.deliveries_wait", reason="database down")
                await self._wait()
        finally:
            news.close()
            for task in (listening, *self._under_way):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def once(self) -> int:
        """Sends all that is due now, and waits for the answers. Returns how many tries there were."""
        begun = await self._begin()
        if self._under_way:
            await asyncio.wait(self._under_way)
        return begun

    async def _begin(self) -> int:
        connector = self._connector
        async with self._database.transaction() as tx:
            await handoff_deliveries.queue(tx, connector.name)
            due = await handoff_deliveries.claim(
                tx, connector.name, lease_s=connector.lease_s, limit=LANES - len(self._under_way)
            )
        for delivery in due:
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        return len(due)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease ends, and it comes again.
            log.error("handoff.delivery_crashed", error=type(error).__name__)

    async def _deliver(self, delivery: Delivery) -> None:
        if delivery.tries > self._connector.tries:  # nodes died over it, one after another
            await self._settle(delivery, Refused("too many tries"))
            return
        try:
            message = Message(delivery.id, f"handoff.{delivery.what}", await self._body(delivery))
        except (UnknownHandoff, KeysError) as error:  # erased, or sealed under another key: it never opens
            await self._settle(delivery, Refused(type(error).__name__))
            return
        answer = await self._connector.send(message)
        await self._settle(delivery, answer)

    async def _settle(self, delivery: Delivery, answer: Delivered | Later | Refused) -> None:
        connector = self._connector
        outcome: Literal["delivered", "given_up", "queued"]
        next_s: float | None
        match answer:
            case Delivered():
                outcome, next_s = "delivered", None
            case Later():
                next_s = wait_s(delivery.id, delivery.tries, connector.tries, answer.wait_s)
                outcome = "given_up" if next_s is None else "queued"
            case Refused():
                outcome, next_s = "given_up", None
        reason = None if isinstance(answer, Delivered) else answer.reason
        async with self._database.transaction() as tx:
            mine = await handoff_deliveries.settle(tx, delivery, outcome, reason=reason, wait_s=next_s or 0.0)
        if not mine:
            return
        metrics.handoff_deliveries.labels(connector.name, outcome).inc()
        if outcome != "delivered":
            log.warning(
                "handoff.not_delivered",
                connector=connector.name,
                handoff=delivery.handoff_id,
                delivery=delivery.id,
                what=delivery.what,
                tries=delivery.tries,
                reason=reason,
                again_in_s=None if next_s is None else round(next_s, 1),
            )

    async def _body(self, delivery: Delivery) -> dict[str, Any]:
        async with self._database.transaction() as tx:
            row = await handoffs.get(tx, self._keys, delivery.handoff_id)
            await audit.access(
                tx,
                actor=f"connector:{self._connector.name}",
                resource="handoff",
                purpose="delivery",
                conversation_id=row["conversation_id"],
            )
        stored = row.pop("payload")
        try:
            payload = payload_view(payloads.plain(payloads.read(stored, row["created_at"])), None, ()).shown
        except UnknownPayload:
            payload = None
        return {
            "delivery": delivery.id,
            "event": f"handoff.{delivery.what}",
            "who": delivery.who,
            "at": delivery.at.astimezone(UTC).isoformat(),
            "handoff": {
                **{key: _json(value) for key, value in row.items()},
                "reason": self._reason(row["trigger"]),
            },
            "payload": payload,
        }

    async def _listen(self, news: Subscription) -> None:
        async for event in news:
            if event.type.startswith(("handoff.", "transfer.")):
                self._woken.set()

    async def _wait(self) -> None:
        """Until something happened, or a lane is free, or it is time to look."""
        waking = asyncio.create_task(self._woken.wait())
        full = len(self._under_way) >= LANES
        await asyncio.wait(
            {waking, *self._under_way} if not full else self._under_way,
            timeout=LOOK_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        waking.cancel()


def _json(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
