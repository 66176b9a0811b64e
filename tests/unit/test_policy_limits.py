"""What changes may add up to is said for everybody, and nothing that is granted goes without a limit."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.safety.policy import read_policy
from voicebot.safety.policy.check import Beside, examine
from voicebot.safety.policy.limits import Limit

TABLE = read_policy(Path(__file__).resolve().parents[2] / "business/policy.yaml")
FINE: dict[str, Any] = {
    "why": "for these tests",
    "measure": "amount",
    "per": "customer",
    "days": 30,
    "most": {"others": 300, "plus": 600},
}


def limit(**other: Any) -> Limit:
    return Limit.model_validate_json(json.dumps({**FINE, **other}))


def test_who_is_not_known_has_what_the_others_have() -> None:
    assert [limit().most_for(segment) for segment in ("plus", "standard", None)] == [60_000, 30_000, 30_000]
    assert limit(measure="count").most_for("plus") == 600


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("299.99", 29_999), ("0", 0), ("0.001", 1), ("12.345", 1235), ("1E+3", 100_000)],
)
def test_an_amount_is_counted_to_the_cent_and_never_for_less(amount: str, cents: int) -> None:
    assert limit().amount_of(Decimal(amount)) == cents


@pytest.mark.parametrize("amount", [None, Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_amount_is_not_counted_as_none(amount: Decimal | None) -> None:
    with pytest.raises(ValueError, match="amount"):
        limit().amount_of(amount)
    assert limit(measure="count").amount_of(amount) == 1


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"most": {"plus": 600}}, "others"),
        ({"most": {"others": 700, "plus": 600}}, "less knowledge"),
        ({"most": {"others": -1}}, "below zero"),
        ({"measure": "count", "days": None}, "days"),
        ({"per": "deployment", "days": None}, "customer"),
        ({"days": 0}, "days"),
        ({"sum": 3}, "sum"),
    ],
)
def test_a_limit_that_leaves_a_gap_is_refused(other: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        limit(**other)


def problems(
    limits: dict[str, Limit], used: dict[str, tuple[str, ...]], amounts: frozenset[str]
) -> list[str]:
    table = TABLE.model_copy(update={"limits": limits, "grants": {}})
    _, found = examine(table, Beside(limits=used, amounts=amounts))
    return [str(problem) for problem in found if problem.row.startswith("limits.")]


def test_a_tools_limit_is_there_and_can_be_counted() -> None:
    fine = {"refund_amount": limit()}
    uses, amounts = {"cancel_order": ("refund_amount",)}, frozenset({"cancel_order"})
    assert problems(fine, uses, amounts) == []
    assert "did you mean" in problems(fine, {"cancel_order": ("refund_amout",)}, amounts)[0]
    assert "does not say an `amount`" in problems(fine, uses, frozenset())[0]
    assert "no tool counts against it" in problems({**fine, "spare": limit()}, uses, amounts)[0]
    assert (
        "unknown segment `gold`"
        in problems({"refund_amount": limit(most={"others": 1, "gold": 2})}, uses, amounts)[0]
    )
