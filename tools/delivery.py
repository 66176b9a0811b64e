"""A day and a part of it for the delivery."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer

ROOM = 8
"""Deliveries that one part of a day has room for: two vans, four stops each."""
FURTHEST_DAYS = 28
_SUNDAY = 6
_BOOKABLE = frozenset({"processing", "shipped", "delayed"})


class DeliveryRequest(Strict):
    """Which order, and when somebody is at home."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")
    day: date
    part: Literal["morning", "afternoon", "evening"]


class Delivery(Outcome):
    """``from_day`` is the first day there is."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "booked", "same", "full", "too_soon", "too_far", "no_sundays", "too_late", "not_found"
    ]
    day: date | None = None
    part: str | None = None
    from_day: date | None = None


async def terms(context: ToolContext, customer: VerifiedCustomer, request: DeliveryRequest) -> Delivery:
    """Whether that time is free."""
    rows = await context.records.rows(
        "delivery_day",
        order_number=request.order_number,
        customer_id=customer.customer_id,
        day=request.day,
        part=request.part,
    )
    return decide(request, rows[0] if rows else None, context.today)


@tool(
    effect=Effect.WRITE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.appointments",
    scope="deliveries:write",
    terms=terms,
    done=("booked",),
    reads_back=("order_number", "day", "part"),
    limits=("changes_a_day",),
    hints={
        "full": "ask:day",
        "too_soon": "ask:day",
        "too_far": "ask:day",
        "no_sundays": "ask:day",
        "too_late": "order_status",
        "not_found": "person",
    },
)
async def book_delivery(
    context: ToolContext, customer: VerifiedCustomer, request: DeliveryRequest
) -> Delivery:
    """Books a day and a part of it for the delivery of an order that has not arrived."""
    rows = await context.records.change(
        "book_delivery",
        order_number=request.order_number,
        customer_id=customer.customer_id,
        day=request.day,
        part=request.part,
        room=ROOM,
        today=context.today,
    )
    if not rows:
        return Delivery(outcome="not_found")
    return Delivery(outcome=rows[0]["outcome"], day=rows[0]["day"], part=rows[0]["part"])


def decide(request: DeliveryRequest, row: dict[str, Any] | None, today: date) -> Delivery:
    """What a booking would come to. ``row``: the order's delivery, None if it is not the customer's."""
    if row is None:
        return Delivery(outcome="not_found")
    if row["status"] not in _BOOKABLE:
        return Delivery(outcome="too_late")
    soonest = today + timedelta(days=1)
    if row["due_on"] is not None and row["status"] != "processing":
        soonest = max(soonest, row["due_on"])  # it is on its way and cannot be there before
    if request.day < soonest:
        return Delivery(outcome="too_soon", from_day=soonest)
    if request.day > today + timedelta(days=FURTHEST_DAYS):
        return Delivery(outcome="too_far", from_day=today + timedelta(days=FURTHEST_DAYS))
    if request.day.weekday() == _SUNDAY:
        return Delivery(outcome="no_sundays", from_day=request.day + timedelta(days=1))
    if (row["booked_day"], row["booked_part"]) == (request.day, request.part):
        return Delivery(outcome="same", day=request.day, part=request.part)
    if row["taken"] >= ROOM:
        return Delivery(outcome="full", day=request.day, part=request.part)
    return Delivery(outcome="booked", day=request.day, part=request.part)
