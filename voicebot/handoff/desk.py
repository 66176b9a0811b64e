"""Stores handoffs: composed and sealed in the transaction of the turn that asked for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from voicebot.core.store import handoffs
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.handover import HandoverRequest
from voicebot.handoff.compose import compose
from voicebot.handoff.payload import plain
from voicebot.handoff.people import People
from voicebot.handoff.queue import priority_of
from voicebot.handoff.reasons import Library


class StoredHandoffs:
    """Implements `voicebot.dialogue.handover.HandoverDesk` on our database. One per node."""

    def __init__(
        self,
        keys: KeyRing,
        library: Library,
        people: People,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._library = library
        self._people = people
        self._now = now

    @classmethod
    def of(cls, keys: KeyRing, folder: Path) -> StoredHandoffs:
        """For a deployment's folder: reads ``handoff.yaml, patterns.yaml, people.yaml`` of its ``business/``.

        Raises:
            PatternsError: a library cannot be used.
            PeopleError: the people cannot.
        """
        return cls(keys, Library.read(folder), People.read(folder))

    async def store(self, tx: Transaction, request: HandoverRequest) -> str:
        """Stores the handoff; twice for one turn is once. Returns its id."""
        payload = compose(request, self._library, self._now())
        return await handoffs.save(
            tx,
            self._keys,
            conversation_id=request.snapshot.id,
            turn=request.turn,
            trigger=request.trigger,
            urgency=payload.urgency,
            payload=plain(payload),
            skill=self._people.skill_of(request.owner),
            priority=priority_of(payload.urgency),
        )
