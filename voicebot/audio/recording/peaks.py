"""How loud a call is from moment to moment, small enough to be drawn. Pure.

One byte says the loudest sample of 10 ms on a scale of its own: 0 is silence, 255 full scale, and equal steps
are equal steps of the square root, so that a voice on a quiet line is seen, too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import decode
from voicebot.audio.recording.format import RATE_HZ

BUCKET_MS = 10
_BUCKET = RATE_HZ * BUCKET_MS // 1000
MOST = 4000
"""Points of one answer: more than any screen has columns."""

_SCALE = np.sqrt(np.arange(32769) / 32768) * 255


class Loudness:
    """Of both channels; ``add`` what follows, then ask for ``points``."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.uint8]] = []
        self._left = np.zeros((0, 2), dtype=np.uint8)
        self._whole: npt.NDArray[np.uint8] | None = None

    def add(self, ulaw: npt.NDArray[np.uint8]) -> None:
        """Mu-law ``[n, 2]`` that follows on what was added before."""
        ulaw = np.concatenate((self._left, ulaw)) if self._left.shape[0] else ulaw
        full = ulaw.shape[0] // _BUCKET * _BUCKET
        self._left = ulaw[full:].copy()
        self._whole = None
        if full:
            self._parts.append(_loudest(ulaw[:full].reshape(-1, _BUCKET, 2)))

    def points(self, from_ms: int, until_ms: int, count: int) -> npt.NDArray[np.uint8]:
        """The loudest of ``count`` equal stretches, uint8 ``[count, 2]``; silence where there is no sound."""
        count = max(1, min(count, MOST))
        whole = self._all()
        edges = np.linspace(from_ms / BUCKET_MS, until_ms / BUCKET_MS, count + 1)
        first = np.clip(np.floor(edges[:-1]).astype(int), 0, whole.shape[0])
        last = np.clip(np.maximum(np.ceil(edges[1:]).astype(int), first + 1), 0, whole.shape[0])
        found = np.zeros((count, 2), dtype=np.uint8)
        there = first < last
        if there.any():
            # pairs of begin and end; what lies between two pairs is worked out too, and left out
            cuts = np.stack((first[there], last[there]), axis=1).reshape(-1)
            padded = np.concatenate((whole, np.zeros((1, 2), dtype=np.uint8)))  # an end must lie in it
            found[there] = np.maximum.reduceat(padded, cuts, axis=0)[::2]
        return found

    def _all(self) -> npt.NDArray[np.uint8]:
        if self._whole is None:
            parts = [*self._parts]
            if self._left.shape[0]:
                parts.append(_loudest(self._left[np.newaxis]))
            self._whole = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.uint8)
        return self._whole


def _loudest(ulaw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of mu-law ``[buckets, n, 2]``: uint8 ``[buckets, 2]``."""
    pcm16 = decode(ulaw.tobytes()).reshape(ulaw.shape).astype(np.int32)
    return np.rint(_SCALE[np.abs(pcm16).max(axis=1)]).astype(np.uint8)
