"""Takes a card as ``<Pay>`` does: asks, listens to keys, checks, goes to the connector, tells.

The checks are pure (``complete``, ``wrong``); the account's connectors remember what they charged. Where
Twilio promises nothing, ``PayAccount`` says what this stand-in does. Source: twilio.com/docs/voice/twiml/pay,
and for the callbacks that come with each key a field report.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from .pay_verb import Pay

Say = Callable[[str], Awaitable[None]]
Tell = Callable[[dict[str, str]], None]

_LENGTHS = {
    "visa": (13, 16, 19), "mastercard": (16,), "amex": (15,), "discover": (16,), "jcb": (15, 16),
    "diners-club": (14, 16), "maestro": (12, 13, 14, 15, 16, 17, 18, 19), "optima": (15,), "enroute": (15,),
}  # fmt: skip
_OWN_WORDS = {
    "payment-card-number": "Please enter your credit card number.",
    "expiration-date": "Please enter your expiration date, two digits month and two digits year.",
    "security-code": "Please enter your security code.",
    "postal-code": "Please enter your postal code.",
    "payment-processing": "Please wait while we process your payment.",
}
_INVALID = {
    "expiration-date": "invalid-date",
    "security-code": "invalid-security-code",
    "postal-code": "invalid-postal-code",
}


@dataclass(frozen=True)
class Charge:
    """What a connector took, or the token it made (``amount`` 0)."""

    amount: str
    currency: str
    last_four: str
    confirmation: str


@dataclass
class PayConnector:
    """A connector of the account, with its gateway.

    ``declines``: card numbers that the gateway rejects. ``error``: Twilio's code of what goes wrong with
    every payment (``64007``). ``broken``: no answer comes from the gateway, though the card is charged.
    """

    declines: frozenset[str] = frozenset()
    error: str = ""
    broken: bool = False
    charges: list[Charge] = field(default_factory=list[Charge])


@dataclass
class PayAccount:
    """Whether and how the account takes cards. ``enabled``: PCI mode is on."""

    connectors: dict[str, PayConnector] = field(default_factory=lambda: {"Default": PayConnector()})
    enabled: bool = True
    # open: what follows <Pay> on an account that may not use it
    not_enabled: Literal["validation-error", "internal-error", "next_verb"] = "validation-error"
    # open: the attribute's page says "the next verb", the results' table says `too-many-failed-attempts`
    exhausted: Literal["action", "next_verb"] = "action"
    processing_s: float = 0.0
    """How long the gateway takes; the money moves at its beginning."""


def card_type(number: str) -> str:
    """The brand of a number, by its first digits; "" if none fits."""
    two, four = int(number[:2] or 0), int(number[:4].ljust(4, "0") or 0)
    if number.startswith("4"):
        return "visa"
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return "mastercard"
    if two in (34, 37):
        return "amex"
    if number.startswith(("6011", "65")):
        return "discover"
    if two == 35:
        return "jcb"
    if two in (36, 38):
        return "diners-club"
    return "maestro" if two in (50, 56, 57, 58, 63, 67) else ""


def luhn(number: str) -> bool:
    """Whether the check digit is right."""
    doubled = [int(d) * (2 if n % 2 else 1) for n, d in enumerate(reversed(number))]
    return bool(number) and sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def complete(stage: str, typed: str, number: str) -> bool:
    """Whether nothing can follow, so that Twilio does not wait for another key."""
    match stage:
        case "payment-card-number":
            lengths = _LENGTHS.get(card_type(typed), (19,))
            return len(typed) >= lengths[-1] or (len(typed) == 16 == max(n for n in lengths if n < 19))
        case "expiration-date":
            return len(typed) == 4
        case "security-code":
            return len(typed) == (4 if card_type(number) == "amex" else 3)
        case _:
            return len(typed) == 5


def wrong(stage: str, typed: str, number: str, types: frozenset[str], today: date) -> str:
    """The ``ErrorType`` of what was typed; "" if it is good."""
    if not typed:
        return "input-timeout"
    match stage:
        case "payment-card-number":
            kind = card_type(typed)
            if len(typed) not in _LENGTHS.get(kind, ()) or not luhn(typed):
                return "invalid-card-number"
            return "" if kind in types else "invalid-card-type"
        case "expiration-date":
            month, year = int(typed[:2] or 0), 2000 + int(typed[2:] or 0)
            good = len(typed) == 4 and 1 <= month <= 12 and (year, month) >= (today.year, today.month)
        case _:
            good = complete(stage, typed, number)
    return "" if good else _INVALID[stage]


class Session:
    """One ``<Pay>``: ``run`` gives the form of its action; None: the next verb runs instead.

    Args:
        verb: what was asked for.
        account: the account's connectors.
        keys: what the caller presses.
        say: speaks to the caller; cancelled by a key.
        tell: sends a status callback.
        today: for the expiry date.
    """

    def __init__(
        self, verb: Pay, account: PayAccount, keys: asyncio.Queue[str], say: Say, tell: Tell, today: date
    ) -> None:
        self._verb = verb
        self._account = account
        self._keys = keys
        self._say = say
        self._tell = tell
        self._today = today
        self._given: dict[str, str] = {}
        self._whole = False

    async def run(self) -> dict[str, str] | None:
        """Until there is a result."""
        verb, account = self._verb, self._account
        if not account.enabled:
            if account.not_enabled == "next_verb":
                return None
            return self._over(account.not_enabled, error="payments are not enabled for this account")
        if verb.problem is not None:
            return self._over("validation-error", code=verb.problem[0], error=verb.problem[1])
        connector = account.connectors.get(verb.connector)
        if connector is None:
            return self._over("validation-error", code="64004", error=f"paymentConnector='{verb.connector}'")
        for stage in verb.fields:
            failed = await self._field(stage)
            if failed == "*":
                return self._over("caller-interrupted-with-star")
            if failed:
                if account.exhausted == "next_verb":
                    return None
                return self._over("too-many-failed-attempts", error=failed)
        return await self._process(connector)

    async def _field(self, stage: str) -> str:
        """One field; "" when it is good, "*" for the star, else the last error."""
        error = ""
        for attempt in range(1, self._verb.retries + 2):
            asked = {"For": stage, "Attempt": str(attempt)}
            self._tell(asked | ({"ErrorType": error} if error else {}) | self._shown())
            typed = await self._typed(stage, attempt, error)
            if typed == "*":
                return "*"
            number = self._given.get("payment-card-number", "")
            error = wrong(stage, typed, number, self._verb.card_types, self._today)
            if not error:
                self._given[stage] = typed
                return ""
        return error

    async def _typed(self, stage: str, attempt: int, error: str) -> str:
        speaking = asyncio.ensure_future(self._ask(stage, attempt, error))
        first = asyncio.ensure_future(self._keys.get())
        typed = ""
        try:
            await asyncio.wait({speaking, first}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({first}, timeout=self._verb.timeout_s)
            key = first.result() if first.done() else None
            if key == "#" and self._whole:  # out of habit, after a number that was complete by itself
                key = await self._next()
        finally:
            for task in (speaking, first):
                task.cancel()
            await asyncio.gather(speaking, first, return_exceptions=True)
        while key is not None and key != "#":
            if key == "*":
                return "*"
            typed += key
            self._tell({"For": stage, "Attempt": str(attempt), "PartialResult": "true"} | self._shown())
            if complete(stage, typed, self._given.get("payment-card-number", "")):
                self._whole = True
                return typed
            key = await self._next()
        self._whole = False
        return typed

    async def _next(self) -> str | None:
        """The next key; None: none comes in time."""
        try:
            async with asyncio.timeout(self._verb.timeout_s):
                return await self._keys.get()
        except TimeoutError:
            return None

    async def _ask(self, stage: str, attempt: int, error: str) -> None:
        fitting = [p for p in self._verb.prompts if p.fits(stage, attempt, error)]
        words = fitting[0].words if fitting else (_OWN_WORDS[stage],)
        for text in words:
            await self._say(text)

    async def _process(self, connector: PayConnector) -> dict[str, str]:
        verb = self._verb
        self._tell({"For": "payment-processing"} | self._shown())
        number = self._given["payment-card-number"]
        charged = float(verb.amount) > 0
        if connector.error:
            return self._over("payment-connector-error", code=connector.error, error="connector error")
        if number in connector.declines:
            return self._over(
                "payment-connector-error", code="64012", error="card is declined", connector="card_declined"
            )
        code = ("ch_" if charged else "tok_") + secrets.token_hex(8)
        connector.charges.append(Charge(verb.amount, verb.currency, number[-4:], code))
        await self._ask("payment-processing", 1, "")
        await asyncio.sleep(self._account.processing_s)
        if connector.broken:
            return self._over("payment-connector-error", error="no answer from the gateway")
        given = {"PaymentConfirmationCode": code} if charged else {"PaymentToken": code, "ProfileId": ""}
        return self._over("success", **given)

    def _shown(self) -> dict[str, str]:
        """What callbacks show of the card: its last four digits, and less."""
        number = self._given.get("payment-card-number", "")
        shown: dict[str, str] = {"PaymentMethod": "credit-card"}
        if number:
            shown |= {
                "PaymentCardNumber": "x" * (len(number) - 4) + number[-4:],
                "PaymentCardType": card_type(number),
            }
        if "expiration-date" in self._given:
            shown["ExpirationDate"] = self._given["expiration-date"]
        if "security-code" in self._given:
            shown["SecurityCode"] = "*" * len(self._given["security-code"])
        return shown

    def _over(
        self, result: str, *, code: str = "", error: str = "", connector: str = "", **more: str
    ) -> dict[str, str]:
        form = {"Result": result} | self._shown() | more
        form |= {"PayErrorCode": code} if code else {}
        form |= {"PaymentError": error} if error else {}
        form |= {"ConnectorError": connector} if connector else {}
        self._tell(form)
        return form
