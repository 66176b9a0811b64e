"""A circle ends with a person, offered first; an upset caller hears one sorry; both stand in the reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deployment_kit import REFERENCE

from voicebot.core.conversation import Action, MonitorScores, Route, Urgency
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.straining import Straining
from voicebot.dialogue.monitor.course import Course, CourseSignals
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Gate

STRAINING = Straining(
    Steering(REFERENCE.phrases, REFERENCE.intents, REFERENCE.policy, Gate(REFERENCE.policy.table.identity)),
    REFERENCE.phrases,
    REFERENCE.intents,
)
CALM = MonitorScores(sentiment=0.0)
PERSON_AT = REFERENCE.policy.table.triggers.loop.same_answer.person_at
UPSET = MonitorScores(sentiment=-0.8)
STRAIGHT = CourseSignals(sentiment_falling=False, loop="none", loops=0)


def circle(loops: int) -> CourseSignals:
    return CourseSignals(sentiment_falling=False, loop="same_answer", loops=loops)


def draft(action: Action = Action.CLARIFY, **more: object) -> Draft:
    return Draft(
        state=ConversationState(),
        intent="warranty",
        action=action,
        route=Route.FIXED,
        row="row",
        parts=(Line("know.not"), Line("ask.more", question=True)),
        **more,  # type: ignore[arg-type]
    )


def saying_it_again() -> Draft:
    """An answer in the words of the one before."""
    before = Course().said(REFERENCE.phrases.text("know.not"), resolved=True)
    return replace(draft(Action.ANSWER), state=ConversationState(course=before))


def keys(made: Draft) -> list[str]:
    return [part.key for part in made.parts if isinstance(part, Line)]


def test_a_conversation_that_goes_well_is_left_alone() -> None:
    """Nothing is added, nothing is said."""
    assert STRAINING.ease(draft(), STRAIGHT, CALM, "my sofa is late") == draft()


@pytest.mark.parametrize("action", [Action.CLARIFY, Action.ABSTAIN])
def test_the_second_time_round_a_person_is_offered(action: Action) -> None:
    """In place of the question that led round."""
    made = STRAINING.ease(draft(action), circle(2), CALM, "my sofa is late")
    assert made.asked is not None
    assert made.asked.kind is AskedKind.PERSON
    assert "ask.person" in keys(made)
    assert "ask.more" not in keys(made)
    assert "loop: same_answer, 2 times" in made.reasons


def test_an_answer_in_a_circle_is_still_given_the_second_time() -> None:
    """What answers is not taken away; a person is offered after it."""
    made = STRAINING.ease(saying_it_again(), circle(2), CALM, "my sofa is late")
    assert keys(made) == ["know.not", "ask.person"]
    assert made.asked is not None
    assert made.asked.kind is AskedKind.PERSON


@pytest.mark.parametrize("loops", [2, PERSON_AT])
def test_another_answer_ends_a_circle_of_answers(loops: int) -> None:
    """The near miss: whoever asks something else gets his answer, and nothing beside it."""
    assert keys(STRAINING.ease(draft(Action.ANSWER), circle(loops), CALM, "my sofa is late")) == [
        "know.not",
        "ask.more",
    ]


def test_at_the_gate_the_offer_leaves_room_for_the_number() -> None:
    """Who repeats the question instead of the number hears what is missing, and may still give it."""
    asked = Asked(kind=AskedKind.FACTOR, factor="order_number")
    made = STRAINING.ease(
        draft(asked=asked), CourseSignals(sentiment_falling=False, loop="rephrasing", loops=2), CALM, "again"
    )
    assert keys(made) == ["know.not", "identity.order_number.missing", "ask.person"]
    assert made.asked == Asked(kind=AskedKind.PERSON, factor="order_number")


@pytest.mark.parametrize(
    ("intent", "urgency", "text", "sorry"),
    [
        ("warranty", Urgency.NORMAL, "where the hell is my sofa", True),
        ("chitchat", Urgency.HIGH, "you useless machine", True),
        ("chitchat", Urgency.NORMAL, "are you a robot", False),
        ("unknown", Urgency.NORMAL, "who is your boss", False),
        ("out_of_scope", Urgency.NORMAL, "who won the game", False),
        ("warranty", Urgency.HIGH, "why?", False),
        ("complaint", Urgency.HIGH, "seriously?", False),
    ],
)
def test_a_low_reading_alone_is_no_trouble(intent: str, urgency: Urgency, text: str, sorry: bool) -> None:
    """Small talk and small words are not apologised to, however they score."""
    scores = MonitorScores(sentiment=-0.8, urgency=urgency)
    made = STRAINING.ease(replace(draft(Action.ANSWER), intent=intent), STRAIGHT, scores, text)
    assert ("say.sorry" in keys(made)) is sorry


def test_the_third_time_a_person_takes_over() -> None:
    """Whatever the bot would have said, if it is the same again."""
    made = STRAINING.ease(saying_it_again(), circle(PERSON_AT), CALM, "my sofa is late")
    assert (made.trigger, made.after, made.action) == ("loop", "hand_over", Action.ESCALATE)


@pytest.mark.parametrize("after", ["hand_over", "hang_up"])
def test_a_turn_that_ends_is_not_eased(after: str) -> None:
    """There is a person already, or a goodbye."""
    made = STRAINING.ease(draft(after=after), circle(5), CALM, "my sofa is late")
    assert made.trigger is None
    assert made.parts == draft().parts


def test_an_upset_caller_hears_sorry_once() -> None:
    """Before anything else, and not at every turn."""
    made = STRAINING.ease(draft(Action.ANSWER), STRAIGHT, UPSET, "my sofa is late")
    assert keys(made)[0] == "say.sorry"
    later = replace(draft(Action.ANSWER), state=made.state)
    assert "say.sorry" not in keys(STRAINING.ease(later, STRAIGHT, UPSET, "my sofa is late"))


def test_a_falling_mood_stands_in_the_reasons() -> None:
    """Whoever reads the turn sees why it was hurried."""
    falling = CourseSignals(sentiment_falling=True, loop="none", loops=0)
    made = STRAINING.ease(draft(), falling, MonitorScores(sentiment=-0.3), "my sofa is late")
    assert made.reasons == ("sentiment falls to -0.30",)
