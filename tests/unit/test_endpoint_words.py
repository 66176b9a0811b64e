"""Whether the words so far make a whole: what cannot end a turn, what usually does, and which answer fits
which question.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.completeness import Completeness, completeness
from voicebot.core.conversation import FREE, Expects

C = Completeness
SIX = Expects(kind="digits", length=6)
YES_NO = Expects(kind="yes_no")
DATE = Expects(kind="date")
NAME = Expects(kind="name")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", C.NOTHING),
        (" ...", C.NOTHING),
        # sentences
        ("where is my order", C.WHOLE),
        ("Where is my order?", C.WHOLE),
        ("i would like to return a lamp", C.WHOLE),
        ("i want to know where it is", C.WHOLE),
        ("can you tell me what that is", C.WHOLE),
        ("yes it is", C.WHOLE),
        ("yes i do", C.WHOLE),
        ("thank you", C.WHOLE),
        ("a person please", C.WHOLE),
        ("i want to send it back", C.WHOLE),
        ("what is that for", C.WHOLE),
        # they want another word
        ("i got a lamp from you and", C.OPEN),
        ("i want to send back the", C.OPEN),
        ("i would like to", C.OPEN),
        ("because", C.OPEN),
        ("where is", C.OPEN),
        ("how long is", C.OPEN),
        ("what is my", C.OPEN),
        ("my number is", C.OPEN),
        ("my order number", C.OPEN),
        ("it's", C.OPEN),
        ("I think it’s", C.OPEN),
        ("the one that i ordered was", C.OPEN),
        # fillers, and time asked for
        ("um", C.OPEN),
        ("well um", C.OPEN),
        ("my order is um", C.OPEN),
        ("hold on", C.OPEN),
        ("one moment please", C.OPEN),
        ("let me check", C.OPEN),
        # punctuation of bigger recognisers
        ("I got a lamp from you,", C.OPEN),
        ("I got a lamp from you...", C.OPEN),
        ("I got a lamp from you.", C.WHOLE),
        # likely to go on
        ("i want to send back", C.LEANING),
        ("can you tell me", C.LEANING),
        ("i think", C.LEANING),
        ("how long", C.LEANING),
        ("so what time do you", C.LEANING),
        ("when does the shop", C.LEANING),
        ("how much will my delivery", C.LEANING),
        ("do you", C.LEANING),
        ("when does the shop open", C.WHOLE),
        ("what time do you open", C.WHOLE),
        ("i would like", C.LEANING),
        # too little to tell
        ("yes", C.OPENING),
        ("good morning", C.OPENING),
        ("a refund", C.UNCLEAR),
        ("my order", C.UNCLEAR),
        # read out
        ("my order number is four two", C.OPEN),
        ("my order number is four two seven one", C.RUNNING),
        ("four two seven", C.RUNNING),
        ("it is 4271", C.RUNNING),
        ("my name is s m i", C.RUNNING),
        ("i need two", C.UNCLEAR),
    ],
)
def test_asked_nothing_particular(words: str, expected: Completeness) -> None:
    assert completeness(words, FREE) is expected


@pytest.mark.parametrize(
    ("expects", "words", "expected"),
    [
        (YES_NO, "yes", C.AGREED),
        (YES_NO, "um no", C.AGREED),
        (YES_NO, "yes please", C.ANSWERED),
        (YES_NO, "no that is wrong", C.ANSWERED),
        (YES_NO, "that's right", C.ANSWERED),
        (YES_NO, "go ahead", C.ANSWERED),
        (YES_NO, "i think so", C.ANSWERED),
        (YES_NO, "yes but", C.OPEN),
        (YES_NO, "no wait", C.LEANING),
        (YES_NO, "sure it", C.LEANING),
        (YES_NO, "yes and my", C.OPEN),
        (YES_NO, "yes can you tell me", C.LEANING),
        (YES_NO, "yes but i want to change the address first", C.WHOLE),
        (YES_NO, "where is my order", C.WHOLE),
        (SIX, "four two seven one oh three", C.COUNTED),
        (SIX, "it's four two seven one oh three", C.COUNTED),
        (SIX, "427103", C.COUNTED),
        (SIX, "427 103.", C.COUNTED),
        (SIX, "double four seven one oh three", C.COUNTED),
        (SIX, "one moment four two seven one oh three", C.COUNTED),
        (SIX, "four two seven one oh", C.MISSING),
        (SIX, "four two seven", C.MISSING),
        (SIX, "four two seven,", C.MISSING),
        (SIX, "four two seven one oh three five", C.OVER),
        (SIX, "my number is", C.OPEN),
        (SIX, "one moment please", C.OPEN),
        (SIX, "i do not have the number", C.WHOLE),
        (Expects(kind="digits", length=4), "the last four digits are one two three four", C.COUNTED),
        (Expects(kind="digits", length=4), "the last four digits are", C.OPEN),
        (DATE, "the third of may", C.ANSWERED),
        (DATE, "may 3rd", C.ANSWERED),
        (DATE, "on monday", C.ANSWERED),
        (DATE, "yesterday", C.ANSWERED),
        (DATE, "the third of", C.OPEN),
        (DATE, "the third", C.LEANING),
        (DATE, "i do not know", C.WHOLE),
        (NAME, "maria jackson", C.ANSWERED),
        (NAME, "um maria jackson", C.ANSWERED),
        (NAME, "my name is maria jackson", C.ANSWERED),
        (NAME, "it's under the name of maria jackson", C.ANSWERED),
        (NAME, "my name is maria", C.LEANING),
        (NAME, "my name is", C.OPEN),
        (NAME, "j a c", C.RUNNING),
    ],
)
def test_what_was_asked_tells(expects: Expects, words: str, expected: Completeness) -> None:
    assert completeness(words, expects) is expected


DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh"]


@given(st.lists(st.sampled_from(DIGITS), max_size=9))
def test_digits_are_whole_at_their_number_and_never_before(digits: list[str]) -> None:
    found = completeness(" ".join(digits), SIX)
    assert (found is C.COUNTED) == (len(digits) == 6)
    assert (found is C.MISSING) == (0 < len(digits) < 6)


@given(st.text(max_size=60), st.sampled_from([FREE, SIX, YES_NO, DATE, NAME]))
def test_any_text_has_a_class(text: str, expects: Expects) -> None:
    assert isinstance(completeness(text, expects), Completeness)
