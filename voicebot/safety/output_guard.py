"""The output guard, first form: a clause that a model wrote may hold no number its sources do not hold.

Pure. Runs on every clause before it may become sound. Numbers are compared by value, so "thirty"
is backed by "30 days".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from voicebot.safety.spoken_numbers import digit_runs

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_SMALL = frozenset({"1"})  # "one" is more often a word than a figure


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """Whether a clause may be spoken, and why not."""

    allowed: bool
    reason: str = ""


def guard_clause(clause: str, sources: Iterable[str]) -> GuardVerdict:
    """Allows a clause whose every number occurs in the sources.

    >>> guard_clause("You have thirty days.", ["Returns are free for 30 days."]).allowed
    True
    >>> guard_clause("You have sixty days.", ["Returns are free for 30 days."]).allowed
    False
    """
    backed: set[str] = set()
    for source in sources:
        backed |= _numbers(source)
    unbacked = sorted(_numbers(clause) - backed - _SMALL)
    if unbacked:
        return GuardVerdict(allowed=False, reason="number_without_source")
    return GuardVerdict(allowed=True)


def _numbers(text: str) -> set[str]:
    figures = {match.replace(",", "") for match in _FIGURE.findall(text)}
    spoken = {readings[0] for readings in digit_runs(_FIGURE.sub(" ", text)) if readings}
    return {number.rstrip("0").rstrip(".") if "." in number else number for number in figures | spoken}
