"""Is there still speech in the sound? By its level alone, in frames of 20 ms. Pure.

Only for the question whether new audio is worth another decode. It errs towards speech: the listener's own
voice activity decides about turns.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

import numpy as np
import numpy.typing as npt

FRAME_MS = 20
FRAME = 160  # samples at 8 kHz

FLOOR_DBFS = -55.0
"""Below this nothing is speech; a quiet caller is at -40."""

BELOW_LOUDEST_DB = 32.0
"""So far below the loudest frame nothing is speech either (the listener uses 30)."""

ABOVE_NOISE_DB = 6.0
BELOW_LOUDEST_AT_LEAST_DB = 12.0
"""In noise: this much above its floor, which is never taken to reach closer to the voice than the second."""

_HISTORY = 1500  # frames (30 s)
_NOISE_QUANTILE = 0.1


class Levels:
    """The levels of one utterance. ``voiced_ms`` counts frames with speech, ``voiced_to_ms`` is their end."""

    def __init__(self) -> None:
        self.fed_ms = 0
        self.voiced_ms = 0
        self.voiced_to_ms = 0
        self._rest: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._history: deque[float] = deque()
        self._ordered: list[float] = []
        self._loudest = -120.0

    def feed(self, pcm: npt.NDArray[np.int16]) -> None:
        """More audio, 8 kHz; what is no whole frame waits for the next."""
        samples = np.concatenate((self._rest, pcm))
        count = samples.size // FRAME
        self._rest = samples[count * FRAME :]
        if not count:
            return
        frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float32) / 32768
        frames -= frames.mean(axis=1, keepdims=True)
        levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
        for level in levels.tolist():
            self._loudest = max(self._loudest, level)
            self._remember(level)
            self.fed_ms += FRAME_MS
            if level > self.threshold_dbfs():
                self.voiced_ms += FRAME_MS
                self.voiced_to_ms = self.fed_ms

    def threshold_dbfs(self) -> float:
        """Frames above this are speech."""
        over_noise = min(self._noise_dbfs() + ABOVE_NOISE_DB, self._loudest - BELOW_LOUDEST_AT_LEAST_DB)
        return max(FLOOR_DBFS, self._loudest - BELOW_LOUDEST_DB, over_noise)

    def _remember(self, level: float) -> None:
        self._history.append(level)
        insort(self._ordered, level)
        if len(self._history) > _HISTORY:
            del self._ordered[bisect_left(self._ordered, self._history.popleft())]

    def _noise_dbfs(self) -> float:
        """The quantile of what is remembered, interpolated; asked at every frame, so kept in order."""
        if not self._ordered:
            return -120.0
        place = _NOISE_QUANTILE * (len(self._ordered) - 1)
        below = int(place)
        above = min(below + 1, len(self._ordered) - 1)
        return self._ordered[below] + (place - below) * (self._ordered[above] - self._ordered[below])
