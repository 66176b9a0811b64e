"""A reader gets prices, codes and large numbers in figures, and everything else as it is said."""

from __future__ import annotations

import pytest

from voicebot.channels.chat.reply import ClauseWritten
from voicebot.dialogue.generation.written import written


@pytest.mark.parametrize(
    ("spoken", "read"),
    [
        ("It costs one thousand two hundred and ninety nine dollars.", "It costs $1,299."),
        ("forty nine dollars and fifty cents, or five dollars", "$49.50, or $5"),
        ("Please call nine one one first.", "Please call 911 first."),
        ("I have six three five, one nine two.", "I have 635192."),
        ("at five zero three, five five five, zero one four two", "at 503-555-0142"),
        ("twelve hundred Maple Street", "1200 Maple Street"),
        ("two hundred and sixty pounds, and six hundred", "260 pounds, and 600"),
        ("A sofa of twelve hundred dollars is two hundred a month.", "A sofa of $1,200 is 200 a month."),
    ],
)
def test_what_is_tiresome_in_words_is_put_in_figures(spoken: str, read: str) -> None:
    """Prices, codes from three digits on, numbers from a hundred on."""
    assert written(spoken) == read


@pytest.mark.parametrize(
    "text",
    [
        "within thirty days, from nine in the morning to eight in the evening",
        "one for opening hours, two for an order, three for returns",
        "It seats three and is eighty four inches wide.",
        "twenty thirty dollars",
        "Friday the twentieth of November",
        "nine point nine percent",
        "It costs $12.50.",
        "",
    ],
)
def test_everything_else_is_left_alone(text: str) -> None:
    """No number that is no number, and nothing that reads well."""
    assert written(text) == text


def test_a_chat_sends_what_is_read() -> None:
    """At its edge, and nowhere before it."""
    clause = ClauseWritten(conversation_id="cv_1", turn=1, text="It costs five dollars.")
    assert clause.text == "It costs $5."
