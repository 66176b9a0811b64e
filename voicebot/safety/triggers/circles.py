"""The conversation goes in circles, or nothing is understood: a person is offered, then takes over. Pure."""

from __future__ import annotations

from typing import Literal

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Circle, Loop

Loops = Literal["none", "same_intent", "same_answer", "rephrasing"]


def rule_of(loop: Loops, rules: Loop) -> Circle | None:
    """The numbers of this kind of circle."""
    match loop:
        case "none":
            return None
        case "rephrasing":
            return rules.rephrasing
        case "same_intent":
            return rules.same_intent
        case "same_answer":
            return rules.same_answer


def circle(loop: Loops, rounds: int, rules: Loop) -> Cause | None:
    """Fires when the same circle was gone round so often. ``rounds``: counted from the second time."""
    rule = rule_of(loop, rules)
    if rule is None or rounds < rule.person_at:
        return None
    return Cause("loop", {"circle": loop, "rounds": rounds, "limit": rule.person_at})


def offers(loop: Loops, rounds: int, rules: Loop) -> bool:
    """Whether a person is offered at this round."""
    rule = rule_of(loop, rules)
    return rule is not None and rounds >= rule.offer_at


def not_understood(times: int, limit: int) -> Cause | None:
    """Fires when words meant nothing to us so often in a row; ``limit``: `ladder.not_understood`."""
    return Cause("not_understood", {"times": times, "limit": limit}) if times >= limit else None


def other_language(told: bool) -> Cause | None:
    """Fires on words in another language from a caller who was told that this bot speaks English only."""
    return Cause("language", {"told": True}) if told else None
