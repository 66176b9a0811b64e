"""What could be said: quoted from the article that answers, or a question where none does. Pure.

The same rules as for the bot's own answers: `backing` says which passages may back one and what they lack,
the output guard looks for every value's source. What does not pass is not suggested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.core.conversation import Route, Source
from voicebot.dialogue.generation.abstaining import another_thing, did_you_mean
from voicebot.dialogue.generation.backing import (
    FLOOR,
    Backing,
    NoFact,
    OtherThing,
    alike,
    back,
)
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.generation.grounded import compose
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.dialogue.knowledge.passage import Retrieval
from voicebot.dialogue.knowledge.retriever import PASSAGES
from voicebot.dialogue.phrases import Phrases
from voicebot.handoff.assist.articles import Found, key_of
from voicebot.handoff.assist.suggestion import Suggestion, suggestion_id
from voicebot.handoff.assist.topics import Ask
from voicebot.safety.guard_out import Pass

SENTENCES = 2
STAYS = 3
"""So many things may be asked in the topic before a reply to an earlier one goes."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Something that was asked, with what answers it. ``lack``: what no article holds ("a price")."""

    ask: Ask
    backing: Backing
    reply: Suggestion | None = None
    lack: str | None = None


def answered(asked: Sequence[Ask], found: Found, phrases: Phrases, conversation_id: str) -> Answered | None:
    """The latest thing of the topic that something can be said to, while nothing else was asked since."""
    for ask in reversed(asked[-STAYS:]):
        result = found.get(key_of(ask))
        one = _answered(ask, result, phrases, conversation_id) if result and result.passages else None
        if one is not None or ask.question:
            return one
    return None


def request_for(ask: Ask, backing: Backing, conversation_id: str, route: Route) -> GenerationRequest:
    """An answer to it as a writer is asked for one."""
    return GenerationRequest(
        conversation_id=conversation_id,
        turn=0,
        intent=ask.intent or "",
        route=route,
        question=ask.text,
        passages=backing.passages,
        sentences=SENTENCES,
    )


def _answered(ask: Ask, result: Retrieval, phrases: Phrases, conversation_id: str) -> Answered | None:
    backing = back(ask.text, result.passages[:PASSAGES])
    match backing.lack:
        case NoFact(fact):
            return Answered(ask, backing, lack=fact)
        case OtherThing(thing, _, passage):
            line = another_thing(phrases, thing, ())
            asks = phrases.text(line.key, line.nth, **line.slots)
            why = f"no article is about what was named; there is one about the {thing}"
            return Answered(ask, backing, _reply(ask, asks, why, (passage.source,), passage.grounding))
        case None:
            pass
    if backing.grounding >= FLOOR:
        return _quoted(ask, backing, phrases, conversation_id)
    near = alike(ask.text, result.ambiguous)
    if len(near) > 1:
        line = did_you_mean(phrases, _named(near[0].source.title), _named(near[1].source.title), ())
        asks = phrases.text(line.key, line.nth, **line.slots)
        sources = tuple(one.source for one in near[:2])
        return Answered(ask, backing, _reply(ask, asks, "two articles fit nearly alike", sources, None))
    return None


def _quoted(ask: Ask, backing: Backing, phrases: Phrases, conversation_id: str) -> Answered | None:
    request = request_for(ask, backing, conversation_id, Route.GROUNDED)
    quote = compose(request, phrases)
    guard = SpeechGuard().of(request)
    if not quote.text or not all(isinstance(guard.quoted(one), Pass) for one in split(quote.text)):
        return None
    why = f"quoted from “{quote.sources[0].title}”, {backing.grounding:.0%} sure"
    return Answered(ask, backing, _reply(ask, quote.text, why, quote.sources, backing.grounding))


def _reply(
    ask: Ask, text: str, why: str, sources: tuple[Source, ...], confidence: float | None
) -> Suggestion:
    return Suggestion(
        id=suggestion_id("reply", text, *(f"{one.article}@{one.version}" for one in sources)),
        kind="reply",
        about=sources[0].article,
        text=text,
        why=why,
        line=ask.line,
        said=ask.said,
        sources=sources,
        confidence=confidence,
    )


def _named(title: str) -> str:
    """A title in the middle of a sentence."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]
