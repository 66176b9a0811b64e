"""How the line sounds: noise between the words, the voice above it, clipping. Pure; one window at a time.

The noise floor is the median level of the windows in which nobody spoke, over the last seconds of the call;
the voice's level is the mean power of the turn's voiced windows. So their ratio says voice *and* noise over
noise: 3 dB for a voice that is as loud as the noise.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.audio.hearing.vad import WINDOW_MS

KEPT = 3000 // WINDOW_MS
"""Windows of noise that are remembered: 3 s."""

ENOUGH = 6
"""Fewer windows of noise (0.2 s) say nothing about the floor."""

SURELY_NO_VOICE = 0.3
"""Windows with a higher probability of voice do not count as noise, nor as voice below the onset's."""

FLOOR_DBFS = -70.0
"""Quieter than this is a silent line: digital silence has no level of its own."""

TOP_CODE = 32124
"""The loudest sample that mu-law has."""


@dataclass(frozen=True)
class LineFacts:
    """Of one turn: ``snr_db`` (None: no noise or no voice was heard yet), share of ``clipped`` samples."""

    snr_db: float | None = None
    clipped: float = 0.0


NOTHING_KNOWN = LineFacts()


class LineNoise:
    """One per call."""

    def __init__(self) -> None:
        self._noise: deque[float] = deque(maxlen=KEPT)
        self._power = 0.0
        self._voiced = 0
        self._clipped = 0
        self._samples = 0

    def turn_begins(self) -> None:
        """The voice is measured anew; the noise is the line's."""
        self._power, self._voiced, self._clipped, self._samples = 0.0, 0, 0, 0

    def push(
        self, window: npt.NDArray[np.int16], level_dbfs: float, probability: float, *, voiced: bool
    ) -> None:
        """The next window (PCM16), its level, Silero's probability, and whether it counts as the voice."""
        if voiced:
            self._power += 10 ** (level_dbfs / 10)
            self._voiced += 1
            self._samples += window.size
            self._clipped += int(np.count_nonzero(np.abs(window.astype(np.int32)) >= TOP_CODE))
        elif probability < SURELY_NO_VOICE:
            self._noise.append(max(FLOOR_DBFS, level_dbfs))

    def of_turn(self) -> LineFacts:
        """What is known of the turn so far."""
        clipped = self._clipped / self._samples if self._samples else 0.0
        if not self._voiced or len(self._noise) < ENOUGH:
            return LineFacts(None, clipped)
        voice = 10 * float(np.log10(self._power / self._voiced))
        return LineFacts(round(voice - statistics.median(self._noise), 1), clipped)
