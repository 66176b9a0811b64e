"""Two weak signs of different kinds at about the same time. Pure."""

from __future__ import annotations

from itertools import combinations

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import WeakSignals
from voicebot.safety.triggers.signs import Risk, Sign

AT_LEAST = 2
_OF_WORDS = frozenset({"mood", "distress", "person"})
"""Read from the same words: several of them in one turn are one sign."""


def weak_signals(risk: Risk, rules: WeakSignals) -> Cause | None:
    """Fires when two different signs that count stand in the last turns of the caller."""
    recent = [sign for sign in risk.signs if sign.name in rules.of and sign.turn > risk.turns - rules.within]
    if not any(_apart(one, other) for one, other in combinations(recent, 2)):
        return None
    seen = sorted({sign.name for sign in recent})
    return Cause("weak_signals", {"signs": list(seen), "within_turns": rules.within, "limit": AT_LEAST})


def _apart(one: Sign, other: Sign) -> bool:
    same_words = one.turn == other.turn and {one.name, other.name} <= _OF_WORDS
    return one.name != other.name and not same_words
