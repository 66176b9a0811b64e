"""The reviewed library of next actions, and how one is chosen (``business/patterns.yaml``). Pure.

A pattern has conditions; of those whose conditions all hold the one with the most wins, then one that looks
at the trigger, then the one that stands first. The choice says which conditions held, and what lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from voicebot.core.conversation import Strict
from voicebot.handoff.document import read_document
from voicebot.handoff.payload import Choice, Lost

MOST_LOST = 5
"""Patterns that lost which a choice names: the nearest ones."""
_MOST_NAMES = 3
_LONGEST = 160
"""Characters of a next action: one line on a desk, ten seconds when spoken."""


class PatternsError(Exception):
    """The patterns cannot be used; the message names file and key."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What patterns look at. ``tools``: each tool of the conversation with its outcome or error."""

    trigger: str
    intent: str = ""
    verified: bool = False
    urgency: str = "normal"
    channel: str = "phone"
    sentiment: float | None = None
    tools: tuple[tuple[str, str], ...] = ()


class When(Strict):
    """Conditions; all that are given must hold, of a list one entry.

    ``trigger``: its name, the part before a colon is enough (``policy`` for ``policy:complaint``).
    ``result``: a tool with its outcome (``cancel_order: too_late``), or the tool alone.
    ``sentiment_below``: of the last turn that was measured, -1..1.
    """

    trigger: tuple[str, ...] = ()
    intent: tuple[str, ...] = ()
    verified: bool | None = None
    urgency: tuple[Literal["low", "normal", "high", "critical"], ...] = ()
    channel: tuple[Literal["phone", "browser", "chat", "sms"], ...] = ()
    result: tuple[str, ...] = ()
    sentiment_below: float | None = Field(default=None, gt=-1, le=1)

    def checked(self, facts: Facts) -> Iterator[tuple[bool, str]]:
        """Each condition that is given: whether it holds, and how it reads."""
        names = (facts.trigger, facts.trigger.partition(":")[0])
        if self.trigger:
            held = [one for one in self.trigger if one in names]
            yield bool(held), f"trigger is {_either(held or self.trigger)}"
        if self.intent:
            found = facts.intent in self.intent
            yield found, f"intent is {facts.intent if found else _either(self.intent)}"
        if self.verified is not None:
            yield facts.verified is self.verified, f"verified is {str(self.verified).lower()}"
        if self.urgency:
            yield facts.urgency in self.urgency, f"urgency is {_either(self.urgency)}"
        if self.channel:
            yield facts.channel in self.channel, f"channel is {_either(self.channel)}"
        if self.result:
            said = {tool for tool, _ in facts.tools} | {f"{tool}: {end}" for tool, end in facts.tools}
            held = [one for one in self.result if one in said]
            yield bool(held), f"result is {_either(held or self.result)}"
        if self.sentiment_below is not None:
            low = facts.sentiment is not None and facts.sentiment < self.sentiment_below
            yield low, f"sentiment is below {self.sentiment_below:g}"


class Reviewed(Strict):
    """Who approved a pattern, and when."""

    by: str = Field(min_length=1)
    day: date = Field(alias="date")


class Pattern(Strict):
    """One next action with its conditions. ``next``: one line, to the agent."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    when: When = When()
    next: str = Field(min_length=1, max_length=_LONGEST)
    reviewed: Reviewed

    @field_validator("next")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if "\n" in text or text != text.strip():
            raise ValueError("is one line, without space around it")
        return text


class Patterns(Strict):
    """The library. Immutable; shared by all handoffs."""

    patterns: tuple[Pattern, ...] = Field(min_length=1)

    @classmethod
    def read(cls, path: Path) -> Patterns:
        """Reads the file.

        Raises:
            PatternsError: it is missing or has another shape.
        """
        return read_document(cls, path, PatternsError, hint=" (a day needs quotes)")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [one.name for one in self.patterns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"patterns: {twice} stand there twice")
        if any(conditions(one) == 0 for one in self.patterns[:-1]) or conditions(self.patterns[-1]):
            raise ValueError("patterns: the last one, and no other, has no conditions: what is left")
        return self

    def choose(self, facts: Facts) -> tuple[str, Choice]:
        """The next action in one line, and why it is this one."""
        held, near = list[Pattern](), list[Lost]()
        for one in self.patterns:
            checked = list(one.when.checked(facts))
            missed = [text for holds, text in checked if not holds]
            if not missed:
                held.append(one)
            elif len(missed) < len(checked) and len(missed) == 1:
                near.append(Lost(pattern=one.name, why=f"not so: {missed[0]}"))
        best = max(held, key=_rank)  # of equals the first
        lost = [Lost(pattern=one.name, why=_why(one, best)) for one in held if one is not best]
        return best.next, Choice(
            pattern=best.name,
            matched=tuple(text for _, text in best.when.checked(facts)),
            lost=(*lost, *near)[:MOST_LOST],
            reviewed_by=best.reviewed.by,
            reviewed_on=best.reviewed.day,
        )

    def overdue(self, today: date, *, after_days: int = 365) -> tuple[Pattern, ...]:
        """Patterns that nobody has looked at for so long."""
        return tuple(one for one in self.patterns if (today - one.reviewed.day).days > after_days)


def conditions(pattern: Pattern) -> int:
    """How many conditions it has."""
    return len(list(pattern.when.checked(Facts(trigger=""))))


def _rank(pattern: Pattern) -> tuple[int, bool]:
    return conditions(pattern), bool(pattern.when.trigger)


def _why(lost: Pattern, best: Pattern) -> str:
    if conditions(lost) < conditions(best):
        return f"says less: {conditions(lost)} of its conditions against {conditions(best)}"
    if best.when.trigger and not lost.when.trigger:
        return "looks at no trigger"
    return "stands further down"


def _either(names: tuple[str, ...] | list[str]) -> str:
    return " or ".join(names) if len(names) <= _MOST_NAMES else f"one of {len(names)}"
