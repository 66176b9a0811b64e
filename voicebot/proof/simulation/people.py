"""People whose phones the local Twilio can ring: agents, or customers of outbound calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .clips import murmur
from .ear import Ear, Quiet, Timeline


def someone() -> Ear:
    """Says something voiced for two seconds after picking up."""
    return Timeline([(300, murmur(2000))])


Does = Literal["answer", "busy", "no_answer", "decline", "fail"]
"""What a phone that is rung does. ``decline``: the call is turned away (open: Twilio shows ``busy``)."""


@dataclass(frozen=True)
class Person:
    """What happens when a number is rung."""

    does: Does = "answer"
    after_s: float = 1.0
    """Seconds of ringing before they answer (or the busy signal comes)."""
    ear: Callable[[], Ear] = someone
    """Makes who is on the line, once per call."""
    hangs_up_after_s: float | None = None
    """Seconds after answering; None: stays until the other side ends it."""
    is_: Literal["human", "machine", "fax", "unknown"] = "human"
    """What answering-machine detection makes of whoever answers."""
    detected_after_s: float = 0.2
    """Seconds after the answer at which it knows (Twilio: some seconds)."""
    greeting_s: float = 0.3
    """Of a machine: seconds of greeting after that."""
    ends_with: Literal["beep", "silence", "other"] = "beep"


def machine(after_s: float = 0.1) -> Person:
    """An answering machine that picks up quickly."""
    return Person(after_s=after_s, ear=Quiet, is_="machine")


def silent_person(after_s: float = 0.1) -> Person:
    """Answers quickly and says nothing."""
    return Person(after_s=after_s, ear=Quiet)
