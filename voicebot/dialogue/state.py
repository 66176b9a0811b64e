"""What the dialogue knows of one conversation: one strict model, stored as a row with a version.

Read at each turn, written with it; nothing about a conversation lives in a process. What was
said and what was heard are kept apart: `OpenTurn` holds what becomes true when its words were
heard, and `owed` the must-say facts that were not.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.dialogue.generation.request import Exchange
from voicebot.dialogue.monitor.monitor import Want
from voicebot.safety.identity import GateProgress

SCHEMA_VERSION = 1
HISTORY = 6
"""Exchanges kept for generation."""


class UnknownState(Exception):
    """A stored state of another schema version: this server must not touch it."""


class AskedKind(StrEnum):
    """What kind of question the caller was last asked."""

    OPEN = "open"
    FACTOR = "factor"
    MORE = "more"
    CONFIRM = "confirm"
    PERSON = "person"
    WAITING = "waiting"


class Asked(Strict):
    """A question put to the caller. ``factor`` for FACTOR, ``want`` for CONFIRM and WAITING."""

    kind: AskedKind
    factor: str | None = None
    want: Want | None = None


class Owed(Strict):
    """A fact the caller must hear: ``key`` names it (and its short line ``owed.KEY``), ``text`` as said."""

    key: str
    text: str


class OpenTurn(Strict):
    """A committed turn whose words are not known to have been heard yet."""

    turn: int
    text: str | None = None
    """All its words, when they were known at commit."""
    caller: str = ""
    owes: tuple[Owed, ...] = ()
    asked: Asked | None = None
    question: str = ""
    """The words of the question, to see whether it was heard."""
    tells: tuple[str, ...] = ()


class ConversationState(Strict):
    """The state of one conversation."""

    schema_version: Literal[1] = SCHEMA_VERSION
    greeted: bool = False
    topic: Want | None = None
    """What is being worked on and not answered yet."""
    waiting: tuple[Want, ...] = ()
    """Wants that were named and put off."""
    asked: Asked | None = None
    """The last question the caller heard."""
    gate: GateProgress = Field(default_factory=GateProgress)
    owed: tuple[Owed, ...] = ()
    told: tuple[str, ...] = ()
    """Keys of facts the caller has heard."""
    last_said: str | None = None
    """What "say that again" repeats."""
    history: tuple[Exchange, ...] = ()
    cut_off: str | None = None
    """The caller's last words, if they talked over the answer: what follows may belong to them."""
    not_heard: int = 0
    not_understood: int = 0
    asked_more: int = 0
    open_turns: tuple[OpenTurn, ...] = ()
    handoff: str | None = None
    ending: bool = False


def new_state() -> dict[str, Any]:
    """The state of a conversation that has just begun."""
    return dump(ConversationState())


def dump(state: ConversationState) -> dict[str, Any]:
    """The state as plain JSON values."""
    return state.model_dump(mode="json")


def load(stored: dict[str, Any]) -> ConversationState:
    """The state from plain JSON values.

    Raises:
        UnknownState: another schema version, or fields this server does not know.
    """
    if stored.get("schema_version") != SCHEMA_VERSION:
        raise UnknownState(
            f"the conversation's state has schema version {stored.get('schema_version')}, this server "
            f"reads {SCHEMA_VERSION}: finish its calls on the version that wrote it"
        )
    try:
        return ConversationState.model_validate_json(json.dumps(stored))
    except ValidationError as error:
        fields = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
        raise UnknownState(
            f"the conversation's state does not fit this server: {', '.join(fields)}"
        ) from None
