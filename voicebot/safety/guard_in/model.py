"""The guard's model: how likely a window of words is an order to the bot. numpy alone, no pickle.

Weights come from ``scripts/train_guard.py`` as ``models/guard.npz`` and ``models/guard.json``.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.safety.guard_in.features import BUCKETS, buckets
from voicebot.safety.guard_in.wording import windows

FORMAT = 1
_TRAIN = "run scripts/train_guard.py"


class GuardModelError(Exception):
    """The guard's files cannot be used; the message says which and what to run."""


class GuardCard(Strict):
    """``models/guard.json``. ``scale`` and ``shift`` turn a score into a probability."""

    format: int
    scale: float = Field(gt=0)
    shift: float
    caller_at: float = Field(gt=0, lt=1)
    """Probability from which a caller's words are deflected."""
    record_at: float = Field(gt=0, lt=1)
    """Probability from which a tool's text or an article is not used."""
    trained_on: int


class GuardModel:
    """Linear over hashed words. Immutable; shared by a node.

    Args:
        card: calibration and limits.
        weights: one per bucket, shape (BUCKETS,).
        bias: added to each score.
        version: names these weights.
    """

    def __init__(self, card: GuardCard, weights: NDArray[np.float32], bias: float, version: str) -> None:
        if weights.shape != (BUCKETS,):
            raise GuardModelError(f"guard weights are {weights.shape}, expected {(BUCKETS,)}: {_TRAIN}")
        self.card = card
        self.version = version
        self._weights: list[float] = [float(value) for value in weights]
        self._bias = bias

    @classmethod
    def load(cls, folder: Path) -> GuardModel:
        """Reads ``guard.npz`` and ``guard.json``.

        Raises:
            GuardModelError: a file is missing or of another format.
        """
        try:
            text = (folder / "guard.json").read_text(encoding="utf-8")
            document: dict[str, Any] = json.loads(text)
            if document.get("format") != FORMAT:
                raise GuardModelError(f"{folder}/guard.json has format {document.get('format')}: {_TRAIN}")
            card = GuardCard.model_validate_json(text)
            stored = (folder / "guard.npz").read_bytes()
            with np.load(folder / "guard.npz", allow_pickle=False) as arrays:
                weights = np.zeros(BUCKETS, dtype=np.float32)
                weights[arrays["at"].astype(np.intp)] = arrays["weights"].astype(np.float32)
                bias = float(arrays["bias"])
        except (OSError, KeyError, ValueError, IndexError, EOFError, ValidationError) as error:
            raise GuardModelError(f"the guard's model in {folder} cannot be read: {_TRAIN}") from error
        return cls(card, weights, bias, "guard-" + hashlib.sha256(text.encode() + stored).hexdigest()[:8])

    def probability(self, plain_text: str) -> float:
        """Of the window that looks most like an attack, 0..1; 0 without words."""
        words = plain_text.split()
        if not words:
            return 0.0
        score = max(self.score(window) for window in windows(words))
        return 1 / (1 + math.exp(-max(-40.0, min(40.0, self.card.scale * score + self.card.shift))))

    def score(self, words: list[str]) -> float:
        """One window, uncalibrated."""
        places = buckets(words)
        weights = self._weights
        return sum(weights[place] for place in places) / math.sqrt(len(places)) + self._bias
