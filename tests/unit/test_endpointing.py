"""The end of a turn: what was asked, the words and the sound together say how much silence ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.endpointing import DEFAULT_RULES, EndpointFacts, decide
from voicebot.core.conversation import FREE, Expects

SIX = Expects(kind="digits", length=6)
YES_NO = Expects(kind="yes_no")
DATE = Expects(kind="date")
BASE = EndpointFacts(silence_ms=0, turn_ms=2000)
R = DEFAULT_RULES


def heard(words: str | None, complete: float | None = None, expects: Expects = FREE) -> EndpointFacts:
    return replace(BASE, words=words, words_current=words is not None, complete=complete, expects=expects)


@pytest.mark.parametrize(
    ("facts", "needed", "why"),
    [
        # sound alone
        (heard(None, 0.9), R.sounds_finished, "sounds_finished"),
        (heard(None, 0.3), R.sounds_unsure, "sounds_unsure"),
        (heard(None, 0.05), R.sounds_unfinished, "sounds_unfinished"),
        (heard(None), R.silence_alone, "silence_alone"),
        # sound and words
        (heard("where is my order", 0.9), R.sounds_finished, "sounds_finished"),
        (heard("where is my order", 0.05), R.words_finished, "words_finished"),
        (heard("i want to send back the", 0.9), R.nearly, "nearly"),
        (heard("i want to send back the", 0.05), R.sounds_unfinished, "sounds_unfinished"),
        (heard("where is it um", None), R.nearly, "nearly"),
        (heard("i want to know where it is", 0.9), R.sounds_finished, "sounds_finished"),
        (heard("", 0.9), R.no_words, "no_words"),
        # yes or no
        (heard("yes please", 0.9, YES_NO), R.proven, "proven"),
        (heard("yes please", None, YES_NO), R.proven, "proven"),
        (heard("no", 0.1, YES_NO), R.doubted, "doubted"),
        (heard("yes but", 0.9, YES_NO), R.nearly, "nearly"),
        (heard("well you see", 0.9, YES_NO), R.sounds_finished, "sounds_finished"),
        # date
        (heard("the third of may", 0.9, DATE), R.proven, "proven"),
        (heard("the third of", 0.05, DATE), R.sounds_unfinished, "sounds_unfinished"),
        # digits
        (heard("four two seven one oh three", None, SIX), R.proven, "proven"),
        (heard("four two seven one oh three", 0.1, SIX), R.doubted, "doubted"),
        (heard("four two seven", 0.95, SIX), R.digits_open, "digits_open"),
        (heard("four two seven", 0.05, SIX), R.digits_open, "digits_open"),
        (heard("four two seven one oh", 0.95, SIX), R.digits_lost, "digits_lost"),
        (heard("four two seven one oh", 0.05, SIX), R.digits_open, "digits_open"),
        (heard("four two seven one oh three five", 0.95, SIX), R.sounds_unsure, "digits_over"),
        (heard("i don't have it with me", 0.95, SIX), R.sounds_finished, "sounds_finished"),
        (heard(None, 0.95, SIX), R.silence_alone, "silence_alone"),
        (replace(heard(None, 0.95, SIX), words_due=True), R.digits_lost, "digits_unknown"),
    ],
)
def test_silence_needed(facts: EndpointFacts, needed: int, why: str) -> None:
    """Nothing is due once that much silence has passed, and the rest of it until then."""
    assert decide(facts).why == why
    assert decide(facts).wait_ms == needed
    assert decide(replace(facts, silence_ms=needed - 1)).wait_ms == 1
    assert decide(replace(facts, silence_ms=needed)).over


def test_old_words_prove_nothing() -> None:
    """Six digits from before the caller went on speaking are not the answer."""
    stale = replace(heard("four two seven one oh three", 0.95, SIX), words_current=False)
    assert decide(stale).wait_ms > R.proven


def test_a_verdict_on_its_way_is_waited_for_only_while_it_is_due() -> None:
    waiting = replace(heard(None), silence_ms=R.silence_alone, verdict_due=True)
    assert not decide(waiting).over
    assert decide(replace(waiting, verdict_due=False)).over
    assert decide(replace(waiting, complete=0.9)).over


def test_an_endless_turn_is_ended() -> None:
    assert decide(replace(BASE, turn_ms=R.longest_turn)).over


facts_strategy = st.builds(
    EndpointFacts,
    silence_ms=st.integers(0, 5000),
    turn_ms=st.integers(0, 29_000),
    words=st.none() | st.sampled_from(["", "yes", "four two", "my order and", "one two three four five six"]),
    words_current=st.booleans(),
    complete=st.none() | st.floats(0, 1),
    verdict_due=st.just(False),
    words_due=st.booleans(),
    expects=st.sampled_from([FREE, SIX, YES_NO, DATE]),
)


@given(facts_strategy)
def test_every_turn_ends_and_none_at_once(facts: EndpointFacts) -> None:
    """Whatever the witnesses say: over after the longest wait there is, never within the shortest."""
    longest = max(R.sounds_unfinished, R.digits_open)
    assert decide(replace(facts, silence_ms=longest)).over
    assert not decide(replace(facts, silence_ms=min(R.sounds_finished, R.proven) - 1)).over


@given(facts_strategy, st.integers(1, 1000))
def test_more_silence_never_makes_it_less_over(facts: EndpointFacts, more: int) -> None:
    if decide(facts).over:
        assert decide(replace(facts, silence_ms=facts.silence_ms + more)).over
