"""What turns a text into a vector: the face of every embedding, and the choice among them.

    embedding = choose_embedding(settings.embedding, folder / "models")
    vectors = await asyncio.to_thread(embedding.embed, ["can i send it back"])

None needs a model hub: `lsa` (fitted on the deployment's own articles, arrays in ``models/``), `blend` (the
same beside the monitor's word vectors), and `minilm` (weights out of an optional package, run with numpy).
What each finds and costs stands in docs/knowledge.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

WORD_VECTORS = "monitor_words.npz"


class EmbeddingError(Exception):
    """An embedding cannot be used; the message says which, and what to run."""


class EmbeddingMismatch(EmbeddingError):
    """The stored vectors were made by another embedding than the one that would ask them."""

    def __init__(self, stored: str | None, ours: str) -> None:
        if stored is None:
            text = f"the database holds no vectors, this server embeds with {ours}: run `voicebot kb ingest`"
        else:
            text = (
                f"the database holds vectors of {stored}, this server embeds with {ours}: run `voicebot kb"
                " ingest` to make them anew, or set VOICEBOT_EMBEDDING to what they were made with"
            )
        super().__init__(text)
        self.stored = stored
        self.ours = ours


class Embedding(Protocol):
    """Maps texts to vectors of length one. Immutable; any thread may call it, never the event loop."""

    id: str
    """Kind and digest of the weights, e.g. ``lsa-64-1f0c33b2``: stored with every vector it made."""
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (texts, dimensions); a text without a known word is a row of zeros."""
        ...


def choose_embedding(setting: str, models: Path) -> Embedding:
    """The embedding that ``VOICEBOT_EMBEDDING`` names: ``auto``, ``blend``, ``lsa`` or ``minilm``.

    ``auto`` is `blend`, and `lsa` in a deployment without word vectors: never what happens to be installed,
    so that all machines of a deployment agree.

    Raises:
        EmbeddingError: it is not there; the message says how to get it.
    """
    from voicebot.dialogue.knowledge.lsa import LsaEmbedding

    match setting:
        case "lsa":
            return LsaEmbedding.load(models)
        case "minilm":
            from voicebot.dialogue.knowledge.minilm import MiniLm

            return MiniLm.load()
        case "blend":
            return _blend(models)
        case "auto":
            return _blend(models) if (models / WORD_VECTORS).is_file() else LsaEmbedding.load(models)
        case _:
            raise EmbeddingError(f"VOICEBOT_EMBEDDING is {setting!r}, but is one of auto, blend, lsa, minilm")


def _blend(models: Path) -> Embedding:
    from voicebot.dialogue.knowledge.blend import BlendEmbedding

    return BlendEmbedding.load(models)


def unit(rows: NDArray[np.floating]) -> Vectors:
    """The rows at length one; rows of zeros stay so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
