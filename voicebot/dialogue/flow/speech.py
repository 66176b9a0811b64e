"""The parts an utterance is made of, in the order they are spoken. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicebot.core.conversation import Clause
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.generation.report import WritingReport
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.phrases import Phrases


@dataclass(frozen=True, slots=True)
class Line:
    """An approved line of the deployment. ``owed`` names the fact it carries, if the caller must hear it."""

    key: str
    nth: int = 0
    slots: Mapping[str, Any] = field(default_factory=dict[str, Any])
    owed: str | None = None
    question: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """Words that stand: a rendered result, a quoted article, something said before.

    ``report``: how they came about, if a writer wrote them.
    """

    text: str
    owed: str | None = None
    question: bool = False
    report: WritingReport | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """Words that a language model writes while they are spoken."""

    request: GenerationRequest


Part = Line | Said | Written


def text_of(part: Part, phrases: Phrases) -> str | None:
    """A part's words; None while they are still to be written."""
    match part:
        case Line():
            return phrases.text(part.key, part.nth, **part.slots)
        case Said():
            return part.text
        case Written():
            return None


def text_of_all(parts: Sequence[Part], phrases: Phrases) -> str | None:
    """All words of an utterance; None when some are still to be written."""
    texts = [text_of(part, phrases) for part in parts]
    return None if None in texts else " ".join(text for text in texts if text)


def question_of(parts: Sequence[Part], phrases: Phrases) -> str:
    """The words of the question an utterance ends with; empty when it asks none."""
    asked = [text_of(part, phrases) for part in parts if isinstance(part, Line | Said) and part.question]
    return asked[-1] or "" if asked else ""


def clauses_of(part: Line | Said, phrases: Phrases) -> tuple[Clause, ...]:
    """A known part as clauses; those of a line without slots are fixed, so that their sound is kept."""
    fixed = isinstance(part, Line) and phrases.is_fixed(part.key)
    return tuple(Clause(text=text, fixed=fixed) for text in split(text_of(part, phrases) or ""))
