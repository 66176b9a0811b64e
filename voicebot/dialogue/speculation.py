"""Planning early: what must agree for an early plan to count, and how many may be under way. Pure.

A plan made while the caller may go on speaking is kept only if the final words are the same: the same
normalised tokens AND the same slots (digits as the gate reads them, wants as the monitor reads them,
both with the recogniser's alternatives). Everything else is waste, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from voicebot.core.conversation import Keys, TurnInput, Utterance
from voicebot.dialogue.monitor.features import words_of
from voicebot.safety.spoken_numbers import digit_runs

ALIVE = 8
"""Early plans under way at once on a node: each may be waste."""


class Fate(StrEnum):
    """How an early plan ended."""

    KEPT = "kept"
    """The words agreed: the turn was ready when the caller stopped."""
    OTHER_WORDS = "other_words"
    RESUMED = "resumed"
    """The caller went on speaking."""
    STALE = "stale"
    """The conversation moved on under it."""
    REFUSED = "refused"
    """It needed a read that waits for the final words."""
    FAILED = "failed"


class Verdict(StrEnum):
    """What to do with an offer."""

    START = "start"
    SAME = "same"
    """The very words are being planned."""
    REPLACE = "replace"
    """Other words: the plan at hand is waste, a new one starts."""
    FULL = "full"
    BUSY = "busy"
    UNFIT = "unfit"
    """Nothing a caller says: a beginning, a silence, somebody else's input."""


@dataclass(frozen=True, slots=True)
class Gist:
    """What two forms of one turn must have in common."""

    tokens: tuple[str, ...]
    digits: tuple[tuple[tuple[str, ...], ...], ...]
    """Every run of digits in every form of the words, with its readings."""
    wants: tuple[str, ...]


def gist(given: TurnInput, wants: Callable[[Utterance], tuple[str, ...]]) -> Gist | None:
    """The gist of a caller's words or keys, None for any other input.

    Args:
        given: the input, partial or final.
        wants: the intents that the monitor reads, in order.
    """
    match given:
        case Utterance():
            readings = dict.fromkeys(digit_runs(words) for words in (given.text, *given.alternatives))
            digits = tuple(reading for reading in readings if reading)
            return Gist(tuple(words_of(given.text)), digits, wants(given))
        case Keys():
            return Gist((given.digits,), (((given.digits,),),), ())
        case _:
            return None


def weigh(
    offered: Gist | None, at_hand: Gist | None, *, alive: int, busy: bool, limit: int = ALIVE
) -> Verdict:
    """Whether to plan early.

    Args:
        offered: of the words so far.
        at_hand: of the plan that is under way for this conversation.
        alive: plans under way on this node, that one included.
        busy: the node has no time to give away.
        limit: most plans under way.
    """
    if offered is None or not offered.tokens:
        return Verdict.UNFIT
    if at_hand == offered:
        return Verdict.SAME
    if busy:
        return Verdict.BUSY
    if at_hand is not None:
        return Verdict.REPLACE
    return Verdict.FULL if alive >= limit else Verdict.START
