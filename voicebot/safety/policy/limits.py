"""What changes may add up to, in ``business/policy.yaml`` under ``limits:``. Strict models; pure.

limits:
  refund_amount:
    why: "what a bot may give back before a person looks"
    measure: amount
    per: customer
    days: 30
    most: {others: 300, plus: 600}
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Strict
from voicebot.safety.policy.rows import Name, Why

OTHERS = "others"
"""Every segment that a limit does not name, and whoever's segment is not known."""


class Limit(Strict):
    """One limit. ``most`` is in whole units of the currency, or a number of times, by segment."""

    why: Why
    measure: Literal["amount", "count"]
    per: Literal["customer", "segment", "deployment"]
    days: int | None = Field(default=None, ge=1, le=366)
    """The time over which changes add up; None: each by itself."""
    most: dict[Name, int]

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if OTHERS not in self.most:
            raise ValueError(f"`most` needs `{OTHERS}`: for every segment that it does not name")
        if any(most < 0 for most in self.most.values()):
            raise ValueError("`most` cannot lie below zero")
        if any(self.most[OTHERS] > most for most in self.most.values()):
            raise ValueError(f"`{OTHERS}` gives more than a segment has: less knowledge never gives freedom")
        if self.days is None and self.measure == "count":
            raise ValueError("a count needs `days`: one change by itself is always one")
        if self.days is None and self.per != "customer":
            raise ValueError("one change by itself is a customer's: `per: customer`")
        return self

    def most_for(self, segment: str | None) -> int:
        """Cents or times. Whose segment is not known has what `others` have."""
        most = self.most.get(segment or OTHERS, self.most[OTHERS])
        return most * 100 if self.measure == "amount" else most

    def amount_of(self, amount: Decimal | None) -> int:
        """What one change counts: its cents, rounded up, or one.

        Raises:
            ValueError: a limit of money, and the change does not say how much.
        """
        if self.measure == "count":
            return 1
        if amount is None or not amount.is_finite() or amount < 0:
            raise ValueError("a limit of money needs an amount of zero or more")
        return int((amount * 100).to_integral_value(rounding=ROUND_CEILING))
