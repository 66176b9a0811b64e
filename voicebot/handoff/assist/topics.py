"""What is asked now: which lines ask, in which words it is searched, when the topic changes. Pure, English.

A recogniser ends a line at each pause, so what follows at once from the same side is read together with it,
and a few words ("and for sofas?") together with what was asked before.
"""

# ruff: noqa: E501  # a pattern is not broken into lines

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from voicebot.dialogue.generation.wording import stem, terms_of
from voicebot.dialogue.intents import OUT_OF_SCOPE
from voicebot.dialogue.knowledge.words import CHATTER
from voicebot.handoff.assist.lines import Line, Read, Reads
from voicebot.safety.pii.masking import TOKEN

JOINED = timedelta(seconds=6)
"""Between two lines of one speaker that are one thought."""
FEW = 3
"""Fewer telling words than these lean on what was asked before."""
_LEAST = 2
_MOST_WORDS = 60
_CHATTER = frozenset(stem(word) for word in CHATTER)
_LOOKS = re.compile(
    r"\b(?:let me (?:just |quickly )?(?:see|check|look|find)|i(?:'ll| will| am going to|'m going to) (?:just |quickly )?(?:check|look|find|see)"
    r"|so you (?:want|would like|'d like|are asking|need)|you(?:'re| are) asking|i(?:'m| am) (?:looking|checking))\b",
    re.IGNORECASE,
)
"""Words of an agent who says what they look for."""

_QUESTION = re.compile(
    r"\?|\b(?:how|what|whats|what's|where|which|why|who|when (?:do|does|did|is|are|will|can|would))\b"
    r"|\b(?:can|could|do|does|did|is|are|will|would|should|may|have|has) (?:i|you|we|it|they|there|that|this|the|my|your|someone|somebody)\b"
    r"|\b(?:i|we)(?: would|'d| really| just)* (?:want|need|like|wanna)\b|\bi(?:'m| am) looking\b|\btell me\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"(?:(?:uh|um|okay|yes|yeah|well) )*(?:and|or|what about|how about|also|but)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that is wanted.

    Attributes:
        line: the entry in which it was said.
        said: that line's words.
        text: what is searched: more than the line where it leans on others.
        intent: None while it is not sure.
        terms: stems of the words that mean something.
        question: put as a question or a wish, so that what was asked before is over; else it may only
            add to that.
        topic: number of the topic it belongs to, from 1.
        person: said after the bot had stepped back.
    """

    line: int
    said: str
    text: str
    intent: str | None
    terms: frozenset[str]
    question: bool
    topic: int
    person: bool


def asks(
    lines: Sequence[Line], reads: Reads, *, sure: float, is_content: Callable[[str], bool]
) -> tuple[Ask, ...]:
    """What was asked, in order.

    Args:
        lines: of the conversation, in order.
        reads: the monitor's reading of a line.
        sure: the probability from which an intent counts.
        is_content: whether an intent is a question of its own.
    """
    found: list[Ask] = []
    before: Line | None = None
    for line in lines:
        ask = _ask(line, before, found[-1] if found else None, reads(line), sure, is_content)
        if ask is not None:
            if found and found[-1].topic == ask.topic and _goes_on(found[-1], line, before):
                found.pop()  # one thought: the longer words take its place
            found.append(ask)
        before = line
    return tuple(found)


def now_asked(found: Sequence[Ask]) -> tuple[Ask, ...]:
    """Those of the topic that is spoken of now."""
    return tuple(one for one in found if one.topic == found[-1].topic) if found else ()


def _ask(
    line: Line,
    before: Line | None,
    last: Ask | None,
    read: Read,
    sure: float,
    is_content: Callable[[str], bool],
) -> Ask | None:
    if line.who == "bot":
        return None
    words = _plain(line.text)
    terms = _telling(words)
    certain = read.confidence >= sure and read.intent != OUT_OF_SCOPE
    intent = read.intent if certain and is_content(read.intent) else None
    if line.who == "agent" and (intent is None or _LOOKS.search(line.text) is None):
        return None
    if intent is None and certain:
        return None  # a yes, a thank you, the wish for a person
    if intent is None and TOKEN.search(line.text) and not is_question(words):
        return None  # a number, a name, an address: what was asked for is told
    if intent is None and len(terms) < (1 if last is not None else _LEAST):
        return None
    topic = _topic(last, intent, terms)
    text = words
    if last is not None and topic == last.topic:
        if _goes_on(last, line, before):
            text = f"{last.text} {words}"
            intent = intent or last.intent
        elif intent is None and _leans(words, terms):
            text = f"{last.text} {words}"
            intent = last.intent
    text = " ".join(text.split()[-_MOST_WORDS:])
    return Ask(line.id, line.text, text, intent, _telling(text), is_question(words), topic, line.person)


def is_question(words: str) -> bool:
    """Whether words are put as a question or a wish, as a recogniser writes them: without marks.

    >>> is_question("uh and how long is the warranty"), is_question("it is the big green one from my aunt")
    (True, False)
    """
    return _QUESTION.search(words) is not None


def _leans(words: str, terms: frozenset[str]) -> bool:
    """Whether words only mean something after what was asked before."""
    if len(terms) < _LEAST or _GOES_ON.match(words):
        return len(terms) < FEW
    return len(terms) < FEW and not is_question(words)


def _topic(last: Ask | None, intent: str | None, terms: frozenset[str]) -> int:
    if last is None:
        return 1
    if intent is None or last.intent is None or intent == last.intent or terms & last.terms:
        return last.topic
    return last.topic + 1


def _goes_on(last: Ask, line: Line, before: Line | None) -> bool:
    if before is None or last.line != before.id:
        return False
    return before.who == line.who and line.at - before.at <= JOINED


def _telling(words: str) -> frozenset[str]:
    return frozenset(terms_of(words)) - _CHATTER


def _plain(text: str) -> str:
    """Without what is personal: it finds nothing, and is not searched for."""
    return " ".join(TOKEN.sub(" ", text).split())
