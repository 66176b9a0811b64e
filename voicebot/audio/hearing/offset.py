"""A constant voltage on the line (bad converters, broken codecs) is taken off before anybody listens.

It is no sound, but it has a level: silence would seem as loud as a voice, and every voice drowned in noise.
Pure; numpy; one window at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_WINDOWS = 64
"""The mean runs over the last 2 s, or over all where that is less: a loud voice on a good line stays below
``_LEAST``."""

_LEAST = 64.0
"""Below this (-54 dBFS) nothing is touched: what good lines carry stays as it is, sample for sample."""

_LARGEST = np.iinfo(np.int16)


class OffsetRemoval:
    """One per call."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._windows = 0

    def clean(self, window: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """The window (PCM16) without the line's constant part."""
        offset = self.of(float(window.mean()), flat=int(window.min()) == int(window.max()))
        return self.without(window, offset) if offset else window

    def of(self, mean: float, *, flat: bool) -> float:
        """The line's constant part with the next window, by that one's mean; 0: none that matters.

        ``flat``: all its samples are the same.
        """
        self._windows = min(_WINDOWS, self._windows + 1)
        # A window that is nothing but an offset (a stuck codec) says it at once.
        self._mean = mean if flat else self._mean + (mean - self._mean) / self._windows
        return self._mean if abs(self._mean) >= _LEAST else 0.0

    @staticmethod
    def without(window: npt.NDArray[np.int16], offset: float) -> npt.NDArray[np.int16]:
        """A window without its constant part."""
        return np.clip(window - np.round(offset), _LARGEST.min, _LARGEST.max).astype(np.int16)
