"""Word times: every word of the text exactly once, in order, within the audio, whatever the voice tells."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.audio.engines.spoken import WordClock, in_proportion
from voicebot.audio.engines.types import SpokenWord


def test_a_word_is_told_when_the_next_one_begins():
    clock = WordClock("Your order is here.")
    clock.event(0, 0)
    assert clock.known() == ()
    clock.event(5, 150)
    assert clock.known() == (SpokenWord("Your", 0, 150),)
    clock.event(11, 400)
    clock.event(14, 520)
    assert clock.known() == (SpokenWord("order", 150, 400), SpokenWord("is", 400, 520))
    assert clock.rest(900) == (SpokenWord("here.", 520, 900),)


def test_a_number_spoken_as_many_words_is_one_and_a_dash_takes_no_time():
    clock = WordClock("order 47 — late")
    for position, ms in ((0, 0), (6, 300), (6, 600), (11, 1000)):
        clock.event(position, ms)
    assert (*clock.known(), *clock.rest(1400)) == (
        SpokenWord("order", 0, 300),
        SpokenWord("47", 300, 1000),
        SpokenWord("—", 1000, 1000),
        SpokenWord("late", 1000, 1400),
    )


def test_a_voice_that_tells_nothing_still_ends_with_every_word():
    assert [w.text for w in WordClock("a b c").rest(500)] == ["a", "b", "c"]


texts = st.lists(st.text("abc,.12", min_size=1, max_size=6), min_size=1, max_size=8).map(" ".join)


@settings(deadline=None)
@given(texts, st.integers(1, 20000), st.integers(0, 5000))
def test_proportional_times_cover_the_audio(text: str, audio_ms: int, offset_ms: int):
    words = in_proportion(text, audio_ms, offset_ms)
    assert [w.text for w in words] == text.split()
    assert words[0].start_ms == offset_ms
    assert words[-1].end_ms == offset_ms + audio_ms
    assert all(a.end_ms == b.start_ms for a, b in pairwise(words))


@settings(deadline=None)
@given(texts, st.lists(st.tuples(st.integers(-2, 60), st.integers(0, 3000)), max_size=12))
def test_events_in_any_order_lose_and_double_no_word(text: str, events: list[tuple[int, int]]):
    clock = WordClock(text)
    told: list[SpokenWord] = []
    for position, ms in events:
        clock.event(position, ms)
        told += clock.known()
    told += clock.rest(4000)
    assert [w.text for w in told] == text.split()
    assert all(0 <= w.start_ms <= w.end_ms <= 4000 for w in told)


@pytest.mark.parametrize("text", ["", "   "])
def test_no_text_no_words(text: str):
    assert in_proportion(text, 100) == ()
    assert WordClock(text).rest(100) == ()
