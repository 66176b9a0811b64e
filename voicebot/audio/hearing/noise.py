"""How the line sounds: noise between the words, the voice above it, clipping. Pure; one window at a time.

The noise floor is what the softest tenth of the last seconds was at: the pauses of somebody who speaks, or
the noise itself. The voice's level is the mean power of the turn's voiced windows. So their ratio says voice
*and* noise over noise: about 3 dB for a voice that is as loud as a steady noise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.audio.hearing.vad import WINDOW_MS

KEPT = 3000 // WINDOW_MS
"""Windows that are remembered: 3 s."""

ENOUGH = 12
"""Fewer windows (0.4 s) say nothing about the floor."""

SOFTEST = 10
"""Percentile of the levels that is taken for the floor."""

FLOOR_DBFS = -70.0
"""Quieter than this is a silent line: digital silence has no level of its own."""

TOP_CODE = 32124
"""The loudest sample that mu-law has."""


@dataclass(frozen=True)
class LineFacts:
    """Of one turn: ``snr_db`` (None: too little was heard), share of ``clipped`` samples."""

    snr_db: float | None = None
    clipped: float = 0.0


NOTHING_KNOWN = LineFacts()


class LineNoise:
    """One per call."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=KEPT)
        self._power = 0.0
        self._voiced = 0
        self._clipped = 0
        self._samples = 0

    def turn_begins(self) -> None:
        """The voice is measured anew; the noise is the line's."""
        self._power, self._voiced, self._clipped, self._samples = 0.0, 0, 0, 0

    def push(self, window: npt.NDArray[np.int16], level_dbfs: float, *, voiced: bool) -> None:
        """The next window (PCM16), its level, and whether it counts as the voice."""
        self._levels.append(max(FLOOR_DBFS, level_dbfs))
        if voiced:
            self._power += 10 ** (level_dbfs / 10)
            self._voiced += 1
            self._samples += window.size
            self._clipped += int(np.count_nonzero(np.abs(window.astype(np.int32)) >= TOP_CODE))

    def of_turn(self) -> LineFacts:
        """What is known of the turn so far."""
        clipped = self._clipped / self._samples if self._samples else 0.0
        if not self._voiced or len(self._levels) < ENOUGH:
            return LineFacts(None, clipped)
        voice = 10 * float(np.log10(self._power / self._voiced))
        return LineFacts(round(voice - float(np.percentile(self._levels, SOFTEST)), 1), clipped)
