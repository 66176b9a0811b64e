"""When each thing of a turn happened, on the media clock."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.core.conversation import TurnTimings

_FIELDS = frozenset(TurnTimings.model_fields) - {"early"}


class Waterfall:
    """Collects the moments of one turn; each is noted once, the first time.

    Args:
        now_ms: the media clock, milliseconds since the stream began.
    """

    def __init__(self, now_ms: Callable[[], int], **known_ms: int | None) -> None:
        self._now_ms = now_ms
        self._at: dict[str, int] = {}
        self.early: bool | None = None
        """Whether the turn was planned before it had ended."""
        for name, value in known_ms.items():
            if value is not None:
                self.note(name, value)

    def note(self, name: str, at_ms: int | None = None) -> None:
        """Notes ``name`` (a field of TurnTimings) at ``at_ms``, or now."""
        if name not in _FIELDS:
            raise KeyError(f"{name} is not a moment of a turn")
        self._at.setdefault(name, self._now_ms() if at_ms is None else at_ms)

    def timings(self) -> TurnTimings:
        """What is known so far."""
        return TurnTimings(**self._at, early=self.early)
