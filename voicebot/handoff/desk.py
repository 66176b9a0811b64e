"""Stores handoffs: composed and sealed in the transaction of the turn that asked for them."""

from __future__ import annotations

from pathlib import Path

from voicebot.core.store import handoffs
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.handover import HandoverRequest
from voicebot.handoff.compose import compose
from voicebot.handoff.patterns import HandoffPatterns
from voicebot.handoff.payload import plain


class StoredHandoffs:
    """Implements `voicebot.dialogue.handover.HandoverDesk` on our database. One per node."""

    def __init__(self, keys: KeyRing, patterns: HandoffPatterns) -> None:
        self._keys = keys
        self._patterns = patterns

    @classmethod
    def of(cls, keys: KeyRing, folder: Path) -> StoredHandoffs:
        """For a deployment's folder: reads ``business/handoff.yaml``.

        Raises:
            PatternsError: the file cannot be used.
        """
        return cls(keys, HandoffPatterns.read(folder / "business" / "handoff.yaml"))

    async def store(self, tx: Transaction, request: HandoverRequest) -> str:
        """Stores the handoff; twice for one turn is once. Returns its id."""
        payload = compose(request, self._patterns)
        return await handoffs.save(
            tx,
            self._keys,
            conversation_id=request.snapshot.id,
            turn=request.turn,
            trigger=request.trigger,
            urgency=payload.urgency,
            payload=plain(payload),
        )
