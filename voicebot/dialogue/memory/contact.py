"""What a conversation was about and how it went, without a word of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from voicebot.core.conversation import Action, Channel, Decision, Strict

MOODS = 5
"""Sentiments kept per conversation, the newest last."""

_SETTLES = frozenset({Action.ANSWER, Action.ACT})
_LEAVES_OPEN = frozenset(
    {
        Action.ESCALATE,
        Action.ROUTE,
        Action.FOLLOW_UP,
        Action.ABSTAIN,
        Action.DRAFT,
        Action.PROPOSE,
        Action.CLARIFY,
    }
)
_GUESSED = frozenset({"lost", "unsure"})
"""Bands of a policy row in which an intent is the monitor's guess, and nothing the caller has said."""


class Topic(Strict):
    """One intent of a conversation. ``resolved``: the bot could answer or do it, as far as it knows."""

    intent: str
    at: datetime
    resolved: bool


class Offered(Strict):
    """An intent that was left open earlier and was brought up in a conversation: once is enough."""

    intent: str
    at: datetime


class Contact(Strict):
    """One conversation of a customer. Its beginning is the database's time, its turns' the orchestrator's."""

    channel: Channel
    began_at: datetime
    last_at: datetime
    topics: tuple[Topic, ...] = ()
    moods: tuple[float, ...] = ()
    handed_over: bool = False
    offered: tuple[Offered, ...] = ()

    @property
    def mood(self) -> float | None:
        """How the customer sounded in the end, -1..1; None: nothing measured it."""
        last = self.moods[-3:]
        return round(sum(last) / len(last), 3) if last else None

    def offering(self, intents: Sequence[str], at: datetime) -> Contact:
        """The contact after these intents, left open in an earlier one, were brought up."""
        offered = tuple(Offered(intent=intent, at=at) for intent in intents)
        return self.model_copy(update={"offered": (*self.offered, *offered)})

    def after(self, decision: Decision, at: datetime, *, is_topic: bool) -> Contact:
        """The contact after one more turn. ``is_topic``: the intent is a question of its own.

        What the monitor only guessed is no topic: the caller may never have asked it.
        """
        topics = {topic.intent: topic for topic in self.topics}
        known = not _GUESSED & set(decision.policy_row.split("/"))
        if is_topic and known and (decision.action in _SETTLES or decision.action in _LEAVES_OPEN):
            topics[decision.intent] = Topic(
                intent=decision.intent, at=at, resolved=decision.action in _SETTLES
            )
        moods = self.moods
        if decision.scores is not None:
            moods = (*moods, decision.scores.sentiment)[-MOODS:]
        return self.model_copy(
            update={
                "last_at": at,
                "topics": tuple(topics.values()),
                "moods": moods,
                "handed_over": self.handed_over or decision.trigger is not None,
            }
        )


def contact_of(
    turns: list[tuple[Decision, datetime]], channel: Channel, *, is_topic: Any, began_at: datetime
) -> Contact:
    """A whole conversation so far. ``is_topic(intent)`` says whether an intent is a question of its own."""
    contact = Contact(channel=channel, began_at=began_at, last_at=began_at)
    for decision, at in turns:
        contact = contact.after(decision, at, is_topic=is_topic(decision.intent))
    return contact
