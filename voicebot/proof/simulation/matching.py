"""Where a known sentence lies in a recording, by the course of its spectrum: no level or noise moves it.

A threshold finds that somebody speaks; this finds that a certain sentence is spoken, and where. It tells an
answer from a filler, and shows whether an answer was heard to its end. Samples themselves would not do: a
voice such as eSpeak NG's wavers, and never makes the same waveform twice. Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.proof.simulation.analysis import RATE_HZ, THRESHOLD

PART_MS = 500
"""So much of a sentence's beginning (or end) is compared."""
LEAST = 0.87
"""Likeness (correlation) from which it is the sentence: 0.98 or more on a clean line, 0.9 with noise 15 dB
below it; another sentence of the same voice stays below 0.83."""
_FIRST_OF = 0.96
"""Of several places, the first that is at least this share as like as the best."""
_HOP = 16  # samples: 2 ms
_WINDOW = 256  # samples: 32 ms
_EDGES_HZ = np.geomspace(200, 3600, 15)
_FLOOR = 1e4  # power of a band in which there is next to nothing

Pcm = npt.NDArray[np.int16]
_Course = npt.NDArray[np.float64]  # [frames, bands]


@dataclass(frozen=True)
class Match:
    """``at_ms``: where the sentence's first (or, for an end, last) audible sample lies. ``likeness`` 0..1."""

    at_ms: float
    likeness: float


class Heard:
    """A channel of a recording, made ready to be searched often."""

    def __init__(self, pcm: Pcm) -> None:
        self.pcm = pcm
        self.course = _course(pcm)


@dataclass(frozen=True)
class KnownSound:
    """A sentence as it was made: its audible part, from the first to the last sample above THRESHOLD."""

    pcm: Pcm

    @classmethod
    def of(cls, pcm: Pcm) -> KnownSound:
        """Cuts away what is not audible before and after.

        Raises:
            ValueError: nothing in it is audible, or less than a window.
        """
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > THRESHOLD)
        if not loud.size or loud[-1] - loud[0] < 2 * _WINDOW:
            raise ValueError("nothing audible in the clip, or less than 64 ms")
        return cls(pcm[int(loud[0]) : int(loud[-1]) + 1])

    @property
    def length_ms(self) -> float:
        """Of the audible part."""
        return len(self.pcm) / RATE_HZ * 1000

    def begins(self, heard: Heard, *, from_ms: float = 0.0, to_ms: float | None = None) -> Match | None:
        """The first place where the sentence begins, within [from_ms, to_ms)."""
        return _find(heard.course, self.pcm[: PART_MS * 8], from_ms, to_ms)

    def ends(self, heard: Heard, *, from_ms: float = 0.0, to_ms: float | None = None) -> Match | None:
        """The first place where the sentence comes to its end; the compared part begins within the bounds."""
        part = self.pcm[-PART_MS * 8 :]
        found = _find(heard.course, part, from_ms, to_ms)
        return None if found is None else Match(found.at_ms + len(part) / 8, found.likeness)


def _course(pcm: Pcm) -> _Course:
    """Fourth root of the power in 14 bands, every 2 ms."""
    if len(pcm) < _WINDOW:
        return np.zeros((0, len(_EDGES_HZ) - 1))
    frames = np.lib.stride_tricks.sliding_window_view(pcm, _WINDOW)[::_HOP]
    hertz = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)
    place = np.searchsorted(_EDGES_HZ, hertz, side="right") - 1
    bands = np.stack([place == n for n in range(len(_EDGES_HZ) - 1)], axis=1).astype(np.float64)
    shape = np.hanning(_WINDOW)
    parts: list[_Course] = []
    for at in range(0, len(frames), 4096):  # a minute at once would take a GB
        power = np.abs(np.fft.rfft(frames[at : at + 4096] * shape, axis=1)) ** 2
        parts.append((power @ bands + _FLOOR) ** 0.25)
    return np.concatenate(parts)


def _find(course: _Course, part: Pcm, from_ms: float, to_ms: float | None) -> Match | None:
    """The first good place of ``part``."""
    wanted = _course(part)
    start = max(0, int(np.ceil(from_ms * 8 / _HOP)))
    stop = len(course) if to_ms is None else min(len(course), int(to_ms * 8 / _HOP) + len(wanted))
    window = course[start:stop]
    if len(window) < len(wanted):
        return None
    likeness = _likeness(window, wanted)
    best = float(likeness.max())
    if best < LEAST:
        return None
    first = int(np.flatnonzero(likeness >= max(LEAST, _FIRST_OF * best))[0])
    near = likeness[first : first + 50]  # the top of that hill
    top = first + int(near.argmax())
    return Match((start + top) * _HOP / 8, float(likeness[top]))


def _likeness(window: _Course, wanted: _Course) -> npt.NDArray[np.float64]:
    """Correlation, each band about its own mean, between ``wanted`` and each stretch of its length."""
    count = len(wanted)
    centred = wanted - wanted.mean(axis=0)
    size = 1 << (len(window) + count - 1).bit_length()
    spectra = np.fft.rfft(window, size, axis=0) * np.conj(np.fft.rfft(centred, size, axis=0))
    product = np.fft.irfft(spectra.sum(axis=1), size)[: len(window) - count + 1]
    zero = np.zeros((1, window.shape[1]))
    sums = np.concatenate([zero, np.cumsum(window, axis=0)])
    squares = np.concatenate([zero, np.cumsum(window**2, axis=0)])
    spread = squares[count:] - squares[:-count] - (sums[count:] - sums[:-count]) ** 2 / count
    energy = np.maximum(spread.sum(axis=1), count * 1.0)
    return product / np.sqrt(energy * float(np.sum(centred**2)))
