"""How an order was paid, and money that is due to go back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer


class PaymentRequest(Strict):
    """Which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class Payment(Outcome):
    """A payment as the caller may hear of it; never a card's number, which the shop does not have."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "paid", "pending", "declined", "refunded", "refund_due", "awaiting_return", "not_found"
    ]
    amount: Decimal | None = None
    paid_with: str | None = None
    paid_on: date | None = None
    refunded_on: date | None = None
    refund: Decimal | None = None


class RefundRequest(Strict):
    """Which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class Refund(Outcome):
    """``amount`` is what goes back, as the records say."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "refunded", "already", "not_due", "not_received", "not_found"
    ]
    amount: Decimal | None = None
    paid_with: str | None = None


@tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1.5, resource="shop.payments", scope="payments:read")
async def payment_status(
    context: ToolContext, customer: VerifiedCustomer, request: PaymentRequest
) -> Payment:
    """Whether an order of the verified customer is paid, and what went back or is due."""
    rows = await context.records.rows(
        "payment_of_order", order_number=request.order_number, customer_id=customer.customer_id
    )
    if not rows:
        return Payment(outcome="not_found")
    row = rows[0]
    outcome: Any = row["status"]
    if row["refunded_on"] is not None:
        outcome = "refunded"
    elif row["refund"] == "refunded":
        outcome = "refund_due"
    elif row["refund"] == "not_received":
        outcome = "awaiting_return"
    refund = row["refund_cents"] or row["amount_cents"]
    return Payment(
        outcome=outcome,
        amount=_money(row["amount_cents"]),
        paid_with=_method(row["method"]),
        paid_on=row["paid_on"],
        refunded_on=row["refunded_on"],
        refund=_money(refund),
    )


async def terms(context: ToolContext, customer: VerifiedCustomer, request: RefundRequest) -> Refund:
    """What is due to go back."""
    return _read(
        await context.records.rows(
            "refund_due", order_number=request.order_number, customer_id=customer.customer_id
        )
    )


async def stands(context: ToolContext, customer: VerifiedCustomer, request: RefundRequest) -> bool:
    """Whether the money was sent now."""
    return (await terms(context, customer, request)).outcome == "already"


@tool(
    effect=Effect.IRREVERSIBLE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.refunds",
    scope="payments:write",
    terms=terms,
    proof=stands,
    done=("refunded",),
    reads_back=("order_number", "amount"),
    limits=("refund_amount", "refunds_by_all", "changes_a_day"),
    hints={"not_due": "return_policy", "not_received": "order_status", "not_found": "person"},
)
async def refund_order(context: ToolContext, customer: VerifiedCustomer, request: RefundRequest) -> Refund:
    """Sends back the money that is due for a cancelled order or for goods that came back."""
    return _read(
        await context.records.change(
            "refund_order",
            order_number=request.order_number,
            customer_id=customer.customer_id,
            today=context.today,
        )
    )


def _read(rows: list[dict[str, Any]]) -> Refund:
    if not rows:
        return Refund(outcome="not_found")
    row = rows[0]
    if row["outcome"] != "refunded":
        return Refund(outcome=row["outcome"])
    return Refund(outcome="refunded", amount=_money(row["amount_cents"]), paid_with=_method(row["method"]))


def _money(cents: int) -> Decimal:
    return Decimal(cents) / 100


def _method(method: str) -> str:
    return "installment plan" if method == "installments" else method


class PayRequest(Strict):
    """Which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")


class CardPayment(Outcome):
    """``amount`` is what the records say is open; it is what will be charged."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "ready", "paid", "nothing_open", "under_way", "not_found"
    ]
    amount: Decimal | None = None
    currency: str | None = None


async def open_payment(context: ToolContext, customer: VerifiedCustomer, request: PayRequest) -> CardPayment:
    """What is still to be paid."""
    rows = await context.records.rows(
        "open_payment", order_number=request.order_number, customer_id=customer.customer_id
    )
    if not rows:
        return CardPayment(outcome="not_found")
    row = rows[0]
    if row["outcome"] != "ready":
        return CardPayment(outcome=row["outcome"])
    return CardPayment(outcome="ready", amount=_money(row["amount_cents"]), currency=row["currency"])


@tool(
    effect=Effect.IRREVERSIBLE,
    cost=Cost.STATEFUL,
    timeout_s=3.0,
    resource="shop.payments",
    scope="payments:read",
    terms=open_payment,
    done=("ready",),
    reads_back=("order_number", "amount"),
    limits=("card_payment", "changes_a_day"),
    hints={"nothing_open": "person", "under_way": "person", "not_found": "person"},
    home="house",
    takes_card=True,
)
async def pay_order(context: ToolContext, customer: VerifiedCustomer, request: PayRequest) -> CardPayment:
    """Has a card taken for what is still to be paid of an order; the money is booked when it has come."""
    found = await open_payment(context, customer, request)
    if found.outcome != "ready" or found.amount is None or found.currency is None or context.office is None:
        return found
    taken = await context.office.take_payment(
        about=f"order {request.order_number}",
        amount=found.amount,
        currency=found.currency,
        book="book_payment",
        parameters={"order_number": request.order_number, "customer_id": customer.customer_id},
    )
    return found if taken else CardPayment(outcome="under_way")
