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


@dataclass(frozen=True)
class Person:
    """What happens when a number is rung."""

    does: Literal["answer", "busy", "no_answer", "fail"] = "answer"
    after_s: float = 1.0
    """Seconds of ringing before they answer (or the busy signal comes)."""
    ear: Callable[[], Ear] = someone
    """Makes who is on the line, once per call."""
    hangs_up_after_s: float | None = None
    """Seconds after answering; None: stays until the other side ends it."""


def silent_person(after_s: float = 0.1) -> Person:
    """Answers quickly and says nothing."""
    return Person(after_s=after_s, ear=Quiet)
