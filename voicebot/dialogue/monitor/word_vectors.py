"""What words mean, as vectors: fixed, small, run with numpy alone. Pure.

Made by `scripts/make_word_vectors.py`, which fits them so that their sum over a sentence comes near to what a
sentence model (all-MiniLM-L6-v2) makes of it. Word order is lost, a look-up is all that is left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LENGTH_POWER = 0.7
"""A sentence of n known words is divided by n to this power (fitted with the vectors)."""
_ENDINGS = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ed", ""),
    ("ed", "e"),
    ("ing", ""),
    ("ing", "e"),
    ("ly", ""),
    ("er", ""),
)


class WordVectors:
    """Words to vectors. Immutable; shared.

    Args:
        words: the vocabulary, lower case.
        vectors: one row per word, shape (words, dimensions).
    """

    def __init__(self, words: Sequence[str], vectors: Floats) -> None:
        if vectors.shape[0] != len(words):
            raise ValueError(f"{len(words)} words, {vectors.shape[0]} vectors")
        self.vectors = vectors
        self._at = {word: at for at, word in enumerate(words)}

    @classmethod
    def load(cls, path: Path) -> WordVectors:
        """Reads the arrays ``words`` (bytes, a line each), ``vectors`` (int8) and ``scale``.

        Raises:
            OSError, KeyError, ValueError: missing, or not such a file.
        """
        with np.load(path, allow_pickle=False) as arrays:
            words = arrays["words"].tobytes().decode("ascii").split("\n")
            return cls(words, arrays["vectors"].astype(np.float32) * arrays["scale"].astype(np.float32))

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def find(self, word: str) -> int | None:
        """The row of a word, or of the word without an English ending; None when neither is known."""
        at = self._at.get(word)
        if at is not None:
            return at
        for ending, instead in _ENDINGS:
            if word.endswith(ending) and len(word) > len(ending) + 2:
                at = self._at.get(word[: -len(ending)] + instead)
                if at is not None:
                    return at
        return None

    def sentence(self, words: Sequence[str]) -> Floats:
        """The sum over the known words at length one; zeros when none is known."""
        rows = [at for word in words if (at := self.find(word)) is not None]
        if not rows:
            return np.zeros(self.dimensions, dtype=np.float32)
        total: Floats = self.vectors[rows].sum(axis=0)
        length = float(np.linalg.norm(total))
        return total / length if length > 0 else total
