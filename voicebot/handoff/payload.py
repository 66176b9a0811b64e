"""What a person gets who takes over: one versioned, strict schema. Pure.

`schema` is the JSON schema that ``GET /api/handoffs/schema`` publishes; `read` opens what is stored, also
what an older version stored.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from voicebot.core.conversation import FiredTrigger, Source, Strict, ToolRead
from voicebot.dialogue.knowledge.similar import Case

PAYLOAD_VERSION = 3


class UnknownPayload(ValueError):
    """A stored payload is of a version that this server does not know."""


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
    """What the bot thought of one turn: confidences 0..1, sentiment -1..1; None: not measured."""

    turn: int
    intent: str
    classification: float | None
    grounding: float | None
    answer: float | None
    sentiment: float | None = None


class Scores(Strict):
    """``moment``: of the turn that handed over; None if no turn did. ``turns``: of all that were measured."""

    moment: TurnScore | None
    turns: tuple[TurnScore, ...] = ()


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


class Lost(Strict):
    """A pattern that did not become the next action, and why not."""

    pattern: str
    why: str


class Choice(Strict):
    """Why the next action is what it is: its pattern, which conditions held, which patterns lost to it."""

    pattern: str
    matched: tuple[str, ...]
    lost: tuple[Lost, ...] = ()
    reviewed_by: str
    reviewed_on: date


class Summary(Strict):
    """In the agent's format, a sentence or two each.

    ``written_by``: ``composed``, or the language model by its name. ``next``: of the reviewed patterns.
    """

    issue: str = Field(min_length=1)
    tried: str = Field(min_length=1)
    mood: str = Field(min_length=1)
    next: str = Field(min_length=1)
    written_by: str = Field(min_length=1)

    @property
    def text(self) -> str:
        """All four in a row."""
        return f"{self.issue} {self.tried} {self.mood} {self.next}"


class Payload(Strict):
    """The whole payload, version 3.

    ``trigger``: what fired, with its evidence and times; ``reason``: the same in words. ``about``: what the
    caller called about, in words. ``specialist``: the team that policy sends it to, None for whoever is free;
    ``form``: what is known for them, by field; a field that ends in ``_as_said`` is the caller's word and not
    checked. ``channel``: how the conversation came in.
    """

    version: Literal[3] = PAYLOAD_VERSION
    conversation: str
    channel: str
    transcript: tuple[Line, ...]
    tool_calls: tuple[ToolCall, ...]
    scores: Scores
    trigger: FiredTrigger
    reason: str
    urgency: Literal["low", "normal", "high", "critical"]
    identity: Identity
    about: tuple[str, ...] = ()
    tried: tuple[str, ...]
    citations: tuple[Source, ...]
    specialist: str | None = None
    form: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    similar: tuple[Case, ...] = ()
    """How conversations that went like this one were resolved, the likest first."""
    next_action: str = Field(min_length=1)
    choice: Choice
    summary: Summary
    policy_version: str


def plain(payload: Payload) -> dict[str, Any]:
    """As JSON values, for storing."""
    return payload.model_dump(mode="json")


def schema() -> dict[str, Any]:
    """The JSON schema of what `plain` gives."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:voicebot:handoff-payload:{PAYLOAD_VERSION}",
        **Payload.model_json_schema(mode="serialization"),
    }


def read(stored: dict[str, Any], at: datetime) -> Payload:
    """A stored payload in today's version.

    Args:
        stored: as `plain` gave it, of this version or the one before.
        at: when it was stored: what an older version did not keep of its trigger.

    Raises:
        UnknownPayload: another version, or not a payload.
    """
    version = stored.get("version")
    if version == PAYLOAD_VERSION - 1:
        stored = _from_2(stored, at)
    elif version != PAYLOAD_VERSION:
        raise UnknownPayload(
            f"payload version {version!r}: this server reads {PAYLOAD_VERSION - 1} and {PAYLOAD_VERSION}"
        )
    try:
        return Payload.model_validate_json(json.dumps(stored))
    except ValidationError as error:
        where = ", ".join(sorted({str(one["loc"][0]) if one["loc"] else "?" for one in error.errors()}))
        raise UnknownPayload(f"payload version {version} with wrong fields: {where}") from error


def _from_2(stored: dict[str, Any], at: datetime) -> dict[str, Any]:
    when, trigger = at.isoformat(), str(stored.get("trigger") or "unknown")
    turns = stored.get("scores") or []
    text = str(stored.get("next_action") or "")
    summary = str(stored.get("summary") or "?")
    return {
        **stored,
        "version": PAYLOAD_VERSION,
        "channel": "phone",
        "scores": {"moment": turns[-1] if turns else None, "turns": turns},
        "trigger": {
            "name": trigger,
            "evidence": {},
            "at": when,
            "first_sign_at": when,
            "first_sign": trigger,
        },
        "reason": trigger.replace("_", " "),
        "choice": {
            "pattern": "version 2",
            "matched": [],
            "reviewed_by": "-",
            "reviewed_on": at.date().isoformat(),
        },
        "summary": {
            "issue": summary,
            "tried": "-",
            "mood": "-",
            "next": text or "-",
            "written_by": "composed",
        },
    }
