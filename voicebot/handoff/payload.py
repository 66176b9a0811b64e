"""What a person gets who takes over: one versioned, strict schema. Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Source, Strict, ToolRead
from voicebot.dialogue.knowledge.similar import Case

PAYLOAD_VERSION = 2


class Line(Strict):
    """One line of the transcript. ``heard``: of the bot's lines, what the caller really heard."""

    turn: int
    who: Literal["caller", "bot"]
    text: str
    heard: bool = True


class ToolCall(Strict):
    """A tool call of the conversation with its result."""

    turn: int
    call: ToolRead


class TurnScore(Strict):
    """What the bot thought of one turn of the caller. Sentiment is None until something measures it."""

    turn: int
    intent: str
    classification: float | None
    grounding: float | None
    answer: float | None
    sentiment: float | None = None


class Identity(Strict):
    """Who the caller is. ``customer`` only if the gate has checked it; ``caller`` is a hint, never proof."""

    verified: bool
    customer: str | None
    reference: str | None
    method: tuple[str, ...]
    tries: int
    given: tuple[str, ...] = ()
    """Which facts the caller gave at least once; never the values."""
    declined: tuple[str, ...] = ()
    locked: bool = False
    level: int = 0
    caller: str | None


class Payload(Strict):
    """The whole payload, version 2.

    ``specialist``: the team it goes to, None for whoever is free. ``form``: what is known for them, by
    field; a field that ends in ``_as_said`` is the caller's word and not checked.
    """

    version: Literal[2] = PAYLOAD_VERSION
    conversation: str
    transcript: tuple[Line, ...]
    tool_calls: tuple[ToolCall, ...]
    scores: tuple[TurnScore, ...]
    trigger: str
    urgency: Literal["low", "normal", "high", "critical"]
    identity: Identity
    tried: tuple[str, ...]
    citations: tuple[Source, ...]
    specialist: str | None = None
    form: dict[str, Any] = Field(default_factory=dict[str, Any])
    similar: tuple[Case, ...] = ()
    """How conversations that went like this one were resolved, the likest first."""
    next_action: str
    summary: str
    policy_version: str


def plain(payload: Payload) -> dict[str, Any]:
    """As JSON values, for storing."""
    return payload.model_dump(mode="json")
