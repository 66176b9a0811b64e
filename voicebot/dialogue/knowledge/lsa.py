"""Latent semantic analysis: words that occur in the same articles point the same way. Arrays and numpy.

`scripts/fit_knowledge.py` fits it on the deployment's own articles and writes ``models/knowledge.npz`` and
``models/knowledge.json``. No pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebot.dialogue.knowledge.embedding import EmbeddingError, Vectors, unit
from voicebot.dialogue.monitor.features import NUMBER, words_of

FORMAT = 1
FIT = "run scripts/fit_knowledge.py"
_GRAM = 5
_SUFFIXES = ("ing", "ed", "es", "s", "ly")


class LsaEmbedding:
    """Sums the vectors of a text's words. Well under a millisecond a question."""

    def __init__(
        self, terms: Sequence[str], weights: NDArray[np.float32], projection: NDArray[np.float32], *, id: str
    ) -> None:
        if projection.shape[0] != len(terms) or weights.shape != (len(terms),):
            raise EmbeddingError(f"the LSA arrays are {projection.shape} for {len(terms)} terms: {FIT}")
        self.id = id
        self.dimensions = int(projection.shape[1])
        self._at = {term: at for at, term in enumerate(terms)}
        self._weights = weights
        self._projection = projection

    @classmethod
    def load(cls, folder: Path) -> LsaEmbedding:
        """Reads ``knowledge.npz`` and ``knowledge.json`` from ``folder``.

        Raises:
            EmbeddingError: a file is missing, broken, or of another format.
        """
        try:
            with np.load(folder / "knowledge.npz", allow_pickle=False) as arrays:
                weights = arrays["weights"].astype(np.float32)
                projection = arrays["projection"].astype(np.float32)
            card: dict[str, Any] = json.loads((folder / "knowledge.json").read_text())
            if card["format"] != FORMAT:
                raise EmbeddingError(f"{folder}/knowledge.json has format {card['format']}: {FIT}")
            terms: list[str] = card["terms"]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise EmbeddingError(f"the LSA model in {folder} cannot be read: {FIT}") from error
        return cls(
            terms, weights, projection, id=f"lsa-{projection.shape[1]}-{_digest(weights, projection, terms)}"
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (texts, dimensions); zeros where no word is known."""
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            counts = Counter(self._at[term] for term in terms_of(text) if term in self._at)
            if counts:
                at = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
                often = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
                rows[row] = (often * self._weights[at]) @ self._projection[at]
        return unit(rows)


def _digest(weights: NDArray[np.float32], projection: NDArray[np.float32], terms: Sequence[str]) -> str:
    """Eight hexadecimal digits that stand for the model."""
    whole = weights.tobytes() + projection.tobytes() + "\n".join(terms).encode()
    return hashlib.sha256(whole).hexdigest()[:8]


def terms_of(text: str) -> Iterator[str]:
    """What of a text counts, with repeats: words without their endings, and their first letters.

    The first letters of a long word bring "deliver", "delivery" and "delivering" together, and survive a
    recogniser that gets a word's end wrong.
    """
    for word in words_of(text):
        if word == NUMBER:
            continue
        stem = _stem(word)
        yield stem
        if len(stem) > _GRAM:
            yield stem[:_GRAM] + "-"


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word
