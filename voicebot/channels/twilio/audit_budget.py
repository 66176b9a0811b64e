"""How many refusals may be written down, so that a flood of them costs live calls nothing. Pure."""

from __future__ import annotations

from voicebot.core.clock import Clock


class AuditBudget:
    """A token bucket: ``burst`` at once, ``per_s`` in the long run; what it denies is counted.

    The count goes with the next refusal that is written, so that none is lost without a trace.
    """

    def __init__(self, clock: Clock, *, per_s: float = 10.0, burst: int = 50) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at_s = clock()
        self._denied = 0

    def spend(self) -> bool:
        """True: write this one down."""
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._at_s) * self._per_s)
        self._at_s = now
        if self._tokens < 1.0:
            self._denied += 1
            return False
        self._tokens -= 1.0
        return True

    def take_denied(self) -> int:
        """How many were not written since this was last asked."""
        denied, self._denied = self._denied, 0
        return denied
