"""Orders for calls that we make: taken or refused by the rules, audited either way."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from voicebot.core.store import audit, callbacks
from voicebot.core.store.callbacks import Origin
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import switches
from voicebot.handoff.outbound import Order, Outbound, Refused

DAY = timedelta(days=1)
FURTHEST = timedelta(days=366)

WHAT_TO_DO: dict[Refused, str] = {
    Refused.NO_CONSENT: "the called person's consent is needed: say so with `consent`, and keep the proof",
    Refused.UNKNOWN_PURPOSE: "name a purpose of business/outbound.yaml",
    Refused.NOT_A_NUMBER: "write the number in E.164, like +12025550123",
    Refused.NOT_ALLOWED: "business/outbound.yaml allows no number that begins so",
    Refused.OWN_NUMBER: "that is a number of this account",
    Refused.NOT_TO_BE_CALLED: "its owner asked not to be called any more",
    Refused.TOO_OFTEN: "that number was called as often as a day allows",
    Refused.BOT_OFF: "the bot is switched off (`voicebot on`)",
    Refused.NEVER_IN_HOURS: "no hour of the next two weeks is one at which people are called",
    Refused.TOO_FAR: "`not_before` is more than a year ahead",
}


class CallOrder(BaseModel):
    """A call to be made.

    ``to`` in E.164. ``purpose``: of ``business/outbound.yaml``. ``consent``: the called person agreed to be
    called for that, which the caller of this vouches for. ``conversation``: an earlier one that it goes on
    with. ``not_before``: with its time zone, a year ahead at most; it is made then or at the next hour at
    which people are called.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str = Field(max_length=32)
    purpose: str = Field(max_length=64, pattern=r"^[^\x00]*$")
    consent: bool = False
    conversation: str | None = Field(default=None, pattern=r"^cv_[0-9a-f]{32}$")
    not_before: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The order stands: the call's id."""

    callback: str


async def order(
    tx: Transaction,
    keys: KeyRing,
    rules: Outbound,
    wanted: CallOrder,
    *,
    now: datetime,
    origin: Origin,
    actor: str,
    key: str | None = None,
) -> Taken | Refused:
    """Takes an order, or refuses it; twice under one ``key`` is once.

    Raises:
        KeyReused: the key was used for another order.
        UnknownConversation: there is no such conversation.
    """
    key = f"{origin}:{key or secrets.token_hex(16)}"
    facts: dict[str, Any] = {"purpose": wanted.purpose[:64], "origin": origin, "consent": wanted.consent}
    refused = rules.refusal(
        Order(
            number=wanted.to,
            purpose=wanted.purpose,
            consent=wanted.consent,
            ordered_today=await _others(tx, keys, wanted.to, key, now - DAY),
            left_alone=not await callbacks.may_be_called(tx, keys, wanted.to),
            bot_on=(await switches(tx)).get("bot", True),
        )
    )
    due_at = None
    if refused is None and wanted.not_before is not None and wanted.not_before > now + FURTHEST:
        refused = Refused.TOO_FAR
    if refused is None:
        due_at = rules.next_opening(max(now, wanted.not_before or now), wanted.to)
        refused = Refused.NEVER_IN_HOURS if due_at is None else None
    if refused is not None or due_at is None:
        await audit.refusal(tx, what="outbound.order", reason=str(refused), facts=facts)
        return refused or Refused.NEVER_IN_HOURS
    purpose = rules.purposes[wanted.purpose]
    called = None
    if wanted.conversation is not None:
        called = (await Conversations(keys).load(tx, wanted.conversation)).called
    callback = await callbacks.book(
        tx,
        keys,
        key=key,
        origin=origin,
        number=wanted.to,
        due_at=due_at,
        until_at=due_at,
        purpose=wanted.purpose,
        intent=purpose.intent,
        owner=purpose.owner,
        from_=called,
        conversation_id=wanted.conversation,
        request=wanted.model_dump(mode="json"),
    )
    await audit.record(
        tx,
        action="outbound.ordered",
        actor=actor,
        facts={**facts, "callback": callback},
        conversation_id=wanted.conversation,
    )
    return Taken(callback)


async def _others(tx: Transaction, keys: KeyRing, number: str, key: str, since: datetime) -> int:
    """Orders for that number, but for the one that this would repeat."""
    count = await callbacks.ordered_since(tx, keys, number, since)
    return count - (await callbacks.by_key(tx, key) is not None)
