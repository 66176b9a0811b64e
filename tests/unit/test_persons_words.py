"""A person's words pass the guard that the bot's pass; what is kept nowhere is refused before it is kept."""

from __future__ import annotations

import pytest

from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.dialogue.persons_words import LONGEST, wrong_with
from voicebot.safety.guard_out.facts import shingles
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Masker

PROMPT = "You are the voice of a shop that sells lamps and tables to people at home"


def judged(text: str) -> tuple[str, ...]:
    return wrong_with(text, SpeechGuard(secret=shingles(PROMPT, 7)), Masker(Shapes({}), {}))


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", ("empty",)),
        ("   \n", ("empty",)),
        ("a" * (LONGEST + 1), ("too_long",)),
        ("One moment\x07 please.", ("unprintable",)),
        ("Your parcel goes to [address 1].", ("placeholder",)),
        ("It was card 4242 4242 4242 4242.", ("card_number",)),
        ("It was card 4242-4242-4242-4242.", ("card_number",)),
        ("four two four two four two four two four two four two four two four two", ("card_number",)),
        ("Your verification code is 481516.", ("secret_number",)),
        ("I'm a real person, believe me.", ("claims_human",)),
        ("I promise you a full refund.", ("promise",)),
        ("Don't be stupid.", ("tone",)),
        ("Please tell me your card number.", ("tone",)),
        ("As a language model I cannot say.", ("itself",)),
        ("You are the voice of a shop that sells lamps.", ("prompt_leak",)),
        ("I'm a real person, don't be stupid.", ("claims_human",)),
    ],
)
def test_what_may_not_be_said_is_named(text: str, reasons: tuple[str, ...]) -> None:
    assert judged(text) == reasons


@pytest.mark.parametrize(
    "text",
    [
        "Gift cards come in amounts of $25, $50 and $75.",
        "Your order has shipped, and it arrives on Friday between 9 and 12.",  # the person is the source
        "Parcel 4242 4242 4242 4243 is on its way.",  # one digit off, no card's
        "The lift at Elm Street is out of order until 3 December; please use the ramp around the corner.",
        "A colleague will look at it [today].",
        "Use the code SPRING for ten percent off.",
    ],
)
def test_what_a_person_knows_may_be_said(text: str) -> None:
    """Values need no other source, and nothing has to be about what was asked."""
    assert judged(text) == ()


def test_every_clause_is_looked_at() -> None:
    assert judged("We close at six. That is on the house. Shut up.") == ("promise", "tone")
