"""Which of our parts are down, as this process has seen it: failures in a row, forgotten after a while. Pure.

    health.failed("records", by=conversation_id)
    health.worked("records")
    health.down()                       # {"records": 3}

One per node, shared by its calls. What one caller runs into, the next is spared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.core.clock import Clock, monotonic

FORGOTTEN_S = 30.0
"""After so long without a new failure the part is tried again."""


@dataclass
class _Failures:
    last_s: float
    by: set[str] = field(default_factory=set[str])


class Health:
    """Failures in a row, by part. Failures of one conversation count once: its own turns deal with them."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failures] = {}

    def failed(self, part: str, *, by: str) -> None:
        """``part`` did not answer, in the conversation ``by``."""
        now = self._clock()
        known = self._failures.get(part)
        if known is None or now - known.last_s > FORGOTTEN_S:
            known = self._failures[part] = _Failures(now)
        known.last_s = now
        known.by.add(by)

    def worked(self, part: str) -> None:
        """``part`` answered."""
        self._failures.pop(part, None)

    def down(self) -> Mapping[str, int]:
        """Conversations in a row that each part has failed, those without a failure left out."""
        now = self._clock()
        return {part: len(one.by) for part, one in self._failures.items() if now - one.last_s <= FORGOTTEN_S}
