"""The end of a turn: every witness moves the wait one way only, digits are not cut, and every turn ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.completeness import Completeness
from voicebot.audio.hearing.endpointing import (
    DEFAULT_RULES,
    EndpointFacts,
    EndpointRules,
    decide,
    silence_needed,
)
from voicebot.core.conversation import FREE, Expects

SIX = Expects(kind="digits", length=6)
YES_NO = Expects(kind="yes_no")
DATE = Expects(kind="date")
NAME = Expects(kind="name")
BASE = EndpointFacts(silence_ms=0, turn_ms=2000)
R = DEFAULT_RULES

PLAIN = EndpointRules(
    silence_alone=1000,
    sounds=((0.9, 0.5), (0.5, 0.6), (0.2, 0.8), (0.0, 1.2)),
    worth={**dict.fromkeys(Completeness, 1.0), Completeness.WHOLE: 0.4, Completeness.OPEN: 4.0},
    shortest=250,
    longest=1500,
    digits_open=1800,
    held=0,
)
"""Round numbers, so that the arithmetic can be read here."""


def heard(words: str | None, complete: float | None = None, expects: Expects = FREE) -> EndpointFacts:
    return replace(BASE, words=words, words_current=words is not None, complete=complete, expects=expects)


def wait(facts: EndpointFacts) -> int:
    """Silence in all."""
    return decide(replace(facts, silence_ms=0)).wait_ms


@pytest.mark.parametrize(
    ("words", "complete", "needed"),
    [
        (None, None, 1000),
        (None, 0.95, 500),
        (None, 0.9, 500),
        (None, 0.89, 600),
        (None, 0.3, 800),
        (None, 0.0, 1200),
        (Completeness.WHOLE, None, 400),
        (Completeness.WHOLE, 0.95, 250),  # 200, but not below the shortest
        (Completeness.WHOLE, 0.1, 480),
        (Completeness.OPEN, 0.95, 1500),  # 2000, but not above the longest
        (Completeness.MISSING, 0.95, 1800),  # which does not bind while digits are missing
    ],
)
def test_each_witness_multiplies(words: Completeness | None, complete: float | None, needed: int) -> None:
    """Silence alone, times what the sound is worth, times what the words are worth, within bounds."""
    assert silence_needed(words, complete, PLAIN) == needed


@pytest.mark.parametrize(
    ("soon", "late"),
    [
        # words
        (heard("where is my order", 0.3), heard("i want to send back the", 0.3)),
        (heard("where is my order"), heard("my order number is")),
        (heard("i want to send back my lamp", 0.95), heard("i want to send back my lamp and", 0.95)),
        # what was asked
        (heard("yes", 0.95, YES_NO), heard("yes", 0.95)),
        (heard("no thank you", 0.3, YES_NO), heard("well you see", 0.3, YES_NO)),
        (heard("the third of may", 0.3, DATE), heard("the third of", 0.3, DATE)),
        (heard("maria jackson", 0.3, NAME), heard("maria", 0.3, NAME)),
        (heard("four two seven one oh three", 0.1, SIX), heard("four two seven one oh", 0.95, SIX)),
        (heard("four two seven one oh three five", 0.1, SIX), heard("four two seven one oh", 0.95, SIX)),
        # sound
        (heard("where is my order", 0.95), heard("where is my order", 0.03)),
        (heard("where is my order", 0.95), heard("where is my order")),
    ],
)
def test_the_likelier_end_is_waited_for_less(soon: EndpointFacts, late: EndpointFacts) -> None:
    assert wait(soon) < wait(late)


@pytest.mark.parametrize(
    ("facts", "at_most"),
    [
        (heard("yes", 0.95, YES_NO), 330),
        (heard("yes please", None, YES_NO), 320),
        (heard("four two seven one oh three", 0.3, SIX), 320),
        (heard("where is my order", 0.95), 320),
        (heard("the third of may", 0.3, DATE), 320),
        (heard(None), 1000),
        (heard("", 0.95), 700),
    ],
)
def test_what_is_whole_ends_soon(facts: EndpointFacts, at_most: int) -> None:
    assert wait(facts) <= at_most


@pytest.mark.parametrize("complete", [None, 0.0, 0.5, 0.99])
@pytest.mark.parametrize(
    "words",
    ["four two seven one oh", "four two seven one", "four two", "um four two seven", "it's four", "42 71"],
)
def test_missing_digits_are_waited_for(words: str, complete: float | None) -> None:
    """Two or more digits are missing: a pause of 1.5 s between groups does not end the number, however it
    sounds.
    """
    facts = replace(heard(words, complete, SIX), silence_ms=R.digits_open - 1)
    assert not decide(facts).over
    assert R.digits_open > 1500 + 100
    assert decide(replace(facts, silence_ms=max(R.digits_open, R.longest))).over


@pytest.mark.parametrize("words", ["and", "i would like to", "my number is", "um", "because", "how long is"])
def test_a_trailing_word_that_wants_another_waits(words: str) -> None:
    """Even where it sounds finished: longer than without any words."""
    assert wait(heard(words, 0.95)) > wait(heard(None, 0.95))
    assert wait(heard(words, 0.95)) > 1000


def test_old_words_prove_nothing() -> None:
    """Six digits from before the caller went on speaking are not the answer."""
    stale = replace(heard("four two seven one oh three", 0.95, SIX), words_current=False)
    assert wait(stale) == wait(heard(None, 0.95, SIX)) > wait(replace(stale, words_current=True))


def test_a_verdict_on_its_way_is_waited_for_only_while_it_is_due() -> None:
    waiting = replace(heard(None), silence_ms=R.silence_alone, verdict_due=True)
    assert not decide(waiting).over
    assert decide(replace(waiting, verdict_due=False)).over
    assert decide(replace(waiting, complete=0.9)).over


def test_digits_on_their_way_are_counted_before_a_number_ends() -> None:
    """What a caller says in groups is not ended by its sound while the words are being decoded."""
    waiting = replace(heard(None, 0.99, SIX), silence_ms=R.longest, words_due=True)
    assert not decide(waiting).over
    assert decide(replace(waiting, words_due=False)).over
    assert decide(replace(waiting, expects=FREE)).over


def test_what_sounds_unfinished_is_held_but_for_an_answer() -> None:
    whole = heard("where is my order", 0.19)
    assert wait(whole) == R.held > wait(replace(whole, complete=0.2))
    assert wait(heard("one two three four five six", 0.19, SIX)) == R.shortest


def test_words_that_mean_nothing_to_the_dialogue_are_waited_for() -> None:
    """After "and on Sunday" it sounds finished; but nobody knows yet what it wants."""
    half = heard("and on sunday", 0.95)
    assert wait(half) == wait(replace(half, understood=True)) < 600
    assert wait(replace(half, understood=False)) == R.not_understood > 600
    assert decide(replace(half, understood=False)).why.endswith("not understood")
    assert not decide(replace(half, understood=False)).likely


@pytest.mark.parametrize(
    "answer", [heard("yes", 0.95, YES_NO), heard("one two three four five six", 0.95, SIX)]
)
def test_an_answer_is_whole_whatever_the_dialogue_makes_of_it(answer: EndpointFacts) -> None:
    assert wait(replace(answer, understood=False)) == wait(answer)


def test_an_endless_turn_is_ended() -> None:
    assert decide(replace(BASE, turn_ms=R.longest_turn)).over


def test_a_reason_names_classes_and_nothing_that_was_said() -> None:
    assert decide(heard("call doctor miller", 0.95)).why == "unclear, finished"
    assert decide(heard(None)).why == "no words, no verdict"
    assert decide(heard("four two", 0.01, SIX)).why == "missing, far from finished"


def test_the_end_is_likely_where_little_silence_is_needed() -> None:
    assert decide(heard("where is my order", 0.95)).likely
    assert decide(heard("four two seven one oh three", None, SIX)).likely
    assert not decide(heard("where is my", 0.95)).likely
    assert not decide(heard("four two seven", 0.95, SIX)).likely
    assert not decide(heard(None)).likely


WORDS = [
    "",
    "yes",
    "yes please",
    "four two",
    "one two three four five",
    "one two three four five six",
    "one two three four five six seven",
    "where is my order",
    "my order and",
    "my order",
    "maria jackson",
    "the third of may",
    "s m i",
]
facts_strategy = st.builds(
    EndpointFacts,
    silence_ms=st.integers(0, 5000),
    turn_ms=st.integers(0, 29_000),
    words=st.none() | st.sampled_from(WORDS),
    words_current=st.booleans(),
    complete=st.none() | st.floats(0, 1),
    verdict_due=st.just(False),
    words_due=st.just(False),
    expects=st.sampled_from([FREE, SIX, YES_NO, DATE, NAME]),
    understood=st.none() | st.booleans(),
)


@given(facts_strategy)
def test_every_turn_ends_and_none_at_once(facts: EndpointFacts) -> None:
    """Whatever the witnesses say, or none does: over after the longest wait there is, never within the
    shortest.
    """
    assert decide(replace(facts, silence_ms=max(R.longest, R.digits_open))).over
    assert not decide(replace(facts, silence_ms=R.shortest - 1)).over


@given(facts_strategy, st.integers(1, 3000))
def test_more_silence_never_lengthens_the_wait(facts: EndpointFacts, more: int) -> None:
    now = decide(facts).wait_ms
    later = decide(replace(facts, silence_ms=facts.silence_ms + more)).wait_ms
    assert later == max(0, now - more)


@given(facts_strategy, st.floats(0, 1), st.floats(0, 1))
def test_a_more_finished_sound_never_lengthens_the_wait(
    facts: EndpointFacts, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    assert wait(replace(facts, complete=more)) <= wait(replace(facts, complete=less))


@given(st.none() | st.floats(0, 1))
def test_more_finished_words_never_lengthen_the_wait(complete: float | None) -> None:
    order = [
        Completeness.ANSWERED,
        Completeness.WHOLE,
        Completeness.UNCLEAR,
        Completeness.OPENING,
        Completeness.LEANING,
        Completeness.OPEN,
    ]
    waits = [silence_needed(c, complete) for c in order]
    assert waits == sorted(waits)
    agreed = [Completeness.ANSWERED, Completeness.AGREED, Completeness.OPENING]
    waits = [silence_needed(c, complete) for c in agreed]
    assert waits == sorted(waits)
    assert silence_needed(Completeness.COUNTED, complete) < silence_needed(Completeness.MISSING, complete)
