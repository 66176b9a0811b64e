"""How often a caller's words are read while they speak, by what a reading costs and who else speaks. Pure."""

from __future__ import annotations

import math

FIRST_MS = 560
"""Audio before the first partial: 300 ms of pre-roll and the first syllables."""

SOONEST_MS = 320
LATEST_MS = 1600

CALL_SHARE = 0.025
"""Of a core, what the partials of one caller may cost while they speak; a final costs what it costs.

With 0.06 all decodes of a three-second sentence cost 0.58 (tiny) and 0.40 (base) of one decode of a 30 s
window with a beam of five, which is what a stock front end spends; this keeps both below a third."""

ALL_SHARE = 0.4
"""Of all the model's threads, what partials together may cost: the rest is for finals."""

AUDIO_CLOCK_MS = 480
"""By the audio's own clock (replay, virtual time): always this."""

_MEMORY = 0.9
_LOAD_S = 5.0


class Pace:
    """What a reading has cost of late, and so how much new audio makes the next worth it."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._cost_s = 0.0
        self._load = 0.0
        self._at = 0.0

    def ran(self, seconds: float, rows: int, now: float) -> None:
        """A batch of ``rows`` windows took ``seconds`` and ended ``now``."""
        each = seconds / max(1, rows)
        self._cost_s = each if not self._cost_s else _MEMORY * self._cost_s + (1 - _MEMORY) * each
        self._load = self._decayed(now) + seconds / (_LOAD_S * self._threads)
        self._at = now

    def load(self, now: float) -> float:
        """Busy share of the model's threads over the last seconds: 0 idle, 1 full."""
        return min(1.0, self._decayed(now))

    def partial_ms(self, utterances: int) -> int:
        """New audio after which a caller's words are read again, with so many utterances open."""
        share = min(CALL_SHARE, ALL_SHARE * self._threads / max(1, utterances))
        return round(min(LATEST_MS, max(SOONEST_MS, self._cost_s * 1000 / share)))

    def _decayed(self, now: float) -> float:
        return self._load * math.exp(-max(0.0, now - self._at) / _LOAD_S)
