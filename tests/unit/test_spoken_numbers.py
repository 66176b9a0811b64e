"""Digits as people say them come back as digits; the length that was asked for chooses among readings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.dialogue.generation.spoken import digits as spoken_digits
from voicebot.safety.spoken_numbers import count_digits, digit_runs, read_digits

SIX = [
    ("four two seven one zero three", "427103"),
    ("four two seven one oh three", "427103"),
    ("Four, two, seven... one, zero, three!", "427103"),
    ("forty two seventy one oh three", "427103"),
    ("four twenty seven one oh three", "427103"),
    ("four hundred twenty seven one zero three", "427103"),
    ("four hundred and twenty seven one hundred and three", "427103"),
    ("double four one triple oh", "441000"),
    ("treble nine double seven one", "999771"),
    ("427103", "427103"),
    ("427 103", "427103"),
    ("4-2-7-1-0-3", "427103"),
    ("427,103", "427103"),
    ("my order number is four two seven one oh three thanks", "427103"),
    ("um four two uh seven one then zero three", "427103"),
    ("four to seven one oh three", "427103"),
    ("for two seven won zero three", "427103"),
    ("it's 42 71 03", "427103"),
    ("four hundred twenty seven thousand one hundred three", "427103"),
]


@pytest.mark.parametrize(("words", "digits"), SIX)
def test_spoken_numbers_are_read(words: str, digits: str) -> None:
    """Each wording gives the digits it stands for as the first reading of their length."""
    assert read_digits(words, 6)[:1] == (digits,)


def test_the_length_asked_for_chooses_the_reading() -> None:
    """The words "forty two" are 42 or 40 2: both are kept, the expected length decides."""
    assert read_digits("forty two", 2) == ("42",)
    assert read_digits("forty two", 3) == ("402",)


def test_a_correction_is_believed_last() -> None:
    """After "sorry" the caller starts again; the later digits win."""
    assert read_digits("one two three four five six sorry four two seven one zero three", 6)[0] == "427103"


def test_two_numbers_in_one_sentence_stay_apart() -> None:
    """Other words between digits end a number."""
    words = "order four two seven one zero three and the post code is nine four one oh seven"
    assert read_digits(words, 6) == ("427103",)
    assert read_digits(words, 5) == ("94107",)


def test_alternatives_of_the_recogniser_are_readings_too() -> None:
    """What the recogniser heard second is kept behind what it heard first, without doubles, up to the limit."""  # noqa: E501
    heard = ["four two seven one oh four", "four two seven one oh three", "nine nine nine nine nine nine"]
    assert read_digits("four two seven one oh three", 6, heard, limit=2) == ("427103", "427104")


@pytest.mark.parametrize(
    "words",
    ["i would like to go there for a walk", "oh i see", "to be honest", "where is my order", "", "oh no"],
)
def test_words_that_only_sound_like_digits_are_none(words: str) -> None:
    """Words like "to", "for" and "oh" count only between real digits."""
    assert count_digits(words) == 0


def test_too_few_or_too_many_digits_are_not_made_to_fit() -> None:
    """A number of another length is no reading."""
    assert read_digits("four two seven one zero", 6) == ()
    assert read_digits("four two seven one zero three nine nine", 6) == ()


@given(st.text(alphabet="0123456789", min_size=1, max_size=11))
def test_what_the_bot_says_digit_by_digit_it_understands(value: str) -> None:
    """Reading back and hearing are inverse to each other."""
    assert digit_runs(spoken_digits(value).replace(",", ""))[0][0] == value


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is read in bounded time and gives digits only."""
    for readings in digit_runs(text):
        assert all(reading.isdigit() for reading in readings)


def test_a_long_run_stays_cheap() -> None:
    """Ambiguity does not multiply: a minute of "forty two" is read at once."""
    readings = digit_runs("forty two " * 5000)
    assert len(readings[0]) <= 32
