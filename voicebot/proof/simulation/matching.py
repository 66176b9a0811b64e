"""Where a known sound lies in a recording, to the sample: by its shape, so neither level nor noise moves it.

A threshold finds that somebody speaks; this finds that a certain sentence is spoken, and where. It tells an
answer from a filler, and shows whether an answer was heard to its end. Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.proof.simulation.analysis import RATE_HZ, THRESHOLD

PART_MS = 400
"""So much of a sentence's beginning (or end) is compared: three syllables or so."""
LEAST = 0.6
"""Likeness (cosine) from which it is the sentence. The same through mu-law is at 0.99, another below 0.4."""
_FIRST_OF = 0.85
"""Of several places, the first that is at least this share as like as the best."""
_FLOOR = 30.0
"""RMS below which nothing is compared: the steps of mu-law around zero have a shape of their own."""

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Match:
    """``at_ms``: where the sentence's first (or, for an end, last) audible sample lies. ``likeness`` 0..1."""

    at_ms: float
    likeness: float


@dataclass(frozen=True)
class KnownSound:
    """A sentence as it was made: its audible part, from the first to the last sample above THRESHOLD."""

    pcm: Pcm

    @classmethod
    def of(cls, pcm: Pcm) -> KnownSound:
        """Cuts away what is not audible before and after.

        Raises:
            ValueError: nothing in it is audible.
        """
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > THRESHOLD)
        if not loud.size:
            raise ValueError("nothing audible in the clip")
        return cls(pcm[int(loud[0]) : int(loud[-1]) + 1])

    @property
    def length_ms(self) -> float:
        """Of the audible part."""
        return len(self.pcm) / RATE_HZ * 1000

    def begins(self, heard: Pcm, *, from_ms: float = 0.0, to_ms: float | None = None) -> Match | None:
        """The first place where the sentence begins, within [from_ms, to_ms)."""
        part = self.pcm[: PART_MS * 8]
        found = _find(heard, part, from_ms, to_ms)
        return None if found is None else Match(found[0] / 8, found[1])

    def ends(self, heard: Pcm, *, from_ms: float = 0.0, to_ms: float | None = None) -> Match | None:
        """The first place where the sentence comes to its end; the compared part begins within the bounds."""
        part = self.pcm[-PART_MS * 8 :]
        found = _find(heard, part, from_ms, to_ms)
        return None if found is None else Match((found[0] + len(part)) / 8, found[1])


def _find(heard: Pcm, part: Pcm, from_ms: float, to_ms: float | None) -> tuple[int, float] | None:
    """Sample and likeness of the first good place of ``part``."""
    start = max(0, int(from_ms * 8))
    stop = len(heard) if to_ms is None else min(len(heard), int(to_ms * 8) + len(part))
    window = heard[start:stop].astype(np.float64)
    if len(window) < len(part):
        return None
    likeness = _likeness(window, part.astype(np.float64))
    best = float(likeness.max())
    if best < LEAST:
        return None
    first = int(np.flatnonzero(likeness >= max(LEAST, _FIRST_OF * best))[0])
    near = likeness[first : first + 160]  # the top of that hill
    top = first + int(near.argmax())
    return start + top, float(likeness[top])


def _likeness(window: npt.NDArray[np.float64], part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cosine between ``part`` and each stretch of its length in ``window``."""
    size = 1 << (len(window) + len(part) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(part, size)), size)
    power = np.concatenate(([0.0], np.cumsum(window**2)))
    energy = power[len(part) :] - power[: -len(part)]
    energy = np.maximum(energy, len(part) * _FLOOR**2)
    return product[: len(energy)] / np.sqrt(energy * float(np.sum(part**2)))
