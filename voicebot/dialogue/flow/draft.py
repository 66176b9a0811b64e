"""A turn as it was settled: what is decided, what will be said, what the state becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from voicebot.core.conversation import FREE, Action, Confidences, Decision, Expects, Route, Source, ToolRead
from voicebot.dialogue.flow.speech import Part
from voicebot.dialogue.state import Asked, ConversationState

After = Literal["continue", "hang_up", "hand_over"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened in a turn, for events and audit. ``data`` holds nothing personal."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """The whole outcome of planning one turn, before it is numbered and committed."""

    state: ConversationState
    intent: str
    action: Action
    route: Route
    row: str
    parts: tuple[Part, ...]
    tier: int = 0
    reasons: tuple[str, ...] = ()
    confidences: Confidences = Confidences()  # noqa: RUF009  # frozen
    expects: Expects = FREE
    asked: Asked | None = None
    sources: tuple[Source, ...] = ()
    tools: tuple[ToolRead, ...] = ()
    tells: tuple[str, ...] = ()
    trigger: str | None = None
    urgency: str = "normal"
    after: After = "continue"
    facts: tuple[Fact, ...] = ()

    def decision(self) -> Decision:
        """What is stored, compared by replay, and shown."""
        return Decision(
            intent=self.intent,
            confidences=self.confidences,
            tier=self.tier,
            action=self.action,
            route=self.route,
            expects=self.expects,
            policy_row=self.row,
            reasons=self.reasons,
            sources=self.sources,
            tools=self.tools,
            trigger=self.trigger,
        )
