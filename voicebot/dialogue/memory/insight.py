"""What follows from earlier conversations, each with the moment from which it no longer does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from voicebot.core.conversation import Channel, Strict
from voicebot.dialogue.memory.contact import Contact

REPEAT = timedelta(days=7)
"""A second contact about the same thing within this time means that the first did not settle it."""
MOOD = timedelta(days=14)
OPEN = timedelta(days=30)


class LastContact(Strict):
    """The conversation before this one."""

    channel: Channel
    at: datetime
    topics: tuple[str, ...]
    handed_over: bool
    expires_at: datetime


class RepeatContact(Strict):
    """An intent that came up in ``contacts`` earlier conversations within seven days."""

    intent: str
    contacts: int
    expires_at: datetime


class UnresolvedTopic(Strict):
    """Something the bot could not settle."""

    intent: str
    at: datetime
    expires_at: datetime


class Mood(Strict):
    """How the customer sounded at the end of the last conversation, -1..1."""

    sentiment: float
    expires_at: datetime


def last_contact(earlier: Sequence[Contact], now: datetime) -> LastContact | None:
    """The newest conversation within the time that open topics count."""
    newest = max(earlier, key=lambda contact: contact.last_at, default=None)
    if newest is None or newest.last_at + OPEN <= now:
        return None
    return LastContact(
        channel=newest.channel,
        at=newest.last_at,
        topics=tuple(topic.intent for topic in newest.topics),
        handed_over=newest.handed_over,
        expires_at=newest.last_at + OPEN,
    )


def repeat_contact(earlier: Sequence[Contact], intent: str, now: datetime) -> RepeatContact | None:
    """Whether he comes about the same thing again."""
    times = [
        topic.at
        for contact in earlier
        for topic in contact.topics
        if topic.intent == intent and now - REPEAT < topic.at
    ]
    if not times:
        return None
    return RepeatContact(intent=intent, contacts=len(times), expires_at=max(times) + REPEAT)


def unresolved_topics(earlier: Sequence[Contact], now: datetime) -> tuple[UnresolvedTopic, ...]:
    """What is still open, newest first.

    A later conversation that settled the same thing closes it; so does one in which it was offered to go on
    with it, unless the customer came up with it again.
    """
    newest = {
        topic.intent: topic
        for topic in sorted((t for contact in earlier for t in contact.topics), key=lambda one: one.at)
    }
    offered = {(one.intent, one.at) for contact in earlier for one in contact.offered}
    found = [
        UnresolvedTopic(intent=topic.intent, at=topic.at, expires_at=topic.at + OPEN)
        for topic in newest.values()
        if not topic.resolved
        and topic.at + OPEN > now
        and not any(intent == topic.intent and at >= topic.at for intent, at in offered)
    ]
    return tuple(sorted(found, key=lambda topic: topic.at, reverse=True))


def last_mood(earlier: Sequence[Contact], now: datetime) -> Mood | None:
    """The mood of the last conversation in which it was measured."""
    measured = [(contact.last_at, contact.mood) for contact in earlier if contact.mood is not None]
    at, mood = max(measured, default=(now, None))
    if mood is None or at + MOOD <= now:
        return None
    return Mood(sentiment=mood, expires_at=at + MOOD)
