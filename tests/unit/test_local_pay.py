"""The local Twilio's `<Pay>`: asks, checks and tells as Twilio documents it, refuses what it refuses."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from virtual_time import run as in_virtual_time

from voicebot.proof.simulation.pay_verb import Pay
from voicebot.proof.simulation.paying import PayAccount, PayConnector, Session, card_type, luhn
from voicebot.proof.simulation.twiml import read

TODAY = date(2026, 11, 21)
URL = "https://voice.example.com/twilio/resume"
VISA, AMEX = "4242424242424242", "378282246310005"
GOOD = 'chargeAmount="89.00" currency="usd" postalCode="false"'


def verb(attributes: str = GOOD, inside: str = "") -> Pay:
    document = read(f'<Response><Pay action="/paid" {attributes}>{inside}</Pay></Response>', url=URL)
    assert document.warnings == ()
    (pay,) = document.verbs
    assert isinstance(pay, Pay)
    return pay


def run(
    pay: Pay, keys: list[tuple[float, str]], account: PayAccount | None = None
) -> tuple[dict[str, str] | None, list[dict[str, str]], list[str]]:
    """Keys at their seconds; the form of the action, the callbacks, what was said."""
    told: list[dict[str, str]] = []
    said: list[str] = []

    async def play() -> dict[str, str] | None:
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def say(text: str) -> None:
            said.append(text)
            await asyncio.sleep(2)

        session = Session(pay, account or PayAccount(), queue, say, told.append, TODAY)
        loop = asyncio.get_running_loop()
        for at, key in keys:
            loop.call_at(loop.time() + at, queue.put_nowait, key)
        return await session.run()

    return in_virtual_time(play()), told, said


def typed(*parts: str) -> list[tuple[float, str]]:
    """The parts, six seconds apart, a tenth of a second a key."""
    return [(n * 6 + 0.1 + 0.1 * at, key) for n, part in enumerate(parts) for at, key in enumerate(part)]


def test_a_charge() -> None:
    """Three fields, the processing, the result; of the card no more is shown than Twilio shows."""
    account = PayAccount()
    form, told, said = run(verb(), typed(VISA, "1126", "123"), account)
    assert form is not None
    assert (form["Result"], form["PaymentCardNumber"], form["PaymentCardType"]) == (
        "success",
        "xxxxxxxxxxxx4242",
        "visa",
    )
    assert (form["ExpirationDate"], form["SecurityCode"]) == ("1126", "***")
    (charge,) = account.connectors["Default"].charges
    assert (charge.amount, charge.currency, charge.confirmation) == (
        "89.00",
        "usd",
        form["PaymentConfirmationCode"],
    )
    stages = list(dict.fromkeys(one["For"] for one in told if "For" in one))
    assert stages == ["payment-card-number", "expiration-date", "security-code", "payment-processing"]
    assert VISA not in str(told)
    assert len([one for one in told if one.get("PartialResult")]) == len(VISA) + 4 + 3
    assert len(said) == 4


def test_without_an_amount_it_is_a_token() -> None:
    """And nothing is charged."""
    account = PayAccount()
    form, _, _ = run(verb('postalCode="false"'), typed(VISA, "1126", "123"), account)
    assert form is not None
    assert form["PaymentToken"].startswith("tok_")
    assert "PaymentConfirmationCode" not in form


def test_prompts_of_the_document_are_said_instead() -> None:
    """By field, attempt and error; what none is for, in Twilio's own words."""
    inside = (
        '<Prompt for="payment-card-number" attempt="1"><Say>Number please</Say></Prompt>'
        '<Prompt for="payment-card-number" errorType="invalid-card-number"><Say>Wrong</Say></Prompt>'
    )
    _, _, said = run(verb(f'{GOOD} timeout="5"', inside), typed("4242#", VISA, "*"))
    assert said[:2] == ["Number please", "Wrong"]
    assert "expiration" in said[2]


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ([], "input-timeout"),
        (typed("4242424242424241#", "4242424242424241#"), "invalid-card-number"),
        (typed("6011111111111117", "6011111111111117"), "invalid-card-type"),
        (typed(VISA, "1026", "1026"), "invalid-date"),
        (typed(VISA, "1126", "12#", "12#"), "invalid-security-code"),
    ],
)
def test_what_is_wrong_too_often_ends_it(keys: list[tuple[float, str]], error: str) -> None:
    """One retry is the default."""
    form, told, _ = run(verb(), keys)
    assert form is not None
    assert (form["Result"], form["PaymentError"]) == ("too-many-failed-attempts", error)
    assert error in [one.get("ErrorType") for one in told]


@pytest.mark.parametrize("keys", [typed("*"), typed("4242*"), typed(VISA, "*")])
def test_star_ends_it_anywhere(keys: list[tuple[float, str]]) -> None:
    """Whatever was typed before."""
    form, _, _ = run(verb(), keys)
    assert form is not None
    assert form["Result"] == "caller-interrupted-with-star"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ('chargeAmount="-0.5"', "64003"),
        ('chargeAmount="1.234"', "64003"),
        ('chargeAmount="1000000.01"', "64003"),
        (f'{GOOD} paymentConnector="Other"', "64004"),
        (f'{GOOD} maxAttempts="4"', None),
        (f'{GOOD} validCardTypes="visa diners"', None),
        (f'{GOOD} timeout="0"', None),
        (f'{GOOD} language="xx-XX"', None),
    ],
)
def test_values_that_twilio_refuses(attributes: str, code: str | None) -> None:
    """No question is asked; the action hears of it at once."""
    form, _, said = run(verb(attributes), [])
    assert form is not None
    assert form["Result"] == "validation-error"
    assert form.get("PayErrorCode") == code
    assert said == []


@pytest.mark.parametrize(
    ("connector", "code"),
    [
        (PayConnector(declines=frozenset({VISA})), "64012"),
        (PayConnector(error="64007"), "64007"),
        (PayConnector(broken=True), None),
    ],
)
def test_what_the_gateway_makes_of_it(connector: PayConnector, code: str | None) -> None:
    """Declined, not able to charge, no answer: the last one has charged all the same."""
    form, _, _ = run(verb(), typed(VISA, "1126", "123"), PayAccount({"Default": connector}))
    assert form is not None
    assert form["Result"] == "payment-connector-error"
    assert form.get("PayErrorCode") == code
    assert len(connector.charges) == (1 if connector.broken else 0)


def test_a_misspelt_attribute_and_a_strange_prompt_are_warnings() -> None:
    """As everywhere in TwiML."""
    body = '<Pay amount="1"><Prompt for="card"><Dial/></Prompt></Pay>'
    document = read(f"<Response>{body}</Response>", url=URL)
    assert [code for code, _ in document.warnings] == [12200, 12200, 12200]


def test_brands_and_check_digits() -> None:
    """Of cards everybody knows."""
    assert [card_type(n) for n in (VISA, AMEX, "5555555555554444", "2223003122003222")] == [
        "visa",
        "amex",
        "mastercard",
        "mastercard",
    ]
    assert luhn(AMEX)
    assert not luhn(AMEX[:-1] + "4")
