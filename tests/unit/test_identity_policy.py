"""A gate that could be guessed, or that gives more than its facts prove, never boots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voicebot.safety.identity import GateRules
from voicebot.safety.policy.laws import check_laws
from voicebot.safety.policy.problems import Problems
from voicebot.safety.policy.reading import read_policy

TABLE = read_policy(Path(__file__).resolve().parent.parent.parent / "business" / "policy.yaml")
ORDER = {"name": "order", "level": 1, "factors": ("order_number", "post_code")}


def wrong(**changes: Any) -> str:
    """What the laws say of the shop's own table with another gate."""
    rules = GateRules.model_validate({**TABLE.identity.model_dump(), **changes})
    problems = Problems()
    check_laws(TABLE.model_copy(update={"identity": rules}), problems)
    return " · ".join(str(one) for one in problems.found)


def test_the_shops_own_gate_is_fine() -> None:
    assert wrong() == ""


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (({"name": "weak", "level": 1, "factors": ("order_number", "nothing")},), "which is not there"),
        (({"name": "turned", "level": 1, "factors": ("post_code", "order_number")},), "finds the record"),
        (
            (ORDER, {"name": "open", "level": 2, "factors": ("order_number", "post_code", "name")}),
            "needs a code",
        ),
        (({"name": "code", "level": 1, "factors": ("order_number", "code")},), "goes only to who has passed"),
        (
            ({"name": "twice", "level": 1, "factors": ("order_number", "order_number")},),
            "names a factor twice",
        ),
        ((ORDER, ORDER), "a set stands twice"),
        (({"name": "high", "level": 2, "factors": ("order_number", "card_digits")},), "nobody could begin"),
    ],
)
def test_sets_that_prove_too_little_are_refused(sets: tuple[Any, ...], says: str) -> None:
    assert says in wrong(sets=sets, demands={})


def test_demands_name_intents_and_levels_that_there_are() -> None:
    """A misspelt intent would silently need nothing more."""
    assert "no intent delivery_adress" in wrong(demands={"delivery_adress": 2})
    assert "no set proves level 3" in wrong(demands={"delivery_address": 3})


def test_codes_and_locks_have_limits() -> None:
    """Four digits are guessed, and ten failed tries are no lock."""
    factors = [one.model_dump() for one in TABLE.identity.factors]
    factors[-1]["digits"] = 4
    assert "a code has 6 digits at least" in wrong(factors=tuple(factors))
    lockout = {"window_minutes": 60, "per_reference": 9, "per_caller": 6}
    assert "failed tries are too many" in wrong(lockout=lockout)
