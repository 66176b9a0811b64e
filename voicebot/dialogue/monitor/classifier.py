"""The intent classifier: multinomial logistic regression over sparse features, run with numpy alone.

Weights come from `scripts/train_monitor.py` as ``models/intents.npz`` (arrays) and
``models/intents.json`` (labels, features, temperature, card). No pickle.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicebot.core.conversation import Strict
from voicebot.dialogue.monitor.features import features_of

OUT_OF_SCOPE = "out_of_scope"
FORMAT = 1


class ModelError(Exception):
    """The classifier's files cannot be used; the message says which and what to run."""


class Guess(Strict):
    """One intent with its calibrated probability, 0..1."""

    intent: str
    probability: float


class IntentClassifier:
    """Maps a text to intents with probabilities. Immutable; shared by all conversations of a node."""

    def __init__(
        self,
        labels: tuple[str, ...],
        features: dict[str, int],
        weights: NDArray[np.float32],
        idf: NDArray[np.float32],
        bias: NDArray[np.float32],
        temperature: float,
    ) -> None:
        if weights.shape != (len(features), len(labels)):
            raise ModelError(
                f"weights are {weights.shape}, expected {(len(features), len(labels))}: train again"
            )
        self.labels = labels
        self._features = features
        self._weights = weights
        self._idf = idf
        self._bias = bias
        self._temperature = temperature

    @classmethod
    def load(cls, folder: Path) -> IntentClassifier:
        """Reads ``intents.npz`` and ``intents.json`` from ``folder``.

        Raises:
            ModelError: a file is missing or of another format.
        """
        try:
            card = json.loads((folder / "intents.json").read_text())
            with np.load(folder / "intents.npz", allow_pickle=False) as arrays:
                weights = arrays["weights"].astype(np.float32) * arrays["scale"].astype(np.float32)
                idf = arrays["idf"].astype(np.float32)
                bias = arrays["bias"].astype(np.float32)
        except (OSError, KeyError, ValueError) as error:
            raise ModelError(
                f"intent classifier in {folder} cannot be read: run scripts/train_monitor.py"
            ) from error
        if card.get("format") != FORMAT:
            raise ModelError(
                f"{folder}/intents.json has format {card.get('format')}, this server reads {FORMAT}: "
                "run scripts/train_monitor.py"
            )
        features = {name: at for at, name in enumerate(card["features"])}
        return cls(tuple(card["labels"]), features, weights, idf, bias, float(card["temperature"]))

    def guesses(self, text: str) -> tuple[Guess, ...]:
        """All labels with calibrated probabilities, the likeliest first. Empty text is out of scope."""
        counts = Counter(self._features[name] for name in features_of(text) if name in self._features)
        if not counts:
            return (Guess(intent=OUT_OF_SCOPE, probability=1.0),)
        at = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
        tf = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
        values = tf * self._idf[at]
        values /= np.linalg.norm(values)
        scores = (values @ self._weights[at] + self._bias) / self._temperature
        scores -= scores.max()
        probabilities = np.exp(scores)
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities)
        return tuple(Guess(intent=self.labels[i], probability=float(probabilities[i])) for i in order)
