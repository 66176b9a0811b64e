"""Where an order is: reads one order of the verified caller."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class OrderStatusRequest(Strict):
    """Which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class OrderStatus(Outcome):
    """An order as the caller may hear it. What is None did not happen (yet)."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so a narrower type is safe
        "processing",
        "shipped",
        "out_for_delivery",
        "delivered",
        "delayed",
        "cancelled",
        "returned",
        "not_found",
    ]
    items: str = ""
    carrier: str | None = None
    due_on: date | None = None
    delivered_on: date | None = None
    total: Decimal | None = None
    paid_with: str | None = None


@tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1.5, resource="shop.orders", scope="orders:read")
async def order_status(
    context: ToolContext, customer: VerifiedCustomer, request: OrderStatusRequest
) -> OrderStatus:
    """Status, parcel and payment of one order of the verified customer."""
    rows = await context.records.rows(
        "order_by_number", order_number=request.order_number, customer_id=customer.customer_id
    )
    if not rows:
        return OrderStatus(outcome="not_found")
    row = rows[0]
    return OrderStatus(
        outcome=row["status"],
        items=_spoken_items(row["items"] or ["order"]),
        carrier=row["carrier"],
        due_on=row["due_on"],
        delivered_on=row["delivered_on"],
        total=Decimal(row["total_cents"]) / 100,
        paid_with="installment plan" if row["paid_with"] == "installments" else row["paid_with"],
    )


def _spoken_items(items: list[str]) -> str:
    """The first item by name, the others as a number.

    >>> _spoken_items(["wool rug", "floor lamp", "vase"])
    'wool rug, with two more items,'
    """
    more = len(items) - 1
    if more <= 0:
        return items[0]
    if more == 1:
        return f"{items[0]}, with the {items[1]},"
    return f"{items[0]}, with {('two', 'three', 'four', 'five')[min(more, 5) - 2]} more items,"
