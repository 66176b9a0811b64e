"""Values of a change are taken from words that name one; a yes, a no or half a date is none."""

from __future__ import annotations

import doctest
from datetime import date
from typing import Any

import pytest
from pydantic import Field

from voicebot.core.conversation import Strict, Utterance
from voicebot.dialogue.flow import slots

SATURDAY = date(2026, 11, 21)


class Request(Strict):
    """A place, things and a day."""

    city: str = Field(min_length=2)
    items: tuple[str, ...]
    day: date


def value(name: str, words: str) -> Any | None:
    return slots.value_of(Request, name, Utterance(text=words), {}, SATURDAY)


def test_its_examples_hold() -> None:
    assert doctest.testmod(slots).failed == 0


@pytest.mark.parametrize("words", ["yes", "Yes please.", "no", "no thank you", "that's right"])
def test_a_yes_or_a_no_is_no_value(words: str) -> None:
    assert value("city", words) is None
    assert value("items", words) is None


def test_words_that_are_more_than_that_are_one() -> None:
    assert value("city", "yes, Denver") == "Denver"
    assert value("items", "no, everything") == []


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("tomorrow", "2026-11-22"),
        ("next Thursday", "2026-11-26"),
        ("saturday", "2026-11-28"),
        ("in three days", "2026-11-24"),
        ("December 3rd please", "2026-12-03"),
        ("12/3", "2026-12-03"),
        ("thursday in the morning", "2026-11-26"),
        ("next week", None),
        ("I don't know yet", None),
    ],
)
def test_a_day_is_named_in_many_ways(words: str, day: str | None) -> None:
    assert value("day", words) == day


def test_on_a_weekday_its_name_means_the_next_one_and_of_two_days_the_earlier() -> None:
    tuesday = date(2026, 11, 17)
    assert slots.day_of("tuesday", tuesday) == date(2026, 11, 24)
    assert slots.day_of("next thursday", tuesday) == date(2026, 11, 19)
