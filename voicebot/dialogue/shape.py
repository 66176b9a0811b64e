"""A conversation that is over, reduced to its shape: closed sets only. Pure.

What others like it can be compared with (`knowledge/similar.py`); no word, name or number is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import ValidationError

from voicebot.core.conversation import Action, Channel, Decision, Urgency
from voicebot.dialogue.knowledge.similar import Resolution, Shape

LOW, HIGH = -0.3, 0.3
_ORDER = (Urgency.LOW, Urgency.NORMAL, Urgency.HIGH, Urgency.CRITICAL)
_MOST = 8


def shape_of(
    turns: Sequence[Decision],
    *,
    channel: Channel,
    verified: bool,
    region: str | None,
    is_topic: Callable[[str], bool],
) -> tuple[Shape | None, Resolution]:
    """What happened, and how it ended. None for one that was about nothing, or has no shape.

    Args:
        turns: all decisions, oldest first.
        channel: how it came in.
        verified: whether the caller passed the gate.
        region: from the system of record.
        is_topic: whether an intent is a question of its own.
    """
    topics = [turn for turn in turns if is_topic(turn.intent)]
    if not topics:
        return None, "abandoned"
    tools = [
        f"{call.tool}.{call.result['outcome']}"
        for turn in turns
        for call in turn.tools
        if call.result is not None and "outcome" in call.result
    ]
    scores = [turn.scores for turn in turns if turn.scores is not None]
    mood = sum(score.sentiment for score in scores) / len(scores) if scores else 0.0
    trigger = next((turn.trigger for turn in reversed(turns) if turn.trigger), None)
    try:
        shape = Shape(
            category=topics[0].category or None,
            intents=tuple(dict.fromkeys(turn.intent for turn in topics))[:_MOST],
            tools=tuple(dict.fromkeys(tools))[:_MOST],
            channel=channel,
            verified=verified,
            urgency=max((score.urgency for score in scores), key=_ORDER.index, default=Urgency.NORMAL),
            mood="low" if mood <= LOW else "high" if mood >= HIGH else "even",
            trigger=trigger.partition(":")[0] if trigger else None,
            region=region,
        )
    except ValidationError:  # a name of the deployment's that is no slug: nothing a turn may fail for
        return None, "abandoned"
    return shape, _resolution(topics, trigger)


def _resolution(topics: Sequence[Decision], trigger: str | None) -> Resolution:
    if trigger is not None:
        return "person"
    actions = [turn.action for turn in topics]
    if any(call.tool == "follow_up" and call.result for turn in topics for call in turn.tools):
        return "call_back"
    if Action.ACT in actions:
        return "acted"
    if actions[-1] is Action.PROPOSE:
        return "proposed"
    return "answered" if Action.ANSWER in actions else "abandoned"
