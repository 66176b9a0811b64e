"""A conversation that is over leaves its shape: intents, outcomes, how it ended; no word of it."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import (
    Action,
    Channel,
    Decision,
    MonitorScores,
    Route,
    ToolRead,
    Urgency,
)
from voicebot.dialogue.shape import shape_of

SHIPPED = ToolRead(tool="order_status", arguments={"order_number": "427103"}, result={"outcome": "shipped"})
NOTED = ToolRead(tool="follow_up", arguments={"contact": "2025550123"}, result={"outcome": "promised"})


def made(intent: str, action: Action = Action.ANSWER, **more: object) -> Decision:
    facts = {"intent": intent, "tier": 0, "action": action, "route": Route.FIXED, "policy_row": "r"}
    return Decision.model_validate({**facts, **more})


def shaped(*turns: Decision):
    return shape_of(
        turns,
        channel=Channel.PHONE,
        verified=True,
        region="hawaii",
        is_topic=lambda intent: intent not in {"thanks", "goodbye"},
    )


@pytest.mark.parametrize(
    ("turns", "resolution"),
    [
        ((made("warranty"), made("goodbye", Action.END)), "answered"),
        ((made("order_status", tools=(SHIPPED,)),), "answered"),
        ((made("warranty", Action.ABSTAIN), made("warranty", Action.ACT, tools=(NOTED,))), "call_back"),
        ((made("cancel_order", Action.ESCALATE, trigger="policy:cancel_order"),), "person"),
        ((made("warranty", Action.PROPOSE),), "proposed"),
        ((made("warranty", Action.CLARIFY),), "abandoned"),
    ],
)
def test_how_it_ended(turns: tuple[Decision, ...], resolution: str) -> None:
    """By what was done last, and by whom."""
    assert shaped(*turns)[1] == resolution


def test_the_shape_holds_closed_sets_and_nothing_else() -> None:
    """Intents once each, tools by outcome, the highest urgency, the mood; no argument of a tool."""
    scores = MonitorScores(sentiment=-0.8, urgency=Urgency.HIGH)
    shape, _ = shaped(
        made("order_status", tools=(SHIPPED,), scores=scores, category="orders"),
        made("order_status"),
        made("thanks"),
        made("complaint", Action.ESCALATE, trigger="policy:complaint"),
    )
    assert shape is not None
    assert shape.features() == [
        "category:orders",
        "channel:phone",
        "intent:complaint",
        "intent:order_status",
        "mood:low",
        "region:hawaii",
        "tool:order_status.shipped",
        "trigger:policy",
        "urgency:high",
        "verified:yes",
    ]
    assert "427103" not in str(shape)


def test_a_call_about_nothing_leaves_nothing() -> None:
    """A greeting and a goodbye; or a name that is no slug."""
    assert shaped(made("goodbye", Action.END))[0] is None
    odd = ToolRead(tool="Tool 7", arguments={}, result={"outcome": "x"})
    assert shaped(made("warranty", tools=(odd,)))[0] is None
