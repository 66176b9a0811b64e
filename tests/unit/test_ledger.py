"""The ledger knows to the word what was heard: from marks, by time between them, never from dropped audio."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.speaking.heard_words import heard_characters
from voicebot.audio.speaking.ledger import PlayoutLedger

TEXT = "one two three four five"
WORD_MS = 300


def words_of(text: str, word_ms: int = WORD_MS) -> list[SpokenWord]:
    return [SpokenWord(w, i * word_ms, (i + 1) * word_ms) for i, w in enumerate(text.split())]


def ledger_of(*texts: str, word_times: bool = True) -> PlayoutLedger:
    ledger = PlayoutLedger(1)
    for text in texts:
        ledger.clause(text)
        ledger.audio(len(text.split()) * WORD_MS * 8, words_of(text) if word_times else ())
        ledger.clause_made()
    return ledger


def test_nothing_sent_is_nothing_heard() -> None:
    ledger = ledger_of(TEXT)
    assert ledger.heard(ledger.played(10_000), ended=True).text == ""


def test_marks_say_how_far_it_played() -> None:
    ledger = ledger_of(TEXT)
    names = [ledger.sent(800, 0) for _ in range(6)]
    assert names[:2] == ["g1.0", "g1.1"]
    for number, name in enumerate(names):
        assert ledger.returned(name, 140 + number * 100)  # 40 ms to the caller's buffer and back
    assert ledger.heard(ledger.marked, ended=True).text == "one two"
    assert ledger.round_trip_ms == 40


def test_between_marks_time_says_it() -> None:
    ledger = ledger_of(TEXT)
    for _ in range(6):
        ledger.sent(800, 0)
    ledger.returned("g1.0", 140)
    assert ledger.played(300) == 260 * 8
    assert ledger.played_when_cut(300) == 300 * 8  # a clear reaches the buffer a round trip later
    assert ledger.played(10_000) == 4800  # never more than was sent


def test_marks_of_another_generation_and_nonsense_say_nothing() -> None:
    """After a clear the old marks all come back: they must not count as heard."""
    ledger = ledger_of(TEXT)
    ledger.sent(800, 0)
    for name in ("g0.0", "g2.0", "g1.7", "g1.-1", "1.0", "", "g1.", "gx.0", "g1.0.0", "g١.0"):
        assert not ledger.returned(name, 100)
    assert ledger.marked == 0
    assert ledger.returned("g1.0", 100)
    assert not ledger.returned("g1.0", 100)  # and none counts twice


def test_an_underrun_is_not_played_time() -> None:
    """Audio that came 500 ms after the buffer ran dry did not play meanwhile."""
    ledger = ledger_of(TEXT)
    ledger.sent(800, 0)
    ledger.sent(800, 600)
    assert ledger.played(650) == 800 + 50 * 8


def test_complete_needs_every_word_and_the_end_of_the_answer() -> None:
    ledger = ledger_of("one two", "three")
    for _ in range(9):
        ledger.sent(800, 0)
    assert ledger.heard(9 * 800, ended=True).complete
    assert not ledger.heard(9 * 800, ended=False).complete
    assert not ledger.heard(8 * 800 - 4 * 800, ended=True).complete
    assert ledger.heard(9 * 800, ended=True).text == "one two three"


def test_an_answer_cut_inside_its_last_word_is_not_complete() -> None:
    ledger = ledger_of("one two")
    for _ in range(6):
        ledger.sent(800, 0)
    assert ledger.heard(4799, ended=True).text == "one two"
    assert not ledger.heard(4799, ended=True).complete


def test_a_clause_whose_engine_died_is_not_heard_by_the_time_that_passed_since() -> None:
    ledger = PlayoutLedger(1)
    ledger.clause("one two three")
    ledger.audio(400)
    ledger.clause("")  # the emergency line
    ledger.audio(16_000)
    assert ledger.heard(16_000, ended=False).text == ""


def test_a_clause_begun_anew_counts_once() -> None:
    """The engine died after one word, a line was played, and the clause was spoken again."""
    ledger = PlayoutLedger(1)
    number = ledger.clause("one two")
    ledger.audio(2400, words_of("one two")[:1])
    ledger.clause("")  # the emergency line
    ledger.audio(8000)
    ledger.clause_made()
    ledger.again(number)
    ledger.audio(4800, words_of("one two"))
    ledger.clause_made()
    assert ledger.heard(2400, ended=True).text == "one"
    assert ledger.heard(2400 + 8000 + 1300, ended=True).text == "one"
    assert ledger.heard(2400 + 8000 + 4800, ended=True).text == "one two"
    assert ledger.heard(2400 + 8000 + 4800, ended=True).complete


texts = st.lists(
    st.sampled_from(["one two three", "a", "your order 427 was sent", "yes"]), min_size=1, max_size=4
)


@given(texts, st.booleans(), st.lists(st.integers(0, 60_000), min_size=2, max_size=8))
def test_heard_is_a_growing_prefix_of_what_was_said(
    spoken: list[str], word_times: bool, positions: list[int]
) -> None:
    ledger = ledger_of(*spoken, word_times=word_times)
    whole = " ".join(spoken)
    before = ""
    for played in sorted(positions):
        heard = ledger.heard(played, ended=True)
        assert whole.startswith(heard.text)
        assert not heard.text or whole[len(heard.text) :][:1] in ("", " ")  # whole words
        assert len(heard.text) >= len(before)
        assert heard.text == whole or not heard.complete
        assert heard.complete == (played >= len(whole.split()) * WORD_MS * 8)
        before = heard.text


@given(st.lists(st.tuples(st.integers(1, 800), st.integers(0, 400), st.booleans()), max_size=40))
def test_played_never_exceeds_what_was_sent_nor_falls_below_the_marks(
    steps: list[tuple[int, int, bool]],
) -> None:
    ledger = PlayoutLedger(1)
    ledger.clause("word " * 50)
    ledger.audio(40 * 800)
    now, sent, names = 0, 0, []
    for samples, pause, mark_returns in steps:
        names.append(ledger.sent(samples, now))
        sent += samples
        now += pause
        if mark_returns:
            ledger.returned(names[len(names) // 2], now)
        assert ledger.marked <= ledger.played(now) <= sent


@pytest.mark.parametrize(
    ("words", "played_ms", "whole", "expected"),
    [
        ([], 0, True, ""),
        ([], 600, True, "one two"),  # by characters: 23 in 1500 ms, the middle of "three" at 685 ms
        ([], 749, True, "one two three"),
        (words_of(TEXT), 449, True, "one"),
        (words_of(TEXT), 450, True, "one two"),
        (words_of(TEXT), 1500, True, TEXT),
        (words_of(TEXT)[:2], 1500, False, "one two"),  # the times of the others are not known yet
        (words_of("o ne two thr ee four fi ve", 188), 600, True, "one two"),  # split differently
    ],
)
def test_words_heard(words: list[SpokenWord], played_ms: int, whole: bool, expected: str) -> None:
    length = heard_characters(TEXT, words, played_ms, 1500, whole)
    assert TEXT[:length] == expected


def test_a_first_mark_that_was_late_by_chance_is_mended_by_the_next() -> None:
    """The recording is given audio once its moment has settled."""
    ledger = ledger_of(TEXT)
    names = [ledger.sent(800, 0) for _ in range(5)]
    for name, at_ms in zip(names, (160, 202, 301, 405, 500), strict=True):
        assert ledger.settled < ledger.marked or ledger.marked == 0
        ledger.returned(name, at_ms)
    assert ledger.plays_at_ms(0) == 0
    assert ledger.settled == 3 * 800


@pytest.mark.parametrize(
    ("played_ms", "resumes_ms"),
    [
        (0, 0),
        (100, 0),  # in the first word
        (500, 0),  # one word heard: the clause anew
        (620, 570),  # in the third word, 30 ms before it
        (1350, 1170),
        (1500, 1500),  # the clause was heard whole: the next one
        (1700, 1500),
        (2150, 2070),
        (2400, 2400),  # all of it was heard
    ],
)
def test_an_answer_that_was_paused_goes_on_from_its_word(played_ms: int, resumes_ms: int) -> None:
    ledger = ledger_of(TEXT, "six seven eight")
    assert ledger.resumes_at(played_ms * 8) == resumes_ms * 8


def test_between_words_it_goes_on_there() -> None:
    ledger = PlayoutLedger(1)
    ledger.clause("one two three four")
    ledger.audio(
        2400 * 8,
        [SpokenWord(w, i * 600, i * 600 + 300) for i, w in enumerate(["one", "two", "three", "four"])],
    )
    ledger.clause_made()
    assert ledger.resumes_at(1600 * 8) == 1600 * 8
    assert ledger.resumes_at(1400 * 8) == 1170 * 8
    assert ledger.resumes_at(2200 * 8) == 2200 * 8  # only the silence behind its last word is left


def test_without_word_times_it_goes_back_by_characters() -> None:
    ledger = ledger_of("aaaa bbbb cccc dddd", word_times=False)  # 1200 ms, 19 characters
    assert ledger.resumes_at(1100 * 8) == pytest.approx((15 * 1200 / 19 - 30) * 8, abs=8)


def test_a_pause_begins_a_generation_and_keeps_what_was_heard() -> None:
    ledger = ledger_of(TEXT)
    for _ in range(10):
        ledger.sent(800, 0)
    ledger.returned("g1.0", 140)
    played = ledger.paused(700, 7)
    assert played == 700 * 8
    assert not ledger.returned("g1.1", 710), "it came back because of the clear"
    assert ledger.heard(0, ended=True).text == "one two"
    assert ledger.sent(800, 1000) == "g7.0"
    assert ledger.returned("g7.0", 1140)
    assert ledger.marked == (570 + 100) * 8
    assert ledger.heard(ledger.marked, ended=True).text == "one two"
    assert ledger.round_trip_ms == 40
