"""``<Pay>`` and ``<Prompt>`` as values, read as Twilio documents them. Pure.

An attribute with a value that Twilio does not take is no error of the document: ``<Pay>`` ends at once with
``validation-error``; that stands in ``Pay.problem``. Source: twilio.com/docs/voice/twiml/pay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from .reading import Reader
    from .verbs import Jump

FIELDS = ("payment-card-number", "expiration-date", "security-code", "postal-code")
STAGES = frozenset({*FIELDS, "bank-routing-number", "bank-account-number", "payment-processing"})
ERRORS = frozenset(
    {
        "input-timeout", "timeout", "invalid-card-number", "invalid-card-type", "invalid-date",
        "invalid-security-code", "invalid-postal-code", "input-matching-failed",
    }
)  # fmt: skip
CARD_TYPES = frozenset(
    {"visa", "mastercard", "amex", "maestro", "discover", "optima", "jcb", "diners-club", "enroute"}
)
_LANGUAGES = frozenset(
    "en-au en-ca en-gb en-in en-us es-es es-mx fr-ca fr-fr de-de it-it".split()  # noqa: SIM905  # as documented
)
_MOST = 1_000_000
_AMOUNT = re.compile(r"^\d+(\.\d{1,2})?$")


@dataclass(frozen=True)
class PayPrompt:
    """What is said instead of Twilio's own words. Empty sets: whenever the field is asked for."""

    fields: frozenset[str]
    attempts: frozenset[int]
    errors: frozenset[str]
    words: tuple[str, ...]

    def fits(self, field: str, attempt: int, error: str) -> bool:
        """Whether it is for this question."""
        return (
            field in self.fields
            and (not self.attempts or attempt in self.attempts)
            and (not self.errors or error in self.errors)
        )


@dataclass(frozen=True)
class Pay:
    """Takes a card. ``problem``: why Twilio refuses it: its code and its words."""

    action: Jump | None
    status_callback: Jump | None
    connector: str
    amount: str
    currency: str
    fields: tuple[str, ...]
    card_types: frozenset[str]
    timeout_s: float
    retries: int
    prompts: tuple[PayPrompt, ...]
    problem: tuple[str, str] | None = None


def pay(reader: Reader, element: ElementTree.Element) -> Pay:
    """Reads ``<Pay>``."""
    given = reader.attributes(
        element,
        "input", "action", "statusCallback", "statusCallbackMethod", "paymentMethod", "bankAccountType",
        "timeout", "maxAttempts", "securityCode", "postalCode", "minPostalCodeLength", "paymentConnector",
        "tokenType", "chargeAmount", "currency", "language", "description", "validCardTypes",
    )  # fmt: skip
    amount = given.get("chargeAmount", "0")
    card_types = frozenset(given.get("validCardTypes", "visa mastercard amex").split())
    fields = tuple(
        field
        for field in FIELDS
        if (field != "security-code" or given.get("securityCode", "true") == "true")
        and (field != "postal-code" or given.get("postalCode", "true") == "true")
    )
    return Pay(
        action=reader.jump(given.get("action") or reader.base or None, "POST"),
        status_callback=reader.jump(given.get("statusCallback"), given.get("statusCallbackMethod")),
        connector=given.get("paymentConnector", "Default"),
        amount=amount,
        currency=given.get("currency", "usd").lower(),
        fields=fields,
        card_types=card_types,
        timeout_s=float(given["timeout"]) if given.get("timeout", "").isdigit() else 5.0,
        retries=int(given["maxAttempts"]) if given.get("maxAttempts") in {"1", "2", "3"} else 1,
        prompts=tuple(_prompt(reader, child) for child in element if _is_prompt(reader, child)),
        problem=_problem(given, amount, card_types),
    )


def _is_prompt(reader: Reader, child: ElementTree.Element) -> bool:
    if child.tag not in {"Prompt", "Parameter"}:
        reader.warn(12200, f"<{child.tag}> may not stand in <Pay>")
    return child.tag == "Prompt"


def _prompt(reader: Reader, element: ElementTree.Element) -> PayPrompt:
    given = reader.attributes(element, "for", "errorType", "cardType", "attempt", "requireMatchingInputs")
    fields = frozenset(given.get("for", "").split())
    errors = frozenset(given.get("errorType", "").split())
    attempts = given.get("attempt", "").split()
    if not fields or fields - STAGES:
        reader.warn(12200, f"<Prompt for={given.get('for')!r}>: one of {sorted(STAGES)}")
    if errors - ERRORS:
        reader.warn(12200, f"<Prompt errorType={given.get('errorType')!r}> is unknown")
    if any(one not in {"1", "2", "3"} for one in attempts):
        reader.warn(12200, f"<Prompt attempt={given.get('attempt')!r}>: 1, 2 or 3")
    words: list[str] = []
    for child in element:
        if child.tag == "Say":
            words.append(" ".join("".join(child.itertext()).split()))
        elif child.tag not in {"Play", "Pause"}:
            reader.warn(12200, f"<{child.tag}> may not stand in <Prompt>")
    return PayPrompt(fields, frozenset(int(one) for one in attempts if one.isdigit()), errors, tuple(words))


def _problem(given: dict[str, str], amount: str, card_types: frozenset[str]) -> tuple[str, str] | None:
    """What Twilio would refuse of the values: code ("" where none is documented) and words."""
    if not _AMOUNT.match(amount) or float(amount) > _MOST:
        return "64003", f"chargeAmount='{amount}' (not a number between 0.00 - 1,000,000.00)"
    allowed = {
        "input": {"dtmf"},
        "paymentMethod": {"credit-card", "ach-debit"},
        "maxAttempts": {"1", "2", "3"},
        "securityCode": {"true", "false"},
        "tokenType": {"one-time", "reusable", "payment-method"},
    }
    for name, values in allowed.items():
        if name in given and given[name] not in values:
            return "", f"{name}='{given[name]}' (not one of {', '.join(sorted(values))})"
    if given.get("paymentMethod") == "ach-debit":
        return "64013", "this stand-in takes cards only"
    if "timeout" in given and not (given["timeout"].isdigit() and int(given["timeout"]) > 0):
        return "", f"timeout='{given['timeout']}' (not a positive integer)"
    if card_types - CARD_TYPES:
        return "", f"validCardTypes='{' '.join(sorted(card_types))}'"
    if given.get("language", "en-us").lower() not in _LANGUAGES:
        return "", f"language='{given['language']}'"
    return None
