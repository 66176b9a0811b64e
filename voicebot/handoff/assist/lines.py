"""Finished lines of a conversation, from its stored events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from voicebot.core.conversation import Event
from voicebot.core.transcript import LEG_LINE, Who, told

LOOKED_AT = 60
"""So many of the latest lines are kept: some five minutes of talk."""

_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Line:
    """What one speaker said, with tokens for what is personal.

    ``id``: of the entry in the live transcript. ``person``: said after the bot had stepped back.
    """

    id: int
    who: Who
    text: str
    at: datetime
    person: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What the monitor reads in a line of the caller or the agent. ``wants``: it is a question of its own."""

    intent: str
    confidence: float
    wants: bool
    sentiment: float = 0.0
    distress: float = 0.0


Reads = Callable[[Line], Read]


def line_of(event: Event, handed_over_at: datetime) -> Line | None:
    """The line that a stored event is; None: it is none, or nobody heard it.

    Args:
        event: as it was stored.
        handed_over_at: when the conversation was given to people.
    """
    entry = told(event)
    if entry is None or entry.id is None or entry.type != "line" or entry.who is None:
        return None
    if not entry.text or entry.heard == "none":
        return None
    person = event.type == LEG_LINE or entry.at >= handed_over_at
    return Line(entry.id, entry.who, entry.text[:_LONGEST], entry.at, person)
