"""The order of candidates, and how likely the first one answers. Pure.

Both are weighted sums of what is known about question and passage (`Features`). The weights were fitted by
`scripts/fit_knowledge.py` on questions with known articles, for each embedding apart, and lie with the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.knowledge.candidates import Candidate
from voicebot.dialogue.knowledge.fusion import fused
from voicebot.dialogue.knowledge.words import Lexeme
from voicebot.safety.spoken_numbers import digit_runs

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


class Features(NamedTuple):
    """What speaks for a passage; each between 0 and 1."""

    cosine: float
    coverage: float
    headed: float
    fused: float
    numbers: float
    opening: float
    """It opens its article: there stands what most people ask."""
    first: float
    """The caller's intent is the first that the article names."""
    also: float
    """It is one that the article names later."""
    off: float
    """The intent is known, and the article does not name it."""


class Weights(Strict):
    """One weight for each of `Features`, in their order, and what makes a score a probability."""

    features: tuple[float, ...] = Field(min_length=len(Features._fields), max_length=len(Features._fields))
    slope: float = Field(gt=0)
    offset: float


class Ranked(NamedTuple):
    """A candidate with its features, score, and the probability that it answers."""

    candidate: Candidate
    features: Features
    score: float
    grounding: float


def rerank(
    found: Sequence[Candidate], question: str, lexemes: Sequence[Lexeme], intent: str | None, weights: Weights
) -> list[Ranked]:
    """The candidates, best first. A tie goes to the earlier chunk of the article whose name comes first."""
    numbers = numbers_of(question)
    ranked = [
        _ranked(candidate, features_of(candidate, lexemes, numbers, intent), weights) for candidate in found
    ]
    return sorted(ranked, key=lambda r: (-r.score, r.candidate.article, r.candidate.position))


def features_of(
    candidate: Candidate, lexemes: Sequence[Lexeme], numbers: frozenset[str], intent: str | None
) -> Features:
    """What is known of one candidate."""
    first = intent is not None and candidate.intents[:1] == (intent,)
    tagged = intent is not None and intent in candidate.intents
    return Features(
        cosine=max(0.0, candidate.cosine) if math.isfinite(candidate.cosine) else 0.0,
        coverage=_share(candidate.found, lexemes),
        headed=_share(candidate.headed, lexemes),
        fused=fused([candidate.near, candidate.worded]),
        numbers=len(numbers & numbers_of(candidate.body)) / len(numbers) if numbers else 0.0,
        opening=float(candidate.position == 0),
        first=float(first),
        also=float(tagged and not first),
        off=float(intent is not None and not tagged),
    )


def numbers_of(text: str) -> frozenset[str]:
    """The numbers of a text by value, written in figures or words.

    >>> sorted(numbers_of("thirty days, or 2 years"))
    ['2', '30']
    """
    figures = {figure.replace(",", "") for figure in _FIGURE.findall(text)}
    spoken = {readings[0] for readings in digit_runs(_FIGURE.sub(" ", text)) if readings}
    return frozenset((figures | spoken) - {"1"})  # "one" is more often a word


def score_of(features: Features, weights: Weights) -> float:
    """The weighted sum."""
    return sum(weight * value for weight, value in zip(weights.features, features, strict=True))


def _ranked(candidate: Candidate, features: Features, weights: Weights) -> Ranked:
    score = score_of(features, weights)
    grounding = 1.0 / (1.0 + math.exp(-(weights.slope * score + weights.offset)))
    return Ranked(candidate, features, score, grounding)


def _share(found: Sequence[int], lexemes: Sequence[Lexeme]) -> float:
    total = sum(lexeme.weight for lexeme in lexemes)
    return sum(lexemes[at - 1].weight for at in found) / total if total > 0 else 0.0


def weights_for(embedding: str, fitted: Mapping[str, Weights]) -> Weights:
    """Those fitted with embeddings of this kind (``lsa``, ``minilm``), else `DEFAULT`."""
    return fitted.get(embedding.partition("-")[0], DEFAULT)


DEFAULT = Weights(features=(3.0, 3.0, 1.5, 1.0, 0.5, 0.3, 1.5, 0.8, -1.0), slope=1.0, offset=-3.0)
"""Not fitted: for an embedding that no fit has seen."""
