"""How "I don't know" and "did you mean" are put, so that no wording comes twice within a call. Pure.

The wordings are the deployment's (``know.*``, ``ask.*`` in phrases.yaml). Which of them the caller has
heard is read from the history, so that no counter has to be kept: the first one that was not heard is
said, then the one heard longest ago.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.generation.request import Exchange
from voicebot.dialogue.phrases import Phrases, slots_of


def next_wording(phrases: Phrases, key: str, heard: Iterable[str]) -> int:
    """Which wording of a line is due: its ``nth``.

    Args:
        phrases: the deployment's lines.
        key: of the line.
        heard: what the bot has said, oldest first.
    """
    lines = phrases.spoken[key]
    patterns = [_pattern(line) for line in ((lines,) if isinstance(lines, str) else lines)]
    last = [-1] * len(patterns)
    for at, text in enumerate(heard):
        plain = _plain(text)
        for nth, pattern in enumerate(patterns):
            if pattern.search(plain):
                last[nth] = at
    return min(range(len(patterns)), key=lambda nth: (last[nth], nth))


def did_you_mean(phrases: Phrases, this: str, that: str, history: Sequence[Exchange]) -> Line:
    """One focused question between two readings, each named as in "is it about ..."."""
    return _line(phrases, "ask.choice", history, question=True, this=this, that=that)


def is_it_about(phrases: Phrases, this: str, history: Sequence[Exchange]) -> Line:
    """The same where there is one reading, and it is weak."""
    return _line(phrases, "ask.about", history, question=True, this=this)


def dont_know(phrases: Phrases, history: Sequence[Exchange], about: str | None = None) -> Line:
    """An honest "I don't know". ``about``: what there is an article on, to be named instead."""
    if about is not None:
        return _line(phrases, "know.not_but", history, topic=about)
    return _line(phrases, "know.not", history)


def no_such_fact(phrases: Phrases, fact: str, history: Sequence[Exchange]) -> Line:
    """Honest about what the articles do not hold. ``fact``: as in "I don't have ... for that"."""
    return _line(phrases, "know.no_fact", history, fact=fact)


def another_thing(phrases: Phrases, thing: str, history: Sequence[Exchange]) -> Line:
    """Whether another thing of the kind is meant, as there is none of the name that was said."""
    return _line(phrases, "ask.thing", history, question=True, thing=thing)


def _line(
    phrases: Phrases, key: str, history: Sequence[Exchange], *, question: bool = False, **slots: Any
) -> Line:
    return Line(key, next_wording(phrases, key, [one.bot for one in history]), slots, question=question)


def _pattern(line: str) -> re.Pattern[str]:
    """A wording with anything in its slots."""
    slots = slots_of(line)
    marked = line.format_map(dict.fromkeys(slots, " SLOT "))
    words = [r"\b.+?\b" if word == "slot" else re.escape(word) for word in _plain(marked).split()]
    return re.compile(" ".join(words))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w']+", " ", text.lower()).split())
