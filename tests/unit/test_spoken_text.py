"""What is written in figures and signs is spoken as a person would read it; no figure is left to a voice."""

from __future__ import annotations

import re
from datetime import datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.dialogue.generation.spoken import amount, clock_time, spoken, year
from voicebot.dialogue.generation.spoken_text import speakable

TABLE = {
    # money
    "$1,249.50": "one thousand two hundred forty nine dollars and fifty cents",
    "It is $49.": "It is forty nine dollars.",
    "$0.99": "ninety nine cents",
    "$1.01": "one dollar and one cent",
    "-$5": "minus five dollars",
    "$5-10": "five to ten dollars",
    "$5 to $10": "five to ten dollars",
    "$1.5 million": "one point five million dollars",
    "£4.99": "four pounds and ninety nine pence",
    "49 USD": "forty nine dollars",
    "€1.299,00": "one thousand two hundred ninety nine euros",
    "€12,50": "twelve euros and fifty cents",
    "$12.50/month": "twelve dollars and fifty cents a month",
    # dates
    "03/05": "March fifth",
    "13/05": "May thirteenth",
    "3/5/2026": "March fifth, twenty twenty six",
    "2026-11-20": "November twentieth, twenty twenty six",
    "March 5, 2026": "March fifth, twenty twenty six",
    "Oct. 3rd": "October third",
    "the 3rd of October": "the third of October",
    "in 2026": "in twenty twenty six",
    "the 1990s": "the nineteen nineties",
    "24/7": "twenty four hours a day, seven days a week",
    "1/2 inch": "half inch",
    "1/3 off": "a third off",
    # times
    "9-17h": "nine in the morning to five in the afternoon",
    "9am-5pm": "nine in the morning to five in the afternoon",
    "9-5pm": "nine in the morning to five in the afternoon",
    "2-5pm": "two to five in the afternoon",
    "9:00-17:00": "nine in the morning to five in the afternoon",
    "We close at 8 p.m.": "We close at eight in the evening.",
    "We close at 8 p.m. on Friday.": "We close at eight in the evening on Friday.",
    "14:30": "two thirty in the afternoon",
    "at 9:05": "at nine oh five in the morning",
    "12:00": "noon",
    "Mon–Sat 9-20h": "Monday to Saturday nine in the morning to eight in the evening",
    "Monday-Friday": "Monday to Friday",
    # ranges, counts, measures
    "5-10 business days": "five to ten business days",
    "3–5 days": "three to five days",
    "10-15%": "ten to fifteen percent",
    "12.5%": "twelve point five percent",
    "30°C": "thirty degrees Celsius",
    "80x200 cm": "eighty by two hundred centimeters",
    "1 kg": "one kilogram",
    '12" wide': "twelve inches wide",
    "6'2\"": "six feet two",
    "2½ hours": "two and a half hours",
    "a 10-year warranty": "a ten year warranty",
    "5+ items": "five or more items",
    "3x faster": "three times faster",
    "10,000 miles": "ten thousand miles",
    "22nd floor": "twenty second floor",
    "No. 5": "number five",
    "Rated 4.5/5": "Rated four point five out of five",
    # addresses and numbers that are read out
    "help@hearth.example": "help at hearth dot example",
    "https://www.hearthandhome.example/returns.": "hearthandhome dot example slash returns.",
    "+1 503 555 0142": "plus one, five zero three, five five five, zero one four two",
    "(503) 555-0142": "five zero three, five five five, zero one four two",
    "order 427103": "order four two seven, one zero three",
    "order #427103": "order four two seven, one zero three",
    "HH-20417": "H H, two zero four, one seven",
    "room 12B": "room twelve B",
    "97201": "nine seven two, zero one",
    "1200 Maple Street": "twelve hundred Maple Street",
    # markup and short forms
    "**5-10** days": "five to ten days",
    "- item one": "item one",
    "see [our page](https://x.example/a)": "see our page",
    "e.g. chairs & tables": "for example chairs and tables",
}
PLAIN = [
    "You can return almost anything within thirty days of delivery, and you get your money back.",
    "We take Visa, Mastercard, and American Express.",
    "You can't, I'm afraid; it's our rule.",
    "I sat down in May and marched.",
    "Your order isn't here yet.",
]


@pytest.mark.parametrize(("written", "said"), TABLE.items())
def test_it_is_read_as_a_person_would(written: str, said: str) -> None:
    """One row, one thing; reading what was read changes nothing."""
    assert speakable(written) == said
    assert speakable(said) == said


@pytest.mark.parametrize("text", PLAIN)
def test_words_are_left_alone(text: str) -> None:
    """The near misses: months that are verbs, an apostrophe, a brand."""
    assert speakable(text) == text


@given(st.text(alphabet=st.sampled_from("0123456789 $€.,:/-–'\"apmhx%°#()ABZz½+&*_\n"), max_size=60))
def test_no_figure_is_left_and_nothing_breaks(text: str) -> None:
    """Any mixture of figures and signs becomes words."""
    assert not re.search(r"[0-9]", speakable(text))


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    """Other scripts, control characters, other scripts' figures."""
    assert not re.search(r"\d", speakable(text))


def test_a_very_long_text_is_read_in_pieces() -> None:
    """A model that writes without spaces does not hold up the others on the node."""
    assert not re.search(r"\d", speakable("1-" * 4000))
    assert speakable("nine to five, " * 500) == " ".join(("nine to five, " * 500).split())


def test_values() -> None:
    """Times and years beside what `spoken` says of dates and amounts; a cent below zero keeps its sign."""
    assert spoken(time(9, 0)) == "nine in the morning"
    assert clock_time(time(0, 0)) == "midnight"
    assert spoken(datetime(2026, 11, 20, 14, 5)) == (  # noqa: DTZ001  # as a record gives it
        "Friday the twentieth of November at two oh five in the afternoon"
    )
    assert [year(n) for n in (1999, 2000, 2005, 2010, 1900, 1804)] == [
        "nineteen ninety nine",
        "two thousand",
        "two thousand five",
        "twenty ten",
        "nineteen hundred",
        "eighteen oh four",
    ]
    assert amount(Decimal("-2.50")) == "minus two dollars and fifty cents"
    assert amount(Decimal("0.50")) == "fifty cents"
