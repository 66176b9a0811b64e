"""Speech that a program can read, and a reader of it with Whisper's habits, for tests of what is around it.

A word is 360 ms of a square wave whose height is the word's number; words lie 40 ms apart. ``ToneReader``
reads a word that is cut off as the first half of its letters, as Whisper guesses at a word half heard.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voicebot.audio.engines.whisper.agreement import HeardWord
from voicebot.audio.engines.whisper.model import Reading, Window

WORD_MS = 360
GAP_MS = 40
_BASE, _STEP = 2000, 20

_WORDS = """
    where is my order please can you tell me the opening hours of saturday i would like to speak with a person
    about returning lamps zero one two three four five six seven eight nine thank
"""
VOCABULARY = tuple(_WORDS.split())


def spoken(text: str, *, lead_ms: int = 300, trail_ms: int = 0) -> bytes:
    """PCM16 at 8 kHz of a text of ``VOCABULARY``'s words."""
    pieces = [silence(lead_ms)]
    for word in text.split():
        height = _BASE + _STEP * VOCABULARY.index(word)
        wave = np.where(np.arange(WORD_MS * 8) % 16 < 8, height, -height).astype(np.int16)
        pieces += [wave.tobytes(), silence(GAP_MS)]
    return b"".join(pieces) + silence(trail_ms)


def silence(ms: int) -> bytes:
    """Digital silence."""
    return bytes(ms * 16)


def packets(pcm: bytes, ms: int = 80) -> list[bytes]:
    """As the listener sends them."""
    return [pcm[at : at + ms * 16] for at in range(0, len(pcm), ms * 16)]


@dataclass
class ToneReader:
    """Reads ``spoken`` audio. ``read_windows`` is everything it was asked; ``fail`` makes it raise."""

    threads: int = 1
    most_rows: int = 1
    fail: bool = False
    hold: threading.Event | None = None
    batches: list[list[Window]] = field(default_factory=list)

    def read(self, windows: Sequence[Window]) -> list[Reading]:
        self.batches.append(list(windows))
        if self.hold is not None:
            self.hold.wait(60)
        if self.fail:
            raise RuntimeError("the model fell over")
        return [self._reading(w) for w in windows]

    @property
    def windows(self) -> list[Window]:
        return [w for batch in self.batches for w in batch]

    def _reading(self, window: Window) -> Reading:
        words = tuple(_words(window.pcm))
        forced = list(window.standing)
        assert [w.tokens[0] for w in words][: len(forced)] == forced, "forced words that are not in the audio"
        others = tuple(
            " ".join([*(w.text for w in words[:-1]), f"other{n}"]) for n in range(window.readings - 1)
        )
        return Reading(words, -0.2 if words else None, 0.01 if words else 0.95, others)


def _words(pcm: npt.NDArray[np.int16]) -> list[HeardWord]:
    height = np.abs(pcm.astype(np.int32))
    edges = [0, *(np.flatnonzero(np.diff(height)) + 1).tolist(), height.size]
    found: list[HeardWord] = []
    for begin, end in pairwise(edges):
        if begin == end or height[begin] < _BASE:
            continue
        number = (int(height[begin]) - _BASE) // _STEP
        word = VOCABULARY[number]
        whole = end - begin >= WORD_MS * 8
        if end - begin >= WORD_MS * 2 or begin == 0:
            text = word if whole or begin == 0 else word[: max(1, len(word) // 2)]
            found.append(HeardWord(text, (number,), begin // 8, end // 8, 0.9))
    return found
