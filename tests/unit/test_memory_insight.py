"""What follows from earlier conversations, until when, and what the bot says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voicebot.core.conversation import Action, Channel, Decision, MonitorScores, Route
from voicebot.dialogue.memory.contact import Contact, contact_of
from voicebot.dialogue.memory.insight import (
    last_contact,
    last_mood,
    repeat_contact,
    unresolved_topics,
)
from voicebot.dialogue.memory.recall import TOLD, Recall, recall

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
CONTENT = {"order_status", "return_policy", "warranty_claim", "complaint"}


def decided(intent: str, action: Action, sentiment: float | None = None) -> Decision:
    scores = None if sentiment is None else MonitorScores(sentiment=sentiment)
    return Decision(
        intent=intent, action=action, route=Route.GROUNDED, tier=0, policy_row="row", scores=scores,
        trigger="x" if action is Action.ESCALATE else None,
    )  # fmt: skip


def a_contact(days: float, *turns: Decision, channel: Channel = Channel.CHAT) -> Contact:
    """A conversation that many days ago."""
    at = NOW - timedelta(days=days)
    return contact_of([(turn, at) for turn in turns], channel, is_topic=CONTENT.__contains__, began_at=at)


def test_a_topic_is_resolved_by_its_last_turn_and_steering_is_no_topic():
    contact = a_contact(
        1,
        decided("greeting", Action.ANSWER),
        decided("order_status", Action.CLARIFY),
        decided("order_status", Action.ANSWER),
        decided("warranty_claim", Action.ANSWER),
        decided("warranty_claim", Action.ESCALATE),
    )
    assert [(t.intent, t.resolved) for t in contact.topics] == [
        ("order_status", True),
        ("warranty_claim", False),
    ]
    assert contact.handed_over


def test_the_mood_is_that_of_the_end():
    turns = [decided("order_status", Action.ANSWER, mood) for mood in (0.9, 0.8, -0.6, -0.6, -0.6)]
    assert a_contact(1, *turns).mood == -0.6
    mood = last_mood([a_contact(1, *turns), a_contact(2, decided("order_status", Action.ANSWER, 1.0))], NOW)
    assert mood is not None
    assert mood.sentiment == -0.6
    assert last_mood([a_contact(14, *turns)], NOW) is None
    assert last_mood([a_contact(1, decided("order_status", Action.ANSWER))], NOW) is None


@pytest.mark.parametrize(("days", "counts"), [(0, True), (6.9, True), (7, False), (8, False)])
def test_the_same_thing_within_seven_days_is_a_repeat_contact(days: float, counts: bool):
    earlier = [a_contact(days, decided("order_status", Action.ANSWER))]
    repeat = repeat_contact(earlier, "order_status", NOW)
    assert (repeat is not None) == counts
    if repeat is not None:
        assert repeat.expires_at == earlier[0].last_at + timedelta(days=7)
    assert repeat_contact(earlier, "return_policy", NOW) is None


def test_a_later_conversation_that_settles_a_topic_closes_it():
    left = a_contact(3, decided("order_status", Action.ESCALATE), decided("warranty_claim", Action.ROUTE))
    settled = a_contact(1, decided("order_status", Action.ANSWER))
    assert [t.intent for t in unresolved_topics([settled, left], NOW)] == ["warranty_claim"]
    assert unresolved_topics([a_contact(30, decided("order_status", Action.ESCALATE))], NOW) == ()


def test_the_last_contact_is_the_newest_and_is_forgotten_after_its_time():
    contacts = [a_contact(5, decided("return_policy", Action.ANSWER)), a_contact(1, channel=Channel.PHONE)]
    last = last_contact(contacts, NOW)
    assert last is not None
    assert last.channel is Channel.PHONE
    assert last_contact([a_contact(30)], NOW) is None
    assert last_contact([], NOW) is None


def recalled(
    *contacts: Contact, intent: str | None = None, never: tuple[str, ...] = (), told: tuple[str, ...] = ()
) -> Recall | None:
    last, unresolved = last_contact(contacts, NOW), unresolved_topics(contacts, NOW)
    return recall(last, unresolved, intent=intent, now=NOW, means=lambda i: f"<{i}>", never=never, told=told)


def test_yesterdays_open_topic_is_offered_and_a_yes_takes_it_up():
    found = recalled(a_contact(1, decided("warranty_claim", Action.ESCALATE)), intent="order_status")
    assert found is not None
    assert (found.line, found.slots) == ("recall.offer.yesterday", {"means": "<warranty_claim>"})
    assert found.want is not None
    assert found.want.intent == "warranty_claim"


@pytest.mark.parametrize(
    ("days", "when"), [(0.1, "today"), (0.5, "yesterday"), (1.2, "yesterday"), (2, "week"), (6.9, "week")]
)
def test_the_same_question_again_is_said_with_when(days: float, when: str):
    found = recalled(a_contact(days, decided("order_status", Action.ANSWER)), intent="order_status")
    assert found == Recall(line=f"recall.same.{when}", slots={}, want=None)


def test_something_else_left_open_is_worth_more_than_the_same_question_again():
    left = a_contact(1, decided("order_status", Action.ANSWER), decided("warranty_claim", Action.ESCALATE))
    found = recalled(left, intent="order_status")
    assert found is not None
    assert found.want is not None
    assert found.want.intent == "warranty_claim"
    both = a_contact(1, decided("order_status", Action.ESCALATE), decided("warranty_claim", Action.ESCALATE))
    found = recalled(both, intent="order_status")
    assert found == Recall(line="recall.same.yesterday", slots={}, want=None)


@pytest.mark.parametrize(
    ("contact", "intent", "never", "told"),
    [
        (None, "order_status", (), ()),
        (a_contact(1, decided("return_policy", Action.ANSWER)), "order_status", (), ()),  # settled
        (a_contact(7, decided("warranty_claim", Action.ESCALATE)), "order_status", (), ()),  # long ago
        (a_contact(1, decided("complaint", Action.ESCALATE)), "order_status", ("complaint",), ()),
        (a_contact(1, decided("complaint", Action.ESCALATE)), "complaint", ("complaint",), ()),
        (a_contact(1, decided("warranty_claim", Action.ESCALATE)), "order_status", (), (TOLD,)),  # once
    ],
)
def test_otherwise_nothing_is_said(
    contact: Contact | None, intent: str, never: tuple[str, ...], told: tuple[str, ...]
):
    contacts = () if contact is None else (contact,)
    assert recalled(*contacts, intent=intent, never=never, told=told) is None
