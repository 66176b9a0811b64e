"""Whether a sound over the bot takes the turn: its words, how sure they are, its length, what was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.overlap import (
    DEFAULT_RULES,
    OverlapFacts,
    acknowledges,
    commands,
    decide,
    takes_the_turn,
)


def said(words: str | None, confidence: float | None = 0.9, **known: object) -> OverlapFacts:
    """Words so far of somebody who still speaks."""
    facts = OverlapFacts(since_ms=300, voiced_ms=400, silence_ms=0, words=words, confidence=confidence)
    return replace(facts, **known)


def finished(words: str | None, confidence: float | None = 0.9, **known: object) -> OverlapFacts:
    """The same, and 160 ms of silence behind, all of it decoded."""
    return said(words, confidence, **({"silence_ms": 160, "words_current": True, "since_ms": 480} | known))


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        # "stop" and its like cut at once, before the sentence is over
        (said("stop", 0.31), "interruption"),
        (said("wait", 0.4), "interruption"),
        (said("no", 0.7), "interruption"),
        (said("excuse me", 0.6), "interruption"),
        (said("hold on", None), None),  # nobody vouches for it yet
        (finished("hold on", None), "interruption"),
        (said("yeah no", 0.6), "interruption"),
        (said("stop", 0.2), None),
        (finished("stop", 0.2), "interruption"),
        (finished("stop", 0.05), "backchannel"),
        (said("nothing", 0.6), None),  # near miss: "no" is a word, not a beginning
        (said("know", 0.6), None),
        # backchannels, once they are over
        (finished("uh huh", 0.4), "backchannel"),
        (finished("mm-hm"), "backchannel"),
        (finished("Yeah."), "backchannel"),
        (finished("okay, right", 0.2), "backchannel"),
        (finished("I see"), "backchannel"),
        (said("yeah"), None),
        (said("yeah", voiced_ms=950), "interruption"),  # "yeah yeah yeah": wants to say something
        (said("yeah but"), None),
        (said("yeah but what about the"), "interruption"),
        (finished("right", words_current=False), None),  # the words of an earlier pause
        # ... but not where they are an answer, or where there is nothing to go on with
        (said("mm hm", 0.3, question_open=True), "interruption"),
        (said("yeah", question_open=True), "interruption"),
        (finished("okay", bot_done=True), "interruption"),
        # new words
        (said("my order"), "interruption"),
        (said("my order", 0.4), None),
        (said("how long", None), None),
        (finished("how long", None), None),
        (finished("how long", None, silence_ms=256), "backchannel"),
        (said("how long does it", None, voiced_ms=720), "interruption"),
        (said("my order", 0.4, voiced_ms=720), "interruption"),
        (finished("delivery", 0.85), "interruption"),
        (finished("maybe", 0.6), "backchannel"),  # one short word that nobody is sure of
        (finished("good afternoon", 0.37), "backchannel"),  # what a recogniser makes of "mm-hm"
        (finished("good afternoon", 0.37, question_open=True), "interruption"),
        (finished("where is my parcel", 0.37, voiced_ms=800), "interruption"),
        (said("uh what", 0.7), None),  # what a recogniser makes of the beginning of "uh-huh"
        (finished("um", 0.9), "backchannel"),
        (finished("um", 0.9, again=True), "interruption"),
        (finished("six", 0.3, again=True), "interruption"),  # they were not heeded a moment ago
        (finished("six", None, again=True, silence_ms=256), "backchannel"),
        (finished("uh huh", 0.3, again=True), "backchannel"),
        # no words
        (finished("", 0.0), "noise"),
        (finished(None, voiced_ms=120, silence_ms=160, words_current=False), "noise"),
        (
            finished(None, voiced_ms=120, silence_ms=160, words_current=False, again=True),
            None,
        ),  # "excuse .. me"
        (finished(None, voiced_ms=300, silence_ms=160, words_current=False), None),
        (finished(None, voiced_ms=300, silence_ms=400, words_current=False), "backchannel"),
        (said(None, None), None),
        (said(None, None, voiced_ms=720), "interruption"),  # length decides
        # somebody else in the room
        (said("and now the news", below_caller_db=18.0), None),
        (finished("and now the news", below_caller_db=18.0), "noise"),
        (said("stop", below_caller_db=18.0, since_ms=420), "noise"),
        (said(None, None, voiced_ms=900, since_ms=900, below_caller_db=18.0), "noise"),
        (said("and now the news", below_caller_db=10.0), "interruption"),
        # our own voice
        (said("and now the news", echo=0.6), "echo"),
        (said(None, None, voiced_ms=900, echo=0.6), "echo"),
        (said("my order", echo=0.3), "interruption"),
        # they had been speaking before the bot began
        (said(None, None, voiced_ms=90, under_way=True), "interruption"),
    ],
)
def test_verdict(facts: OverlapFacts, verdict: str | None) -> None:
    assert decide(facts).verdict == verdict


@given(
    st.builds(
        OverlapFacts,
        since_ms=st.integers(DEFAULT_RULES.limit, 5000),
        voiced_ms=st.integers(32, 3000),
        silence_ms=st.integers(0, 2000),
        words=st.sampled_from([None, "", "uh", "uh huh", "my", "my order is late"]),
        words_current=st.booleans(),
        confidence=st.one_of(st.none(), st.floats(0, 1)),
        below_caller_db=st.floats(0, 40),
        echo=st.floats(0, 1),
        question_open=st.booleans(),
        bot_done=st.booleans(),
    )
)
def test_nobody_is_left_in_silence_without_a_decision(facts: OverlapFacts) -> None:
    assert decide(facts).verdict is not None
    assert DEFAULT_RULES.limit <= 1200


@pytest.mark.parametrize(
    ("facts", "taken"),
    [
        (finished(""), False),
        (finished(None), False),
        (finished("stop", 0.5), True),  # its word came after the bot had gone on
        (finished("stop", 0.05), False),
        (finished("how long", None), False),
        (finished("how long", 0.9, vouched=False), False),  # PocketSphinx of a cough
        (finished("hang on", 0.3, vouched=False), False),
        (finished("hang on", 0.6, vouched=False), True),
        (finished("uh huh"), False),
        (finished("uh huh", question_open=True), True),
        (finished("where is my parcel", 0.7), True),
        (finished("where is my parcel", 0.3), False),
        (finished("maybe", 0.6), False),
        (finished("delivery", 0.9), True),
        (finished("where is my parcel", 0.9, below_caller_db=20.0), False),
    ],
)
def test_a_decision_to_go_on_is_taken_back_by_words_that_are_believed(
    facts: OverlapFacts, taken: bool
) -> None:
    assert takes_the_turn(facts) is taken


@pytest.mark.parametrize("text", ["Uh-huh.", "mm hm", "Okay!", "yeah yeah", "I see", "oh right, thanks"])
def test_these_show_that_somebody_listens(text: str) -> None:
    assert acknowledges(text)
    assert not commands(text)


@pytest.mark.parametrize(
    "text", ["", "...", "um", "uh", "you", "see", "okay but", "I see a lamp", "right now please"]
)
def test_these_say_something(text: str) -> None:
    assert not acknowledges(text)
