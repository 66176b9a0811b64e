"""When the next piece of audio may be sent: pure pacing, clock passed in.

Audio runs ahead of the caller's ear by ``lead_ms`` to ``lead_ms`` plus one message, so that a stall of the
loop shorter than the lead is not heard. After a stall the pacer does not re-anchor: what fell due meanwhile
is due at once, until the lead is back.
"""

from __future__ import annotations

MESSAGE_MS = 100
"""Length of a message: at 100 ms with a mark each, a third of the cost of 20 ms."""


class Pacer:
    """Keeps the moment at which everything that was sent will have played. One per ``say``."""

    def __init__(self, lead_ms: float) -> None:
        self._lead_s = lead_ms / 1000
        self._plays_until = float("-inf")

    def wait_s(self, now: float) -> float:
        """Seconds until the next message may leave; 0 = now."""
        return max(0.0, self._plays_until - now - self._lead_s)

    def sent(self, length_ms: float, now: float) -> None:
        """A message of ``length_ms`` left."""
        self._plays_until = max(self._plays_until, now) + length_ms / 1000

    def cleared(self) -> None:
        """What was sent and not played will not play: the next message is due at once."""
        self._plays_until = float("-inf")

    def ahead_ms(self, now: float) -> float:
        """Audio sent and not yet played, by the clock."""
        return max(0.0, (self._plays_until - now) * 1000)
