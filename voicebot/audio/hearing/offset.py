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
        now = float(window.mean())
        self._windows = min(_WINDOWS, self._windows + 1)
        # A window that is nothing but an offset (a stuck codec) says it at once.
        flat = int(window.min()) == int(window.max())
        self._mean = now if flat else self._mean + (now - self._mean) / self._windows
        if abs(self._mean) < _LEAST:
            return window
        return np.clip(window - np.round(self._mean), _LARGEST.min, _LARGEST.max).astype(np.int16)
