"""The built-in writer: quotes the article that answers best. No model, no network, no invention.

It streams like a language model does, so that everything behind it works the same.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from voicebot.dialogue.generation.request import GenerationRequest, Meter
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.phrases import Phrases

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_TOKEN = re.compile(r"\S+\s*")


class GroundedResponder:
    """Answers with whole sentences of the best passage."""

    name = "grounded"
    version = "grounded 1"

    def __init__(self, phrases: Phrases | None = None) -> None:
        self._phrases = phrases

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        """The answer, word by word. Nothing when there is no passage."""
        for token in _TOKEN.findall(quote(request)):
            yield token

    async def close(self) -> None:
        """Nothing to let go of."""


def quote(request: GenerationRequest) -> str:
    """The sentences that answer, at most ``request.sentences``, in the order they are written in."""
    if not request.passages:
        return ""
    return " ".join(_best(request.passages[0], request.question, request.sentences))


def _best(passage: Passage, question: str, limit: int) -> list[str]:
    """The run of sentences that shares most words with the question; the first ones win a tie."""
    sentences = _SENTENCE.split(passage.body)
    asked = {_stem(word) for word in words_of(question)}
    scores = [len(asked & {_stem(word) for word in words_of(sentence)}) for sentence in sentences]
    starts = range(max(1, len(sentences) - limit + 1))
    start = max(starts, key=lambda at: (sum(scores[at : at + limit]), -at))
    return sentences[start : start + limit]


def _stem(word: str) -> str:
    return word[:5]
