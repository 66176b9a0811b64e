"""Another delivery address, as long as the order has not left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class AddressRequest(Strict):
    """Which order, and where it shall go. Letters, digits and the marks of an address only."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")
    street: str = Field(min_length=4, max_length=80, pattern=r"^[0-9A-Za-zÀ-ž][0-9A-Za-zÀ-ž .,'#/-]*$")
    city: str = Field(min_length=2, max_length=40, pattern=r"^[A-Za-zÀ-ž][A-Za-zÀ-ž .'-]*$")
    post_code: str = Field(pattern=r"^[0-9]{5}$")


class AddressChange(Outcome):
    """``amount`` is what the order is worth: more than a limit needs a person, who looks twice."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "changed", "same", "too_late", "cancelled", "not_found"
    ]
    street: str | None = None
    city: str | None = None
    post_code: str | None = None
    amount: Decimal | None = None


async def terms(context: ToolContext, customer: VerifiedCustomer, request: AddressRequest) -> AddressChange:
    """Whether the address can still be changed."""
    rows = await context.records.rows(
        "address_of_order", order_number=request.order_number, customer_id=customer.customer_id
    )
    if rows and rows[0]["outcome"] == "changed":
        rows[0] |= {"street": request.street, "city": request.city, "post_code": request.post_code} | (
            {"outcome": "same"} if _same(rows[0], request) else {}
        )
    return _read(rows)


async def stands(context: ToolContext, customer: VerifiedCustomer, request: AddressRequest) -> bool:
    """Whether the order goes there now."""
    return (await terms(context, customer, request)).outcome == "same"


@tool(
    effect=Effect.WRITE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.orders",
    scope="orders:write",
    terms=terms,
    proof=stands,
    done=("changed",),
    reads_back=("order_number", "street", "city", "post_code"),
    limits=("redirected_value", "changes_a_day"),
    hints={"too_late": "delivery_reschedule", "not_found": "person"},
    level=2,
)
async def change_address(
    context: ToolContext, customer: VerifiedCustomer, request: AddressRequest
) -> AddressChange:
    """Sends one order of the verified customer, which has not left yet, to another address."""
    return _read(
        await context.records.change(
            "change_address",
            order_number=request.order_number,
            customer_id=customer.customer_id,
            street=request.street,
            city=request.city,
            post_code=request.post_code,
        )
    )


def _same(row: dict[str, Any], request: AddressRequest) -> bool:
    stored = (row["street"], row["city"], row["post_code"])
    return stored == (request.street, request.city, request.post_code)


def _read(rows: list[dict[str, Any]]) -> AddressChange:
    if not rows:
        return AddressChange(outcome="not_found")
    row = rows[0]
    if row["outcome"] != "changed":
        return AddressChange(outcome=row["outcome"])
    return AddressChange(
        outcome="changed",
        street=row["street"],
        city=row["city"],
        post_code=row["post_code"],
        amount=Decimal(row["total_cents"]) / 100,
    )
