"""Where a parcel is: the last place that saw it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class TrackingRequest(Strict):
    """Which order's parcel."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class Tracking(Outcome):
    """A parcel as the caller may hear of it. ``seen_at`` is the business's time."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "not_sent",
        "announced",
        "picked_up",
        "sorted",
        "out_for_delivery",
        "delivered",
        "cancelled",
        "not_found",
    ]
    carrier: str | None = None
    place: str | None = None
    seen_at: datetime | None = None
    due_on: date | None = None
    delivered_on: date | None = None


@tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1.5, resource="shop.shipments", scope="orders:read")
async def tracking(context: ToolContext, customer: VerifiedCustomer, request: TrackingRequest) -> Tracking:
    """The last place that saw the parcel of one order of the verified customer, and when."""
    rows = await context.records.rows(
        "parcel_of_order", order_number=request.order_number, customer_id=customer.customer_id
    )
    if not rows:
        return Tracking(outcome="not_found")
    row = rows[0]
    if row["status"] == "cancelled":
        return Tracking(outcome="cancelled")
    if row["event"] is None:
        return Tracking(outcome="not_sent", due_on=row["due_on"])
    return Tracking(
        outcome="delivered" if row["delivered_on"] else row["event"],
        carrier=row["carrier"],
        place=row["place"],
        seen_at=row["seen_at"].astimezone(context.zone).replace(tzinfo=None),
        due_on=row["due_on"],
        delivered_on=row["delivered_on"],
    )
