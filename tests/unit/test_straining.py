"""A circle ends with a person, offered first; an upset caller hears one sorry; both stand in the reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voicebot.core.conversation import Action, MonitorScores, Route
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.straining import PERSON_AT, Straining
from voicebot.dialogue.monitor.course import CourseSignals
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.identity import Gate

DEPLOYMENT = Deployment.load(Path(__file__).resolve().parent.parent.parent)
STRAINING = Straining(
    Steering(
        DEPLOYMENT.phrases, DEPLOYMENT.intents, DEPLOYMENT.policy, Gate(DEPLOYMENT.policy.table.identity)
    )
)
CALM = MonitorScores(sentiment=0.0)
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


def keys(made: Draft) -> list[str]:
    return [part.key for part in made.parts if isinstance(part, Line)]


def test_a_conversation_that_goes_well_is_left_alone() -> None:
    """Nothing is added, nothing is said."""
    assert STRAINING.ease(draft(), STRAIGHT, CALM) == draft()


@pytest.mark.parametrize("action", [Action.CLARIFY, Action.ABSTAIN])
def test_the_second_time_round_a_person_is_offered(action: Action) -> None:
    """In place of the question that led round."""
    made = STRAINING.ease(draft(action), circle(2), CALM)
    assert made.asked is not None
    assert made.asked.kind is AskedKind.PERSON
    assert "ask.person" in keys(made)
    assert "ask.more" not in keys(made)
    assert "loop: same_answer, 2 times" in made.reasons


def test_an_answer_in_a_circle_is_still_given_the_second_time() -> None:
    """The near miss: what answers is not taken away."""
    assert keys(STRAINING.ease(draft(Action.ANSWER), circle(2), CALM)) == ["know.not", "ask.more"]


def test_the_third_time_a_person_takes_over() -> None:
    """Whatever the bot would have said."""
    made = STRAINING.ease(draft(Action.ANSWER), circle(PERSON_AT), CALM)
    assert (made.trigger, made.after, made.action) == ("loop", "hand_over", Action.ESCALATE)


@pytest.mark.parametrize("after", ["hand_over", "hang_up"])
def test_a_turn_that_ends_is_not_eased(after: str) -> None:
    """There is a person already, or a goodbye."""
    made = STRAINING.ease(draft(after=after), circle(5), CALM)
    assert made.trigger is None
    assert made.parts == draft().parts


def test_an_upset_caller_hears_sorry_once() -> None:
    """Before anything else, and not at every turn."""
    made = STRAINING.ease(draft(Action.ANSWER), STRAIGHT, UPSET)
    assert keys(made)[0] == "say.sorry"
    later = replace(draft(Action.ANSWER), state=made.state)
    assert "say.sorry" not in keys(STRAINING.ease(later, STRAIGHT, UPSET))


def test_a_falling_mood_stands_in_the_reasons() -> None:
    """Whoever reads the turn sees why it was hurried."""
    falling = CourseSignals(sentiment_falling=True, loop="none", loops=0)
    made = STRAINING.ease(draft(), falling, MonitorScores(sentiment=-0.3))
    assert made.reasons == ("sentiment falls to -0.30",)
