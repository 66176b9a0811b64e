"""Reaching the customer: a link by text message. Calls back are the bot's own (docs/callbacks.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.safety.identity import VerifiedCustomer

SITE = "https://hearthandhome.example"
TEXTS = {
    "tracking": f"Hearth and Home: follow your parcel here: {SITE}/track/{{order}}",
    "return_label": f"Hearth and Home: your return label: {SITE}/returns/{{order}}/label",
    "payment": f"Hearth and Home: pay safely here: {SITE}/pay/{{order}}. We ask for no card details by text.",
}


class LinkRequest(Strict):
    """Which link, for which order."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")
    link: Literal["tracking", "return_label", "payment"]


class Link(Outcome):
    """``number_ends`` are the last four digits of the number on record: it goes nowhere else."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "sent", "no_number", "not_found"
    ]
    number_ends: str | None = None


async def link_terms(context: ToolContext, customer: VerifiedCustomer, request: LinkRequest) -> Link:
    """Whether the order is the customer's, and where the message would go."""
    order = await context.records.rows(
        "order_by_number", order_number=request.order_number, customer_id=customer.customer_id
    )
    if not order:
        return Link(outcome="not_found")
    phone = await _phone(context, customer)
    return Link(outcome="sent", number_ends=phone[-4:]) if phone else Link(outcome="no_number")


@tool(
    effect=Effect.IRREVERSIBLE,
    cost=Cost.STATEFUL,
    timeout_s=3.0,
    resource="text_messages",
    scope="orders:read customers:read",
    terms=link_terms,
    done=("sent",),
    reads_back=("link", "number_ends"),
    limits=("texts_a_day",),
    hints={"no_number": "person", "not_found": "person"},
    home="house",
)
async def send_link(context: ToolContext, customer: VerifiedCustomer, request: LinkRequest) -> Link:
    """Sends a link for an order by text message, to the number on record."""
    found = await link_terms(context, customer, request)
    phone = await _phone(context, customer)
    if found.outcome == "sent" and context.office is not None and phone is not None:
        await context.office.text(phone, TEXTS[request.link].format(order=request.order_number))
    return found


async def _phone(context: ToolContext, customer: VerifiedCustomer) -> str | None:
    rows = await context.records.rows("phone_of_customer", customer_id=customer.customer_id)
    return rows[0]["phone"] if rows else None
