"""Invented words are stopped, and what people say in the same words is not."""

from __future__ import annotations

import pytest

from voicebot.audio.engines.whisper.gate import Invented, Signals, compression_ratio, invented


def _why(
    text: str, logprob: float | None = -0.3, silence: float | None = 0.01, voiced_ms: int = 3000
) -> Invented | None:
    return invented(Signals(text, logprob, silence, voiced_ms))


@pytest.mark.parametrize(
    "text",
    [
        "I'm going to go to the store. " * 5,
        "the order the order the order the order",
        "no no no no no no no no no",
        "ha ha ha ha ha ha ha ha ha ha ha ha ha ha",
    ],
)
def test_loops_are_stopped(text: str) -> None:
    assert _why(text, voiced_ms=20_000) is Invented.LOOP


@pytest.mark.parametrize(
    "text",
    [
        "zero zero zero zero zero zero one two",
        "no no no",
        "one two one two one two",
        "four four two two four four two two",
        "where is my order where is my order",
        "it is five one eight two six four",
        "yes yes please yes",
    ],
)
def test_what_people_repeat_is_not(text: str) -> None:
    assert _why(text) is None


@pytest.mark.parametrize(
    ("logprob", "silence", "voiced_ms", "why"),
    [
        (-1.2, 0.7, 3000, Invented.NO_SPEECH),
        (-0.7, 0.95, 3000, Invented.NO_SPEECH),
        (-0.3, 0.01, 40, Invented.NO_SPEECH),
        (-1.2, 0.2, 3000, None),
        (-0.3, 0.7, 3000, None),
        (-0.3, 0.95, 3000, None),
        (None, None, 3000, None),
    ],
)
def test_text_without_speech(
    logprob: float | None, silence: float | None, voiced_ms: int, why: Invented | None
) -> None:
    assert _why("where is my order", logprob, silence, voiced_ms) is why


def test_more_text_than_can_be_spoken_is_stopped() -> None:
    text = "my order number is five one eight two six four and my post code is one two three four five"
    assert _why(text, voiced_ms=800) is Invented.TOO_MUCH_TEXT
    assert _why(text, voiced_ms=5000) is None
    assert _why("yes please", voiced_ms=200) is None


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        "Thank you so much for watching.",
        "Please subscribe to my channel",
        "[Music]",
        "Subtitles by the Amara.org community",
        "See you in the next video.",
    ],
)
def test_film_subtitles_are_stopped_whatever_the_signals(text: str) -> None:
    assert _why(text, -0.1, 0.0) is Invented.PHRASE


@pytest.mark.parametrize("text", ["Thank you.", "Bye.", "you", "okay"])
def test_phrases_people_say_are_stopped_only_when_in_doubt(text: str) -> None:
    assert _why(text) is None
    assert _why(text, silence=0.4) is Invented.PHRASE
    assert _why(text, logprob=-0.9) is Invented.PHRASE
    assert _why(text, voiced_ms=100) is Invented.PHRASE


def test_near_misses_of_phrases_pass() -> None:
    assert _why("i was watching the lamp and it broke thank you") is None
    assert _why("i want to subscribe to the newsletter") is None


def test_no_text_is_no_invention() -> None:
    assert _why("", None, 0.99, 0) is None
    assert _why(" ... ", None, 0.99, 0) is None


def test_compression_ratio_is_whispers() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("where is my order") < 1.5
    assert compression_ratio("thank you " * 30) > 2.4
