"""What a turn of the real dialogue showed. Values only."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from voicebot.core.conversation import Strict


class GotTool(Strict):
    """One tool call as it happened."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    result: dict[str, Any] | None = None
    error: str | None = None


class GotHandoff(Strict):
    """The handoff that a turn stored."""

    trigger: str
    urgency: str
    tells: str = ""
    """Summary, reason and next action."""


class Got(Strict):
    """One turn of the bot."""

    intent: str
    category: str = ""
    tier: int
    action: str
    route: str
    expects: str = "free"
    row: str
    trigger: str | None = None
    urgency: str | None = None
    sentiment: float | None = None
    confidence: float | None = None
    """Of the intent; shown, never compared."""
    sources: tuple[str, ...] = ()
    tools: tuple[GotTool, ...] = ()
    handoff: GotHandoff | None = None
    after: str = "continue"
    verified: bool = False
    said: str
