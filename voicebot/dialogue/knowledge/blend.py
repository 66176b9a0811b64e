"""Two small embeddings side by side: what words mean in general, and what occurs together in these articles.

The first are the monitor's word vectors, made once from a sentence model; the second is `lsa`. They know
different things, and together find what the large model finds (docs/knowledge.md) in a tenth of its time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voicebot.dialogue.knowledge.embedding import WORD_VECTORS, EmbeddingError, Vectors, unit
from voicebot.dialogue.knowledge.lsa import LsaEmbedding
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.monitor.word_vectors import WordVectors

WORDS_SHARE = 0.5
"""How much of a cosine comes from the word vectors; 0.3 to 0.7 find about the same on retrieval_dev.yaml."""


class BlendEmbedding:
    """LSA and word vectors. Well under a millisecond a question."""

    def __init__(self, words: WordVectors, lsa: LsaEmbedding) -> None:
        digest = hashlib.sha256(words.vectors.tobytes() + lsa.id.encode()).hexdigest()[:8]
        self.dimensions = words.dimensions + lsa.dimensions
        self.id = f"blend-{self.dimensions}-{digest}"
        self._words = words
        self._lsa = lsa

    @classmethod
    def load(cls, folder: Path) -> BlendEmbedding:
        """Reads the word vectors and LSA out of ``folder``.

        Raises:
            EmbeddingError: one is missing or cannot be read.
        """
        try:
            words = WordVectors.load(folder / WORD_VECTORS)
        except (OSError, KeyError, ValueError) as error:
            raise EmbeddingError(
                f"{folder / WORD_VECTORS} cannot be read: run scripts/make_word_vectors.py, or set"
                " VOICEBOT_EMBEDDING=lsa"
            ) from error
        return cls(words, LsaEmbedding.load(folder))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (texts, dimensions); zeros where no word is known."""
        general = np.array([self._words.sentence(words_of(text)) for text in texts], dtype=np.float32)
        general = general.reshape(len(texts), self._words.dimensions)
        own = self._lsa.embed(texts)
        return unit(np.hstack([general * WORDS_SHARE**0.5, own * (1 - WORDS_SHARE) ** 0.5]))
