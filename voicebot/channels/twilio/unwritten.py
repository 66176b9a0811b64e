"""What was settled about a call while the database was away, until it can be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

MOST = 10_000
"""Calls remembered; the oldest is forgotten first (its conversation then stays open)."""


@dataclass(frozen=True, slots=True)
class Settled:
    """``conversation_id`` None: only the call is known yet. ``person_for``: why a person takes or took
    the call, who is to find a handoff even if the caller has hung up since.
    """

    standing: Literal["handoff", "ended"]
    reason: str
    conversation_id: str | None = None
    person_for: str | None = None


class Unwritten:
    """By CallSid, one per node. An ended call does not become another's again."""

    def __init__(self) -> None:
        self._by_call: dict[str, Settled] = {}

    def __len__(self) -> int:
        return len(self._by_call)

    def add(self, call_sid: str, settled: Settled) -> None:
        """Remembers it."""
        known = self._by_call.get(call_sid)
        if known is not None and known.standing == "ended":
            return
        if known is not None and settled.person_for is None:
            settled = replace(
                settled,
                conversation_id=settled.conversation_id or known.conversation_id,
                person_for=known.person_for,
            )
        self._by_call[call_sid] = settled
        if len(self._by_call) > MOST:
            del self._by_call[next(iter(self._by_call))]

    def of_call(self, call_sid: str) -> Settled | None:
        """What is remembered of a call."""
        return self._by_call.get(call_sid)

    def pending(self) -> list[tuple[str, Settled]]:
        """All of it, oldest first."""
        return list(self._by_call.items())

    def written(self, call_sid: str, settled: Settled) -> None:
        """It stands in the database now."""
        if self._by_call.get(call_sid) == settled:
            del self._by_call[call_sid]
