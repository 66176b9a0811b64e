"""Twilio's ``<Pay>``: the document that hands a call to it, and what its callbacks mean. Pure.

https://www.twilio.com/docs/voice/twiml/pay. The card is typed in at Twilio and goes from there to the payment
processor; what comes here is a result and a confirmation. Nothing else of the callbacks is read or kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twilio.twiml.voice_response import Pay, VoiceResponse
from twilio.twiml.voice_response import Prompt as PromptNoun

from voicebot.channels.twilio.addresses import Addresses
from voicebot.core.store.payments import Payment
from voicebot.dialogue.payments import Told

CARD_TYPES = "visa mastercard amex discover"
TIMEOUT_S = 10
RETRIES = 2
"""Twilio asks so often again for each field."""

_DECLINED = frozenset({"64012", "64022"})
"""The gateway rejected the card; not a card that a connector in test mode takes."""
_NOT_SENT = frozenset({"64003", "64004", "64005", "64007", "64013"})
"""Twilio refused before the gateway: amount, connector, tokens, charges, method."""
_LONGEST_RECEIPT = 256


@dataclass(frozen=True, slots=True)
class Prompt:
    """What Twilio says to ask for a field, the first time and again."""

    field: str
    first: str
    again: str = ""


def document(at: Addresses, payment: Payment, connector: str, prompts: tuple[Prompt, ...] = ()) -> str:
    """Has the card taken for the amount and currency of the payment's row; then the call comes back.

    ``<Redirect>`` is for whatever makes Twilio go on without asking for the action.
    """
    response = VoiceResponse()
    pay = Pay(
        action=at.http(f"/twilio/pay/{payment.id}"),
        status_callback=at.http(f"/twilio/pay/{payment.id}/status"),
        status_callback_method="POST",
        payment_connector=connector,
        payment_method="credit-card",
        charge_amount=payment.amount,
        currency=payment.currency.lower(),
        description=payment.id,
        valid_card_types=CARD_TYPES,
        security_code=True,
        postal_code=False,
        timeout=TIMEOUT_S,
        max_attempts=RETRIES,
    )
    for prompt in prompts:
        for attempt, words in (("1", prompt.first), ("2 3", prompt.again)):
            if words:
                noun = PromptNoun(for_=prompt.field, attempt=attempt)
                noun.say(words)
                pay.append(noun)
    response.append(pay)
    response.redirect(at.http("/twilio/resume"), method="POST")
    return str(response)


def told(form: Mapping[str, str]) -> Told | None:
    """What a callback says came of it; None: nothing yet. What cannot be told for sure is unknown.

    A gateway that Twilio could not talk to may have charged the card all the same.
    """
    result = form.get("Result", "")
    code = form.get("PayErrorCode", "")
    match result:
        case "":
            return None
        case "success":
            return Told("paid", result, "twilio", _receipt(form))
        case "too-many-failed-attempts":
            return Told("spent", result, "twilio")
        case "caller-interrupted-with-star":
            return Told("stopped", result, "twilio")
        case "caller-hung-up":
            return Told("left", result, "twilio")
        case "validation-error":
            return Told("failed", f"{result} {code}".strip(), "twilio")
        case "payment-connector-error" if code in _DECLINED or "declined" in form.get("PaymentError", ""):
            return Told("declined", result, "twilio")
        case "payment-connector-error" if code in _NOT_SENT:
            return Told("failed", f"{result} {code}", "twilio")
        case "payment-connector-error" | "internal-error":
            return Told("unknown", f"{result} {code}".strip(), "twilio")
        case _:
            return Told("unknown", "another-result", "twilio")


def processing(form: Mapping[str, str]) -> bool:
    """The processor has the card now."""
    return form.get("For") == "payment-processing" and not form.get("ErrorType")


def _receipt(form: Mapping[str, str]) -> dict[str, str]:
    """Confirmation and token, nothing of the card."""
    fields = {"confirmation": "PaymentConfirmationCode", "token": "PaymentToken"}
    return {name: form[field][:_LONGEST_RECEIPT] for name, field in fields.items() if form.get(field)}
