"""A model's summary stands only in the agent's format and with nothing in it that did not happen.

The briefing that is spoken fits into twelve seconds and holds nothing personal.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from voicebot.core.conversation import FiredTrigger, ToolRead
from voicebot.handoff.mood import mood_of
from voicebot.handoff.payload import (
    Choice,
    Identity,
    Line,
    Payload,
    Scores,
    Summary,
    ToolCall,
    TurnScore,
)
from voicebot.handoff.summary import BRIEFING_S, WORDS_PER_S, briefing, checked, material

LONG = "word " * 31 + "end."
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINES = (
    ("caller", "where is my order it is [order number 1]"),
    ("bot", "Your order is on its way and comes on Tuesday. It was 49 dollars."),
    ("caller", "that is too late I have been waiting for 3 weeks <b>cancel it</b>"),
    ("bot", "I could not cancel it: it has left our warehouse."),
)


def payload(*, verified: bool = True, sentiments: tuple[float, ...] = (0.1, -0.5), **more: Any) -> Payload:
    composed = Summary(
        issue="Verified customer, order [order number 1]. Called about where an order is.",
        tried="So far: order status: shipped.",
        mood=mood_of(sentiments),
        next="Say sorry first and give one date you can keep.",
        written_by="composed",
    )
    calls = (("order_status", "shipped"), ("cancel_order", "too_late"))
    facts: dict[str, Any] = {
        "conversation": "cv_1",
        "channel": "phone",
        "transcript": tuple(Line(turn=n, who=who, text=text) for n, (who, text) in enumerate(LINES)),  # type: ignore[arg-type]
        "tool_calls": tuple(
            ToolCall(
                turn=1, call=ToolRead(tool=tool, arguments={}, result={"outcome": outcome, "eta": "Friday"})
            )
            for tool, outcome in calls
        ),
        "scores": Scores(
            moment=None,
            turns=tuple(
                TurnScore(turn=n, intent="x", classification=0.9, grounding=None, answer=None, sentiment=one)
                for n, one in enumerate(sentiments)
            ),
        ),
        "trigger": FiredTrigger(
            name="asked_for_person", evidence={}, at=NOW, first_sign_at=NOW, first_sign="asked_for_person"
        ),
        "reason": "the caller asked for a person",
        "urgency": "normal",
        "identity": Identity(
            verified=verified, customer=None, reference=None, method=(), tries=0, caller="+12025550100"
        ),
        "about": ("where an order is", "cancelling an order"),
        "tried": ("order status: shipped", "cancel order: too late"),
        "citations": (),
        "next_action": composed.next,
        "choice": Choice(pattern="p", matched=(), reviewed_by="ada", reviewed_on=date(2026, 11, 1)),
        "summary": composed,
        "policy_version": "p1",
    }
    return Payload.model_validate({**facts, **more})


ISSUE = "Wants order [order number 1] sooner or cancelled, after waiting 3 weeks."
TRIED = "Looked the order up, which was shipped; it was too late to cancel it."
MOOD = "Upset, and getting worse."


def written(issue: str = ISSUE, tried: str = TRIED, mood: str = MOOD) -> str:
    return f"issue: {issue}\ntried: {tried}\nmood: {mood}\n"


def test_what_is_founded_stands_and_the_next_step_stays_the_reviewed_one() -> None:
    told = checked(written(), payload(), "openai:x")
    assert told.fell_back is None
    assert (told.summary.issue, told.summary.tried, told.summary.mood) == (ISSUE, TRIED, MOOD)
    assert (told.summary.next, told.summary.written_by) == (
        "Say sorry first and give one date you can keep.",
        "openai:x",
    )


@pytest.mark.parametrize(
    ("issue", "tried"),
    [
        (ISSUE, "The assistant said it comes on Tuesday and was 49 dollars."),
        ("The caller needs the order sooner.", TRIED),
        ("The caller was told that it has left the warehouse.", TRIED),
        ("The customer wants the order cancelled.", TRIED),
    ],
)
def test_values_and_deeds_of_the_conversation_may_be_told(issue: str, tried: str) -> None:
    assert checked(written(issue, tried), payload(), "openai:x").fell_back is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("It comes on Wednesday.", "no_source"),
        ("It comes on Friday.", "no_source"),
        ("The order was 59 dollars.", "no_source"),
        ("Waiting for 4 weeks.", "no_source"),
        ("Order 427103 is late.", "no_source"),
        ("The order [order number 2] is late.", "token"),
        ("Wants it sent to [address 1].", "token"),
        ("The assistant refunded the order.", "deed"),
        ("The order was replaced.", "deed"),
        ("Wants it refunded, and it was refunded.", "deed"),
        ("We will give you a full refund.", "promise"),
        ("The caller is an idiot.", "tone"),
        ("As a language model, I cannot tell.", "itself"),
        ("The caller, Mr Miller, wants the order.", "name"),
        ("The caller in Boston wants the order.", "name"),
    ],
)
@pytest.mark.parametrize("where", ["issue", "tried"])
def test_what_did_not_happen_is_not_told(line: str, problem: str, where: str) -> None:
    """A tool's raw values (Friday) were never said, so they are no source either."""
    made = written(**{where: line})
    told = checked(made, payload(), "openai:x")
    assert told.fell_back == f"{where}: {problem}"
    assert told.summary == payload().summary


@pytest.mark.parametrize(
    ("line", "verified", "stands"),
    [
        ("Verified customer, wants the order.", True, True),
        ("Verified customer, wants the order.", False, False),
        ("The caller is verified.", False, False),
        ("The caller is not verified.", False, True),
        ("An unverified caller wants the order.", False, True),
    ],
)
def test_nobody_is_called_verified_who_is_not(line: str, verified: bool, stands: bool) -> None:
    told = checked(written(issue=line), payload(verified=verified), "openai:x")
    assert (told.fell_back is None) is stands


@pytest.mark.parametrize(
    "made",
    [
        "",
        "NO_ANSWER",
        f"issue: {ISSUE}\ntried: {TRIED}",
        f"{written()}next: Refund it.",
        f"{written()}mood: Calm.",
        "issue:\ntried: x\nmood: y",
        written(issue="x" * 321),
        f"Here is the summary:\n{written()}",
        '{"issue": "x", "tried": "y", "mood": "z"}',
    ],
)
def test_another_format_is_no_summary(made: str) -> None:
    assert checked(made, payload(), "openai:x").fell_back == "format"


def test_bold_and_bullets_are_forgiven() -> None:
    made = f"\n- **Issue**: {ISSUE}\n* Tried: {TRIED}\n\nMOOD:   {MOOD}"
    assert checked(made, payload(), "openai:x").fell_back is None


def test_a_model_sees_no_value_of_a_tool_and_nobody_can_end_a_tag() -> None:
    shown = material(payload())
    assert "Friday" not in shown, "a result"
    assert "shipped" in shown, "its outcome"
    assert "[order number 1]" in shown
    assert "<b>" not in shown
    assert "‹b›cancel it‹/b›" in shown
    assert "+1202" not in shown


@pytest.mark.parametrize(
    ("more", "says", "says_not"),
    [
        ({}, "You have a verified customer, about cancelling an order.", "urgent"),
        (
            {"sentiments": (), "next_action": "Say sorry."},
            "You have a verified customer, about where an order is and cancelling an order.",
            "upset",
        ),
        ({"verified": False}, "a caller who is not verified", "a verified customer"),
        ({"urgency": "critical"}, "This is urgent.", "Tuesday"),
        ({"sentiments": (0.1, -0.5)}, "They sound upset.", "waiting"),
        ({"sentiments": (0.4,)}, "The caller asked for a person.", "upset"),
        ({"about": ()}, "You have a verified customer.", "about"),
        ({"next_action": "Call 911 now."}, "asked for a person", "911"),
        ({"sentiments": (0.1,)}, "Next: Say sorry first and give one date you can keep.", "upset"),
        ({"next_action": f"Say sorry; {LONG}"}, "Next: Say sorry.", "word"),
        ({"next_action": f"Say sorry; {LONG}"}, "They sound upset.", "word"),
        ({"reason": LONG}, "You have a verified customer", "word"),
        ({"next_action": "Look at [order number 1]."}, "asked for a person", "["),
        ({"next_action": LONG}, "asked for a person", "word"),
    ],
)
def test_the_briefing_says_what_counts_and_nothing_secret(
    more: dict[str, Any], says: str, says_not: str
) -> None:
    said = briefing(payload(**more))
    assert says in said
    assert says_not not in said
    assert len(said.split()) <= BRIEFING_S * WORDS_PER_S
    assert not re.search(r"[\d\[\]]", said)


@pytest.mark.parametrize(
    ("sentiments", "mood"),
    [
        ([], "Mood not known."),
        ([None], "Mood not known."),
        ([0.5], "Friendly."),
        ([0.3], "Calm."),
        ([-0.3], "Calm."),
        ([-0.46], "Upset."),
        ([-0.4], "Calm."),
        ([-0.61], "Very upset."),
        ([0.2, None, -0.7], "Very upset, and it got worse."),
        ([-0.5, -0.2], "Calm, and it got better."),
        ([-0.5, -0.3], "Calm."),
    ],
)
def test_a_mood_in_words(sentiments: list[float | None], mood: str) -> None:
    assert mood_of(sentiments) == mood
