"""The built-in writer: quotes the sentences that answer. No model, no network, no invention.

    Yes. You can return an item without the box, as long as we find your order.
    Our page on refunds says: a refund goes back to the way you paid, within five working days ...

Every word stands in an article or in an approved line of the deployment. What is said first is the answer;
from tier 1 on where it stands, from tier 2 on why: the article's own reason if it gives one. It streams
like a language model does, so that everything behind it works the same.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from voicebot.core.conversation import Source
from voicebot.dialogue.generation.polarity import polarity
from voicebot.dialogue.generation.report import WritingReport
from voicebot.dialogue.generation.request import GenerationRequest, Meter
from voicebot.dialogue.generation.sentences import Sentence, choose, onward, sentences_of
from voicebot.dialogue.generation.spoken_text import speakable
from voicebot.dialogue.phrases import Phrases

CITED_FROM = 1
"""The tier from which the caller hears where an answer comes from."""
REASONED_FROM = 2
"""The tier from which the caller hears why."""

_TOKEN = re.compile(r"\S+\s*")
_REASON = re.compile(r"\b(?:because|so that|since|as long as|in order to|that is why)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quote:
    """An answer out of articles: as it is written there, and what it was taken from, without doubles.

    ``report``: how it came about, if that was asked for.
    """

    text: str
    sources: tuple[Source, ...] = ()
    report: WritingReport | None = None

    @property
    def spoken(self) -> str:
        """The answer as it is spoken."""
        return speakable(self.text)


class GroundedResponder:
    """Answers with whole sentences of the passages. ``phrases``: the deployment's lines around them."""

    name = "grounded"
    version = "grounded 2"

    def __init__(self, phrases: Phrases | None = None) -> None:
        self._phrases = phrases

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        """The answer, word by word. Nothing when there is no passage."""
        if meter is not None:
            meter.finished = True
        for token in _TOKEN.findall(compose(request, self._phrases).text):
            yield token

    async def close(self) -> None:
        """Nothing to let go of."""


def quote(request: GenerationRequest, phrases: Phrases | None = None) -> str:
    """The answer as it is spoken; empty without a passage."""
    return compose(request, phrases).spoken


def compose(request: GenerationRequest, phrases: Phrases | None = None) -> Quote:
    """The answer with its sources; empty without a passage, and when the caller has heard it all.

    Args:
        request: the answer.
        phrases: the deployment's lines; without them the sentences stand alone.
    """
    if request.more:
        chosen = onward(request.question, request.passages, request.sentences, _heard(request))
    else:
        chosen = choose(request.question, request.passages, request.sentences)
    if not chosen:
        nothing_more = request.more and request.passages and phrases is not None
        return Quote(phrases.text("answer.all") if nothing_more and phrases else "")
    sources = tuple(dict.fromkeys(request.passages[one.passage].source for one in chosen))
    parts = [one.text for one in chosen]
    if phrases is not None and not request.more:
        parts = _around(request, chosen, parts, phrases)
    parts += request.notes
    return Quote(" ".join(parts), sources)


def _around(
    request: GenerationRequest, chosen: tuple[Sentence, ...], parts: list[str], phrases: Phrases
) -> list[str]:
    """Approved lines before and after: a plain yes or no, where it stands, why."""
    first = request.passages[chosen[0].passage]
    if request.tier >= CITED_FROM:
        parts = [phrases.text("answer.page", page=_named(first.source.title)), *parts]
    elif (plain := polarity(request.question, chosen[0].text)) is not None:
        parts = [phrases.text(f"answer.{plain}"), *parts]
    if request.tier >= REASONED_FROM and not any(_REASON.search(one.text) for one in chosen):
        parts = [*parts, _reason(request, chosen) or phrases.text("answer.reason")]
    return parts


def _reason(request: GenerationRequest, chosen: tuple[Sentence, ...]) -> str | None:
    """The article's own reason, if it stands beside what was said."""
    passage = request.passages[chosen[0].passage]
    said = {one.text for one in chosen}
    return next((s for s in sentences_of(passage.body) if s not in said and _REASON.search(s)), None)


def _named(title: str) -> str:
    """A title in the middle of a sentence: "Refunds" -> "refunds", "Hearth Plus membership" stays."""
    is_name = any(word[:1].isupper() for word in title.split()[1:2])
    return title if is_name else title[:1].lower() + title[1:]


def _heard(request: GenerationRequest) -> list[str]:
    """The sentences that were heard before, as they are spoken and as they are written."""
    heard = [text for one in request.history for text in sentences_of(one.bot)]
    written = {speakable(text): text for passage in request.passages for text in sentences_of(passage.body)}
    return [*heard, *(written[text] for text in heard if text in written)]
