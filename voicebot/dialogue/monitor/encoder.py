"""A text as numbers: hashed word and character features beside the meaning of its words. Pure; numpy only.

The same code trains the monitor and runs it, so that both see the same numbers.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebot.dialogue.monitor.features import NUMBER, features_in, words_of
from voicebot.dialogue.monitor.word_vectors import Floats, WordVectors

BUCKETS = 1 << 15
"""Features share this many places; about 20,000 are in use for a deployment of 60 intents."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text. ``at``/``values``: the hashed features in use, at length one; ``meaning``: see `WordVectors`.

    ``known``: how many of its words any part knows; 0 for empty, foreign or binary text.
    """

    at: NDArray[np.intp]
    values: Floats
    meaning: Floats
    known: int


class Encoder:
    """Texts to numbers. Immutable; shared.

    Args:
        idf: weight of each bucket, shape (BUCKETS,); 0 where training saw nothing.
        vectors: what words mean.
    """

    def __init__(self, idf: Floats, vectors: WordVectors) -> None:
        self.idf = idf
        self.vectors = vectors

    @property
    def width(self) -> int:
        """How many numbers an encoded text has: the buckets, then the meaning."""
        return BUCKETS + self.vectors.dimensions

    def encode(self, text: str) -> Encoded:
        """Any text: too long is cut, what is unknown is left out."""
        words = words_of(text)
        counts = buckets_of(words)
        at = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
        values = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
        values = (values * self.idf[at]).astype(np.float32)
        used = values > 0
        at, values = at[used], values[used]
        length = float(np.linalg.norm(values))
        known = sum(1 for word in words if self._knows(word))
        return Encoded(
            at=at,
            values=values / length if length > 0 else values,
            meaning=self.vectors.sentence(words),
            known=known,
        )

    def understands(self, text: str) -> bool:
        """Whether any word has a meaning here, or is a number."""
        return any(word == NUMBER or self.vectors.find(word) is not None for word in words_of(text))

    def _knows(self, word: str) -> bool:
        return self.idf[bucket_of("w:" + word)] > 0 or self.vectors.find(word) is not None


def bucket_of(name: str) -> int:
    """The place of a feature."""
    return zlib.crc32(name.encode("utf-8", "replace")) % BUCKETS


def buckets_of(words: Sequence[str]) -> Counter[int]:
    """How often each place is hit by the features of normalised words."""
    return Counter(bucket_of(name) for name in features_in(words))
