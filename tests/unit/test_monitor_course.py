"""A conversation that goes in circles or sours is noticed by counting, whatever the model says of itself."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import MonitorScores
from voicebot.dialogue.monitor.classifier import Guess
from voicebot.dialogue.monitor.course import Course, falling, signals
from voicebot.dialogue.monitor.monitor import Reading, Want

ANSWERS = (
    "we deliver within ten days",
    "the truck comes on friday then",
    "i found nothing under that name sorry",
)


def reading(intent: str, sentiment: float = 0.0) -> Reading:
    return Reading(
        wants=(Want(intent=intent, confidence=0.99, text="x"),),
        guesses=(Guess(intent=intent, probability=0.99),),
        scores=MonitorScores(sentiment=sentiment),
    )


def talk(*turns: tuple[str, str, str, bool]) -> Course:
    """Turns of (intent, the caller's words, the bot's words, whether that resolved it)."""
    course = Course()
    for intent, words, answer, resolved in turns:
        course = course.heard(reading(intent), words).said(answer, resolved)
    return course


def test_the_same_want_without_progress_is_a_circle_the_third_time() -> None:
    """Sure every time, and still going round."""
    turns = [
        ("order_status", "where is the lamp", ANSWERS[0], False),
        ("order_status", "any news of a parcel", ANSWERS[1], False),
        ("order_status", "tracking shows nothing", ANSWERS[2], False),
    ]
    assert signals(talk(*turns[:2])).loop == "none"
    found = signals(talk(*turns))
    assert (found.loop, found.loops) == ("same_intent", 2)


def test_progress_starts_the_counting_again() -> None:
    """A want that was dealt with may come up again."""
    course = talk(
        ("order_status", "where is the lamp", ANSWERS[0], False),
        ("order_status", "any news of a parcel", ANSWERS[1], True),
        ("order_status", "tracking shows nothing", ANSWERS[2], False),
    )
    assert signals(course).loop == "none"


def test_another_want_is_no_circle() -> None:
    """Three unanswered questions are three questions."""
    course = talk(
        ("order_status", "where is the lamp", ANSWERS[0], False),
        ("warranty", "what if it breaks", ANSWERS[1], False),
        ("opening_hours", "when are you open", ANSWERS[2], False),
    )
    assert signals(course).loop == "none"


def test_the_same_answer_twice_is_a_circle_even_when_it_counted_as_progress() -> None:
    """The bot thinks it answered; the caller hears the same words."""
    turn = ("warranty", "what if it breaks", "The warranty is two years.", True)
    other = ("warranty", "and for sofas", "the warranty is two years", True)
    found = signals(talk(turn, other))
    assert (found.loop, found.loops) == ("same_answer", 2)
    assert signals(talk(turn, ("warranty", "and for sofas", ANSWERS[1], True))).loop == "none"


def test_saying_it_again_on_request_is_no_circle() -> None:
    """After "could you repeat that" come the same words, as they should."""
    course = talk(
        ("warranty", "what if it breaks", "the warranty is two years", True),
        ("repeat", "say that again", "the warranty is two years", True),
    )
    assert signals(course).loop == "none"


def test_the_same_thing_in_other_words_is_a_circle() -> None:
    """The model hears two intents, the caller said one thing twice."""
    course = talk(("return_policy", "can the green sofa go back to the store", ANSWERS[0], False))
    again = course.heard(
        reading("exchange_item"), "no the green sofa i want the sofa to go back to the store"
    )
    assert signals(again).loop == "rephrasing"
    other = course.heard(reading("opening_hours"), "when do you close on sunday")
    assert signals(other).loop == "none"


def test_yes_and_thanks_count_for_nothing() -> None:
    """Steering words neither break nor make a circle."""
    course = talk(
        ("order_status", "where is the lamp", ANSWERS[0], False),
        ("yes", "yes", ANSWERS[1], False),
        ("yes", "yes", ANSWERS[2], False),
        ("yes", "yes", "all right then", False),
    )
    assert signals(course).loop == "none"
    assert course.intents == ("order_status",)


@pytest.mark.parametrize(
    ("moods", "expected"),
    [
        ((0.0, -0.5), True),
        ((0.4, 0.0, -0.4), True),
        ((0.1, -0.1, -0.3), True),
        ((-0.2,), False),
        ((), False),
        ((0.9, 0.4), False),
        ((-0.5, -0.5), False),
        ((-0.8, -0.3), False),
        ((0.0, -0.1), False),
        ((-0.6, 0.3, -0.1), False),
    ],
)
def test_a_falling_mood(moods: tuple[float, ...], expected: bool) -> None:
    """Down over two or three turns, and low at the end."""
    assert falling(moods) is expected
    course = Course()
    for mood in moods:
        course = course.heard(reading("warranty", mood), "what if it breaks")
    assert signals(course).sentiment_falling is expected


def test_only_the_last_turns_are_kept() -> None:
    """The state does not grow with the call."""
    course = Course()
    for at in range(50):
        course = course.heard(reading(f"intent_{at}", -0.1), f"words of turn {at}").said(
            f"answer {at}", False
        )
    assert len(course.sentiments) == len(course.intents) == 5


def test_it_goes_through_the_state_unchanged() -> None:
    """Written as JSON and read again."""
    course = talk(("order_status", "where is the lamp", ANSWERS[0], False))
    assert Course.model_validate_json(course.model_dump_json()) == course


@pytest.mark.parametrize("text", ["", "   ", "\x00", "日本語", "x " * 50_000])
def test_odd_words_break_nothing(text: str) -> None:
    """Empty, binary, foreign, enormous."""
    assert signals(talk(("warranty", text, text, False), ("warranty", text, text, False))).loops >= 0
