"""Whether to mention the last conversation, and how. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal

from voicebot.core.conversation import Strict
from voicebot.dialogue.memory.insight import REPEAT, LastContact, UnresolvedTopic
from voicebot.dialogue.monitor.monitor import Want

TOLD = "recall"
"""The key under which a conversation remembers that it was mentioned: once is enough."""

When = Literal["today", "yesterday", "week"]


class Recall(Strict):
    """An approved line about an earlier conversation.

    ``want``: the line asks whether it is about that, and this is what a yes takes up; None: it only says so.
    """

    line: str
    slots: dict[str, str]
    want: Want | None


def recall(
    last: LastContact | None,
    unresolved: tuple[UnresolvedTopic, ...],
    *,
    intent: str | None,
    now: datetime,
    means: Callable[[str], str],
    never: Collection[str] = (),
    told: Collection[str] = (),
) -> Recall | None:
    """What to say about the last conversation, if anything. Call it for a verified customer only.

    Something else that was left open is worth more than that he asks the same again.

    Args:
        last: the conversation before this one.
        unresolved: what was left open, newest first.
        intent: what the caller wants now, None while that is not known.
        now: in the customer's time zone, which decides what "yesterday" is.
        means: how an intent is named to a caller.
        never: intents that are not brought up.
        told: keys of what this conversation has told already.
    """
    if last is None or TOLD in told or now - last.at >= REPEAT:
        return None
    still = [one for one in unresolved if one.intent not in never and now - one.at < REPEAT]
    again = intent is not None and intent in last.topics and intent not in never
    if again and (not still or any(one.intent == intent for one in still)):
        return Recall(line=f"recall.same.{when(last.at, now)}", slots={}, want=None)
    topic = next((one for one in still if one.intent != intent), None)
    if topic is None:
        return None
    meant = means(topic.intent)
    return Recall(
        line=f"recall.offer.{when(topic.at, now)}",
        slots={"means": meant},
        want=Want(intent=topic.intent, confidence=1.0, text=meant),
    )


def when(at: datetime, now: datetime) -> When:
    """How long ago, as people say it."""
    days = (now.date() - at.astimezone(now.tzinfo).date()).days
    return "today" if days <= 0 else "yesterday" if days == 1 else "week"
