"""Which articles are shown for what is asked now: at most three, and they keep their places. Pure.

Each thing that was asked in the topic has a say, the latest most. An article that is shown stays where it is
while it still fits; another one takes its place only when it clearly fits better. Where something new is
asked that an article answers well, and none of those shown does, the talk has turned and all of them go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from voicebot.dialogue.knowledge.passage import Passage, Retrieval
from voicebot.dialogue.knowledge.retriever import FLOOR
from voicebot.handoff.assist.suggestion import Suggestion, suggestion_id
from voicebot.handoff.assist.topics import Ask

SHOWN = 3
SHOW_FROM = 0.05
"""Grounding from which an article is worth a look of a person, who can judge it; the bot quotes from 0.45."""
FADES = 0.6
"""What is left of a fit when something else of the topic was asked."""
BETTER = 0.12
"""By so much a newcomer has to fit better than what it pushes out."""
TURNS_AT = FLOOR
"""Grounding from which what was said has an article of its own; of a question `ASKED_AT`."""
ASKED_AT = 0.25
LOOKED_BACK = 4
"""Things that were asked, of the topic, that still have a say."""

Found = Mapping[str, Retrieval]
"""What the search gave, by `key_of`."""


@dataclass(frozen=True, slots=True)
class Place:
    """An article that is shown, by its passage, for what was asked. ``fit``: 0..1."""

    passage: Passage
    ask: Ask
    fit: float


def key_of(ask: Ask) -> str:
    """Under which a search's result is kept: the same words with the same intent are searched once."""
    return f"{ask.intent or ''}\n{ask.text}"


def articles(asked: Sequence[Ask], found: Found, without: Collection[str] = ()) -> tuple[Suggestion, ...]:
    """The articles to show.

    Args:
        asked: what was asked in this topic, in order.
        found: results of searches; what was not searched has no say.
        without: ids of suggestions that nobody wants to see again.
    """
    places: list[Place] = []
    for ask in asked[-LOOKED_BACK:]:
        result = found.get(key_of(ask))
        if result is None:
            continue
        places = _settled([] if turns(ask, result, places) else places, _fresh(ask, result, without))
    return tuple(_suggestion(one) for one in places)


def turns(ask: Ask, result: Retrieval, places: Sequence[Place]) -> bool:
    """Whether what was found is about something else than what is shown."""
    if not result.passages or result.grounding < (ASKED_AT if ask.question else TURNS_AT):
        return False
    return result.passages[0].source.article not in {one.passage.source.article for one in places}


def _fresh(ask: Ask, result: Retrieval, without: Collection[str]) -> dict[str, Place]:
    """The best passage of each article that may be shown."""
    best: dict[str, Place] = {}
    for passage in result.passages:
        article = passage.source.article
        if passage.grounding >= SHOW_FROM and _id(passage) not in without and article not in best:
            best[article] = Place(passage, ask, passage.grounding)
    return best


def _settled(places: Sequence[Place], fresh: Mapping[str, Place]) -> list[Place]:
    kept: list[Place] = []
    for one in places:
        again = fresh.get(one.passage.source.article)
        faded = one.fit * FADES
        if again is not None and again.fit >= faded:
            kept.append(again)
        elif faded >= SHOW_FROM:
            kept.append(Place(one.passage, one.ask, faded))
    held = {one.passage.source.article for one in kept}
    for article, one in fresh.items():
        if article in held:
            continue
        if len(kept) < SHOWN:
            kept.append(one)
            continue
        weakest = min(range(len(kept)), key=lambda at: (kept[at].fit, -at))
        if one.fit >= kept[weakest].fit + BETTER:
            kept[weakest] = one
    return kept


def _id(passage: Passage) -> str:
    return suggestion_id("article", passage.source.article, passage.source.version)


def _suggestion(one: Place) -> Suggestion:
    passage = one.passage
    return Suggestion(
        id=_id(passage),
        kind="article",
        about=passage.source.article,
        title=passage.source.title,
        text=passage.body,
        why=f"fits what was said, {one.passage.grounding:.0%} sure",
        line=one.ask.line,
        said=one.ask.said,
        sources=(passage.source,),
        confidence=one.passage.grounding,
        stale=passage.stale,
    )
