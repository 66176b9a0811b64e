"""``<Pay>``: amount and currency from the payment's row, and every result means one thing, never too much."""

from __future__ import annotations

import pytest

from voicebot.channels.twilio import pay
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.pay import Prompt
from voicebot.core.store.payments import Outcome, Payment, Status, becomes
from voicebot.proof.simulation.twiml import Redirect, read
from voicebot.proof.simulation.verbs import Pay

PAYMENT = Payment(
    "pay_" + "a" * 32, "cv_1", 7, "pay", 18905, "USD", "taking", None, False, details={}, receipt={}
)
PROMPTS = (Prompt("security-code", "The code.", "The code again."), Prompt("payment-processing", "Wait."))


def test_the_document_is_one_that_twilio_takes() -> None:
    """Read by the local Twilio without a warning; after it the call comes back whatever happens."""
    text = pay.document(Addresses.at("https://bot.example"), PAYMENT, "Shop", PROMPTS)
    document = read(text, url="https://bot.example/twilio/resume")
    verb, after = document.verbs
    assert isinstance(verb, Pay)
    assert isinstance(after, Redirect)
    assert document.warnings == ()
    assert verb.problem is None
    assert (verb.amount, verb.currency, verb.connector) == ("189.05", "usd", "Shop")
    assert verb.fields == ("payment-card-number", "expiration-date", "security-code")
    assert verb.action is not None
    assert verb.action.url == f"https://bot.example/twilio/pay/{PAYMENT.id}"
    assert [p.words for p in verb.prompts if p.fits("security-code", 2, "")] == [("The code again.",)]


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        ({"Result": "success", "PaymentConfirmationCode": "ch_1"}, "paid"),
        ({"Result": "too-many-failed-attempts"}, "spent"),
        ({"Result": "caller-interrupted-with-star"}, "stopped"),
        ({"Result": "caller-hung-up"}, "left"),
        ({"Result": "validation-error", "PayErrorCode": "64003"}, "failed"),
        ({"Result": "payment-connector-error", "PayErrorCode": "64012"}, "declined"),
        ({"Result": "payment-connector-error", "PaymentError": "card is declined"}, "declined"),
        ({"Result": "payment-connector-error", "PayErrorCode": "64004"}, "failed"),
        ({"Result": "payment-connector-error"}, "unknown"),
        ({"Result": "internal-error"}, "unknown"),
        ({"Result": "something-new"}, "unknown"),
    ],
)
def test_each_result_means_one_thing(form: dict[str, str], outcome: str) -> None:
    """What may have moved money is never told as "nothing was charged"."""
    told = pay.told(form)
    assert told is not None
    assert told.outcome == outcome


def test_nothing_of_the_card_is_kept() -> None:
    """Confirmation and token, not the digits, the date or the type."""
    form = {
        "Result": "success",
        "PaymentConfirmationCode": "ch_1",
        "PaymentCardNumber": "xxxxxxxxxxxx4242",
        "ExpirationDate": "1126",
        "PaymentCardType": "visa",
    }
    told = pay.told(form)
    assert told is not None
    assert told.receipt == {"confirmation": "ch_1"}


def test_progress_is_no_result() -> None:
    """And "processing" is told from a mistake there."""
    assert pay.told({"For": "security-code", "Attempt": "1"}) is None
    assert pay.processing({"For": "payment-processing"})
    assert not pay.processing({"For": "payment-processing", "ErrorType": "internal-error"})
    assert not pay.processing({"For": "security-code"})


@pytest.mark.parametrize(
    ("status", "outcome", "counts"),
    [
        ("agreed", "left", True),
        ("taking", "declined", True),
        ("charging", "unknown", True),
        ("paid", "paid", False),
        ("paid", "declined", False),
        ("declined", "stopped", False),
        ("declined", "paid", True),
        ("left", "paid", True),
        ("unknown", "paid", True),
        ("unknown", "declined", True),
        ("unknown", "unknown", False),
    ],
)
def test_the_first_outcome_stays_but_money_is_always_written(
    status: Status, outcome: Outcome, counts: bool
) -> None:
    """Duplicates and late callbacks."""
    assert becomes(status, outcome) is counts
