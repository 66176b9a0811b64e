"""Counting spoken digits, in every form recognisers write them."""

from __future__ import annotations

import pytest

from voicebot.audio.hearing.spoken_digits import count_digits


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("four two seven", 3),
        ("double four", 2),
        ("triple oh one", 4),
        ("four two double seven oh", 5),
        ("forty two", 2),
        ("forty two seventeen", 4),
        ("twenty", 2),
        ("427", 3),
        ("4-2-7 10 3", 6),
        ("4 2 double 7", 4),
        ("It's 42, seventeen.", 4),
        ("it is four two seven one zero three", 6),
        # near misses
        ("for to ate", 0),
        ("i don't have it", 0),
        ("double", 0),
        ("someone", 0),
        ("twenty minutes two", 3),
    ],
)
def test_count(text: str, count: int) -> None:
    assert count_digits(text) == count
