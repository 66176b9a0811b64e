"""Sending back, and getting something else instead: whole orders or single items."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, tool
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.safety.identity import VerifiedCustomer

Item = Annotated[str, Field(min_length=1, max_length=60)]
_SMALL = re.compile(r"^(?:an?|the|my|that|this|one|of|from|order|just|only|please|and|it)$")


class ReturnRequest(Strict):
    """Which order, and which of its items in the caller's words; none means all that can come back."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")
    items: tuple[Item, ...] = Field(default=(), max_length=8)
    reason: Literal["changed_mind", "wrong_item", "does_not_fit", "damaged", "other"] = "other"


class Return(Outcome):
    """``amount`` is what goes back once everything has arrived. ``items`` is as it is spoken.

    ``lines`` are those of the order that come back; ``choices`` what the caller may have meant.
    """

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "started",
        "which_item",
        "no_such_item",
        "not_delivered",
        "too_late",
        "custom",
        "already",
        "cancelled",
        "not_found",
    ]
    items: str = ""
    amount: Decimal | None = None
    lines: tuple[int, ...] = ()
    choices: str = ""


class ExchangeRequest(Strict):
    """Which order, which item of it, and what shall come instead, in the caller's words."""

    order_number: str = Field(pattern=r"^[0-9]{6}$")
    item: str = Field(default="", max_length=60)
    to_item: str = Field(min_length=2, max_length=60)


class Exchange(Outcome):
    """``amount`` is what goes back because the new one is cheaper; zero if it costs the same."""

    outcome: Literal[  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe
        "exchanged",
        "exchanged_cheaper",
        "which_item",
        "no_such_item",
        "not_sold",
        "out_of_stock",
        "dearer",
        "not_delivered",
        "too_late",
        "custom",
        "already",
        "cancelled",
        "not_found",
    ]
    items: str = ""
    to_item: str = ""
    amount: Decimal | None = None
    lines: tuple[int, ...] = ()
    choices: str = ""


async def return_terms(context: ToolContext, customer: VerifiedCustomer, request: ReturnRequest) -> Return:
    """What a return would come to."""
    rows = await _lines(context, customer, request.order_number)
    if not rows:
        return Return(outcome="not_found")
    chosen = rows
    if request.items:
        chosen = []
        for words in request.items:
            found = meant(words, [row["item"] for row in rows])
            if len(found) != 1:
                outcome = "which_item" if found else "no_such_item"
                return Return(outcome=outcome, choices=spoken_list(found or [row["item"] for row in rows]))
            chosen += [row for row in rows if row["item"] == found[0] and row not in chosen]
    elif any(row["outcome"] == "started" for row in rows):
        chosen = [row for row in rows if row["outcome"] == "started"]
    if stopped := next((row for row in chosen if row["outcome"] != "started"), None):
        return Return(outcome=stopped["outcome"], items=stopped["item"])
    return _return(chosen)


async def return_stands(context: ToolContext, customer: VerifiedCustomer, request: ReturnRequest) -> bool:
    """Whether all that was agreed to is on its way back now."""
    agreed = context.terms
    assert isinstance(agreed, Return)
    rows = await _lines(context, customer, request.order_number)
    return all(row["outcome"] == "already" for row in rows if row["line"] in agreed.lines)


@tool(
    effect=Effect.WRITE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.returns",
    scope="returns:write",
    terms=return_terms,
    proof=return_stands,
    done=("started",),
    reads_back=("order_number", "items", "amount"),
    limits=("return_value", "changes_a_day"),
    hints={
        "which_item": "ask:items",
        "no_such_item": "ask:items",
        "not_delivered": "cancel_order",
        "too_late": "warranty_claim",
        "custom": "return_policy",
        "already": "refund_status",
        "not_found": "person",
    },
)
async def start_return(context: ToolContext, customer: VerifiedCustomer, request: ReturnRequest) -> Return:
    """Registers a return of an order of the verified customer, or of some of its items."""
    agreed = context.terms
    assert isinstance(agreed, Return)
    rows = await context.records.change(
        "start_return",
        order_number=request.order_number,
        customer_id=customer.customer_id,
        lines=list(agreed.lines),
        reason=request.reason,
        today=context.today,
    )
    if not rows:
        return Return(outcome="not_found")
    if stopped := next((row for row in rows if row["outcome"] != "started"), None):
        return Return(outcome=stopped["outcome"], items=agreed.items)
    done = _return([{**row, "item": ""} for row in rows])
    return done.model_copy(update={"items": agreed.items})


async def exchange_stands(context: ToolContext, customer: VerifiedCustomer, request: ExchangeRequest) -> bool:
    """Whether the item is on its way back now."""
    agreed = context.terms
    assert isinstance(agreed, Exchange)
    rows = await _lines(context, customer, request.order_number)
    return all(row["outcome"] == "already" for row in rows if row["line"] in agreed.lines)


async def exchange_terms(
    context: ToolContext, customer: VerifiedCustomer, request: ExchangeRequest
) -> Exchange:
    """What an exchange would come to."""
    rows = await _lines(context, customer, request.order_number)
    if not rows:
        return Exchange(outcome="not_found")
    names = [row["item"] for row in rows]
    found = meant(request.item, names) if request.item else names
    if len(found) != 1:
        outcome = "which_item" if found else "no_such_item"
        return Exchange(outcome=outcome, choices=spoken_list(found or names))
    row = next(row for row in rows if row["item"] == found[0])
    stock = {one["item"]: one for one in await context.records.rows("in_stock")}
    wanted = meant(request.to_item, list(stock))
    if len(wanted) != 1:
        return Exchange(outcome="which_item" if wanted else "not_sold", choices=spoken_list(wanted[:4]))
    new = stock[wanted[0]]
    outcome = "exchanged"
    if row["outcome"] != "started":
        outcome = row["outcome"]
    elif new["pieces"] == 0:
        outcome = "out_of_stock"
    elif new["price_cents"] > row["value_cents"]:
        outcome = "dearer"
    return _exchange(outcome, row["item"], new, row)


@tool(
    effect=Effect.WRITE,
    cost=Cost.STATEFUL,
    timeout_s=4.0,
    resource="shop.exchanges",
    scope="returns:write stock:read",
    terms=exchange_terms,
    proof=exchange_stands,
    done=("exchanged", "exchanged_cheaper"),
    reads_back=("order_number", "items", "to_item", "amount"),
    limits=("refund_amount", "refunds_by_all", "changes_a_day"),
    hints={
        "which_item": "ask:item",
        "no_such_item": "ask:item",
        "not_sold": "ask:to_item",
        "dearer": "person",
        "out_of_stock": "start_return",
        "not_delivered": "change_order",
        "too_late": "warranty_claim",
        "custom": "return_policy",
        "not_found": "person",
    },
)
async def exchange_item(
    context: ToolContext, customer: VerifiedCustomer, request: ExchangeRequest
) -> Exchange:
    """Exchanges one item of a delivered order for another that costs the same or less."""
    agreed = context.terms
    assert isinstance(agreed, Exchange)
    rows = await context.records.change(
        "exchange_item",
        order_number=request.order_number,
        customer_id=customer.customer_id,
        line=agreed.lines[0],
        to_item=agreed.to_item,
        today=context.today,
    )
    if not rows:
        return Exchange(outcome="not_found")
    return _exchange(rows[0]["outcome"], agreed.items, rows[0], rows[0])


def meant(words: str, names: list[str]) -> list[str]:
    """The items that words can mean: those that share most of their words with them. Empty: none.

    >>> meant("the lamp", ["wool rug", "floor lamp"]), meant("a lamp", ["desk lamp", "floor lamp"])
    (['floor lamp'], ['desk lamp', 'floor lamp'])
    """
    said = Counter(_stem(word) for word in words.lower().split() if not _SMALL.match(word))
    scores = {name: sum((said & Counter(_stem(word) for word in name.split())).values()) for name in names}
    best = max(scores.values(), default=0)
    return [name for name, score in scores.items() if score == best] if best else []


def spoken_list(names: list[str]) -> str:
    """Names as one says them.

    >>> spoken_list(["wool rug", "floor lamp"])
    'wool rug and floor lamp'
    """
    unique = list(dict.fromkeys(names))
    return " and ".join([", ".join(unique[:-1]), unique[-1]] if len(unique) > 1 else unique)


def _stem(word: str) -> str:
    word = word.strip(".,'!?")
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


async def _lines(context: ToolContext, customer: VerifiedCustomer, order_number: str) -> list[dict[str, Any]]:
    return await context.records.rows(
        "lines_of_order", order_number=order_number, customer_id=customer.customer_id, today=context.today
    )


def _return(rows: list[dict[str, Any]]) -> Return:
    return Return(
        outcome="started",
        items=spoken_list([row["item"] for row in rows]),
        amount=Decimal(sum(row["value_cents"] for row in rows)) / 100,
        lines=tuple(sorted(row["line"] for row in rows)),
    )


def _exchange(outcome: Any, item: str, new: dict[str, Any], line: dict[str, Any]) -> Exchange:
    if outcome != "exchanged":
        return Exchange(outcome=outcome, items=item, to_item=new["item"])
    cents = line["value_cents"] - new["price_cents"]
    if cents < 0:
        raise ConnectorError("an exchange for something dearer")
    return Exchange(
        outcome="exchanged_cheaper" if cents else "exchanged",
        items=item,
        to_item=new["item"],
        amount=Decimal(cents) / 100,
        lines=(line["line"],),
    )
