"""The yearly Plus membership: letting it run out, or keeping it after all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class MembershipRequest(Strict):
    """``end``: it runs out when the year is over. ``keep``: it goes on after all."""

    change: Literal["end", "keep"]


class Membership(Outcome):
    """``ends_on`` is the last day; ``renews_on`` the day of the next payment, ``price`` what that is."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "ended", "kept", "already_ended", "already_kept", "no_membership"
    ]
    ends_on: date | None = None
    renews_on: date | None = None
    price: Decimal | None = None


async def terms(context: ToolContext, customer: VerifiedCustomer, request: MembershipRequest) -> Membership:
    """What the change would come to."""
    rows = await context.records.rows("membership", customer_id=customer.customer_id)
    if not rows:
        return Membership(outcome="no_membership")
    row = rows[0]
    ended = row["ends_on"] is not None
    if ended == (request.change == "end"):
        outcome = "already_ended" if ended else "already_kept"
        return Membership(outcome=outcome, ends_on=row["ends_on"], renews_on=row["renews_on"])
    return _changed(request, row["renews_on"], row["price_cents"])


@tool(
    effect=Effect.WRITE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.memberships",
    scope="memberships:write",
    terms=terms,
    done=("ended", "kept"),
    reads_back=("change", "renews_on"),
    limits=("changes_a_day",),
    hints={"no_membership": "plus_membership"},
)
async def change_membership(
    context: ToolContext, customer: VerifiedCustomer, request: MembershipRequest
) -> Membership:
    """Ends the verified customer's Plus membership at the end of its year, or keeps one that was ended."""
    rows = await context.records.change(
        "change_membership", customer_id=customer.customer_id, change=request.change
    )
    if not rows:
        return Membership(outcome="no_membership")
    row = rows[0]
    return _changed(request, row["renews_on"], row["price_cents"])


def _changed(request: MembershipRequest, renews_on: date, cents: int) -> Membership:
    ends = request.change == "end"
    return Membership(
        outcome="ended" if ends else "kept",
        ends_on=renews_on if ends else None,
        renews_on=renews_on,
        price=Decimal(cents) / 100,
    )
