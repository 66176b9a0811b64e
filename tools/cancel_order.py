"""Cancels an order that has not left yet; its money goes back the way it came."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class CancelRequest(Strict):
    """Which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class Cancellation(Outcome):
    """``amount`` is what goes back, None where nothing does."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "cancelled", "already", "too_late", "not_found"
    ]
    amount: Decimal | None = None
    paid_with: str | None = None


async def terms(context: ToolContext, customer: VerifiedCustomer, request: CancelRequest) -> Cancellation:
    """What cancelling would come to."""
    return _read(
        await context.records.rows(
            "cancellation", order_number=request.order_number, customer_id=customer.customer_id
        )
    )


async def stands(context: ToolContext, customer: VerifiedCustomer, request: CancelRequest) -> bool:
    """Whether it is cancelled now."""
    return (await terms(context, customer, request)).outcome == "already"


@tool(
    effect=Effect.IRREVERSIBLE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.orders",
    scope="orders:write",
    terms=terms,
    proof=stands,
    done=("cancelled",),
    reads_back=("order_number", "amount"),
    limits=("refund_amount", "refunds_by_all", "changes_a_day"),
    hints={"too_late": "start_return", "already": "refund_status", "not_found": "person"},
)
async def cancel_order(
    context: ToolContext, customer: VerifiedCustomer, request: CancelRequest
) -> Cancellation:
    """Cancels one order of the verified customer that has not been sent, and sends its money back."""
    return _read(
        await context.records.change(
            "cancel_order",
            order_number=request.order_number,
            customer_id=customer.customer_id,
            today=context.today,
        )
    )


def _read(rows: list[dict[str, Any]]) -> Cancellation:
    if not rows:
        return Cancellation(outcome="not_found")
    row = rows[0]
    if row["outcome"] != "cancelled":
        return Cancellation(outcome=row["outcome"])
    method = "installment plan" if row["method"] == "installments" else row["method"]
    return Cancellation(
        outcome="cancelled", amount=Decimal(row["amount_cents"] or 0) / 100, paid_with=method or "account"
    )
