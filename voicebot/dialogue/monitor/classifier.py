"""The monitor's model: linear heads over hashed words and word meanings, run with numpy alone.

Weights come from `scripts/train_monitor.py` as ``models/monitor.npz`` (arrays) and ``models/monitor.json``
(labels, categories, calibration), the meanings of words from ``models/monitor_words.npz``. No pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict, Urgency
from voicebot.dialogue.intents import DISTRESS, OUT_OF_SCOPE
from voicebot.dialogue.monitor.encoder import BUCKETS, Encoded, Encoder
from voicebot.dialogue.monitor.word_vectors import Floats, WordVectors

__all__ = ["FORMAT", "OUT_OF_SCOPE", "Guess", "IntentClassifier", "ModelCard", "ModelError", "Verdict"]

FORMAT = 2
SENTIMENTS = {"angry": -1.0, "unhappy": -0.5, "neutral": 0.0, "pleased": 1.0}
"""The classes of the sentiment head and where they lie on -1 to 1."""
OVERRULES_AT = 0.80
"""Another intent that is this likely speaks against distress: on held-out turns it cost no recall, and of the
examples of all intents none fires any more (0.8 % did)."""
NOT_OVERRULED_FROM = 0.97
"""Distress that is this likely is believed, whatever else was said with it."""
URGENCIES = (Urgency.LOW, Urgency.NORMAL, Urgency.HIGH, Urgency.CRITICAL)


class ModelError(Exception):
    """The classifier's files cannot be used; the message says which and what to run."""


_TRAIN = "run scripts/train_monitor.py"


class Guess(Strict):
    """One intent with its calibrated probability, 0..1."""

    intent: str
    probability: float


class Curve(Strict):
    """A calibration: ``score`` points, ascending, and the ``probability`` that was found there."""

    score: tuple[float, ...] = Field(min_length=2)
    probability: tuple[float, ...] = Field(min_length=2)

    def __call__(self, score: float) -> float:
        """Between the points in a straight line, beyond them as at the last."""
        return float(np.interp(score, self.score, self.probability))


class ModelCard(Strict):
    """``models/monitor.json``: what the arrays mean and how scores become probabilities."""

    format: int
    labels: tuple[str, ...]
    categories: dict[str, str]
    """Intent to category."""
    temperature: float = Field(gt=0)
    distress: Curve
    out_of_scope: Curve
    distress_at: float = Field(gt=0, lt=1)
    """From this probability on a caller is taken to be in distress."""
    distress_share: float = Field(gt=0, lt=1)
    """The probability of distress is that of a line on which this share of the turns were so: far more than
    there are, because one that is missed costs more than one that is asked about for nothing."""
    urgency_temperature: float = Field(gt=0)
    sentiment_temperature: float = Field(gt=0)
    trained_on: int
    words: str
    """SHA-256 of the ``monitor_words.npz`` that it was trained with."""

    @model_validator(mode="after")
    def _each_has_a_category(self) -> Self:
        if set(self.categories) != set(self.labels):
            raise ValueError("`categories` must name exactly the labels")
        return self


class Verdict(Strict):
    """All that the model says of one text. Probabilities are calibrated; ``sentiment`` -1 to 1."""

    guesses: tuple[Guess, ...]
    category: str
    urgency: Urgency
    sentiment: float
    distress: float
    out_of_scope: float


class IntentClassifier:
    """Maps a text to intents with probabilities, and to how it sounds. Immutable; shared by a node.

    Args:
        card: labels and calibration.
        encoder: texts to numbers.
        weights: shape (encoder.width, columns); columns: intents, sentiments, urgencies, distress.
        bias: shape (columns,).
        version: names these weights.
    """

    def __init__(
        self, card: ModelCard, encoder: Encoder, weights: Floats, bias: Floats, *, version: str
    ) -> None:
        columns = len(card.labels) + len(SENTIMENTS) + len(URGENCIES) + 1
        if weights.shape != (encoder.width, columns) or bias.shape != (columns,):
            raise ModelError(
                f"weights are {weights.shape}, expected {(encoder.width, columns)}: "
                "run scripts/train_monitor.py"
            )
        self.card = card
        self.labels = card.labels
        self.categories: Mapping[str, str] = card.categories
        self.version = version
        self._encoder = encoder
        self._sparse, self._dense = weights[:BUCKETS], weights[BUCKETS:]
        self._bias = bias
        self._scale = np.array(list(SENTIMENTS.values()), dtype=np.float32)
        keys = sorted(set(card.categories.values()))
        self._category_keys = keys
        self._category_of = np.array([keys.index(card.categories[label]) for label in card.labels])

    @classmethod
    def load(cls, folder: Path) -> IntentClassifier:
        """Reads ``monitor.npz``, ``monitor.json`` and ``monitor_words.npz`` from ``folder``.

        Raises:
            ModelError: a file is missing or of another format.
        """
        try:
            text = (folder / "monitor.json").read_text(encoding="utf-8")
            document: dict[str, Any] = json.loads(text)
            if document.get("format") != FORMAT:
                raise ModelError(
                    f"{folder}/monitor.json has format {document.get('format')}, this server reads {FORMAT}: "
                    + _TRAIN
                )
            card = ModelCard.model_validate_json(text)
            words = folder / "monitor_words.npz"
            if hashlib.sha256(words.read_bytes()).hexdigest() != card.words:
                raise ModelError(f"{folder}/monitor.npz was trained with another {words.name}: {_TRAIN}")
            vectors = WordVectors.load(words)
            stored = (folder / "monitor.npz").read_bytes()
            with np.load(folder / "monitor.npz", allow_pickle=False) as arrays:
                scale = arrays["scale"].astype(np.float32)
                rows = arrays["rows"].astype(np.intp)
                idf = arrays["idf"].astype(np.float32)
                columns = len(scale)
                weights = np.zeros((BUCKETS + vectors.dimensions, columns), dtype=np.float32)
                weights[rows] = arrays["weights"].astype(np.float32) * scale
                weights[BUCKETS:] = arrays["meaning"].astype(np.float32)
                bias = arrays["bias"].astype(np.float32)
        except (OSError, KeyError, ValueError, IndexError, EOFError, ValidationError) as error:
            raise ModelError(f"the monitor's model in {folder} cannot be read: {_TRAIN}") from error
        version = "monitor-" + hashlib.sha256(text.encode() + stored).hexdigest()[:8]
        return cls(card, Encoder(idf, vectors), weights, bias, version=version)

    def guesses(self, text: str) -> tuple[Guess, ...]:
        """All labels with calibrated probabilities, the likeliest first. Empty text is out of scope."""
        encoded = self._encoder.encode(text)
        if encoded.known == 0:
            return (Guess(intent=OUT_OF_SCOPE, probability=1.0),)
        return self._guesses(self._intents(self._scores(encoded)))

    def knows(self, text: str) -> bool:
        """Whether any word of the text, numbers too, is one that the model has a meaning for."""
        return self._encoder.understands(text)

    def verdict(self, text: str) -> Verdict:
        """Everything at once. Text without a known word is out of scope, neutral, not in distress."""
        encoded = self._encoder.encode(text)
        if encoded.known == 0:
            return Verdict(
                guesses=(Guess(intent=OUT_OF_SCOPE, probability=1.0),),
                category=self.categories[OUT_OF_SCOPE],
                urgency=Urgency.NORMAL,
                sentiment=0.0,
                distress=0.0,
                out_of_scope=1.0,
            )
        scores = self._scores(encoded)
        count = len(self.labels)
        probabilities = self._intents(scores)
        feel = _softmax(scores[count : count + 4] / self.card.sentiment_temperature)
        hurry = _softmax(scores[count + 4 : count + 8] / self.card.urgency_temperature)
        distress = self._distress(float(scores[-1]), probabilities)
        urgency = URGENCIES[int(hurry.argmax())]
        if distress >= self.card.distress_at:
            urgency = Urgency.CRITICAL
        elif urgency is Urgency.CRITICAL:
            urgency = Urgency.HIGH
        sums = np.bincount(self._category_of, weights=probabilities, minlength=len(self._category_keys))
        return Verdict(
            guesses=self._guesses(probabilities),
            category=self._category_keys[int(sums.argmax())],
            urgency=urgency,
            sentiment=float(np.clip(feel @ self._scale, -1.0, 1.0)),
            distress=distress,
            out_of_scope=self.card.out_of_scope(float(outside(probabilities, self.labels))),
        )

    def _distress(self, score: float, probabilities: Floats) -> float:
        """The head's probability, unless the turn is plainly something else ("okay, goodbye")."""
        distress = self.card.distress(score)
        best = int(probabilities.argmax())
        plainly = float(probabilities[best])
        if self.labels[best] == DISTRESS or plainly < OVERRULES_AT or distress >= NOT_OVERRULED_FROM:
            return distress
        return distress * (1.0 - plainly)

    def _scores(self, encoded: Encoded) -> Floats:
        scores = encoded.values @ self._sparse[encoded.at] + encoded.meaning @ self._dense + self._bias
        return scores.astype(np.float32)

    def _intents(self, scores: Floats) -> Floats:
        return _softmax(scores[: len(self.labels)] / self.card.temperature)

    def _guesses(self, probabilities: Floats) -> tuple[Guess, ...]:
        order = np.argsort(-probabilities)
        return tuple(Guess(intent=self.labels[at], probability=float(probabilities[at])) for at in order)


def outside(probabilities: Floats, labels: tuple[str, ...]) -> float:
    """How far a text lies outside of all intents, 0..1, not calibrated: what its own class makes of it.

    Of the scores tried on public queries (one less the likeliest intent, entropy, largest score) the best.
    """
    return float(probabilities[labels.index(OUT_OF_SCOPE)])


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()
