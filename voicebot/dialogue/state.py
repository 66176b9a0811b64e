"""What the dialogue knows of one conversation: one strict model, stored as a row with a version.

Read at each turn, written with it; nothing about a conversation lives in a process. What was
said and what was heard are kept apart: `OpenTurn` holds what becomes true when its words were
heard, and `owed` the must-say facts that were not.

A state that an older server wrote is brought up step by step (`UPGRADES`) when it is read, and
written in today's form by the next commit. One of a newer server is refused and left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.dialogue.generation.request import Exchange
from voicebot.dialogue.monitor.course import Course
from voicebot.dialogue.monitor.monitor import Want
from voicebot.safety.guard_in import Conduct
from voicebot.safety.identity import GateProgress
from voicebot.safety.pii.masking import Carry
from voicebot.safety.triggers import Risk

SCHEMA_VERSION = 3
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
    CHOICE = "choice"
    """This or that: one of two things the caller may have meant."""
    PROPOSAL = "proposal"
    """Whether the bot shall do something."""
    CONTACT = "contact"
    """The number at which the caller can be reached."""
    SLOT = "slot"
    """A value that an act needs."""
    CALL_TIME = "call_time"
    """When the caller shall be called back."""
    MESSAGE = "message"
    """Nothing: the caller leaves a message."""


class Option(Strict):
    """One answer to a CHOICE: how it was named, and what is looked up if it is chosen."""

    named: str
    want: Want
    article: str | None = None


class Proposal(Strict):
    """An act the bot has offered to do and waits for a yes.

    ``essentials`` are the words of the read-back that the caller must have heard for a yes to count.
    """

    act: str
    arguments: dict[str, Any]
    want: Want
    essentials: tuple[str, ...] = ()
    heard: bool = False
    """The last essential was heard."""


class Asked(Strict):
    """A question put to the caller.

    ``factor`` for FACTOR; ``want`` for CONFIRM, WAITING, CONTACT, CALL_TIME and MESSAGE, and for PERSON when
    a person was offered because this want could not be answered; ``options`` for CHOICE; ``proposal`` or
    ``proposes`` (the id of a stored proposal, `voicebot.core.store.proposals`) for PROPOSAL; ``slot`` for
    SLOT.
    """

    kind: AskedKind
    factor: str | None = None
    want: Want | None = None
    options: tuple[Option, ...] = ()
    proposal: Proposal | None = None
    proposes: str | None = None
    slot: str | None = None


class Filling(Strict):
    """An act whose values are being asked for, one by one. ``values``: as they will be given to its tool."""

    want: Want
    tool: str
    values: dict[str, Any] = Field(default_factory=dict[str, Any])
    asked: tuple[str, ...] = ()
    """Names of the values that were asked for, once for each time."""
    offered: dict[str, Any] = Field(default_factory=dict[str, Any])
    """A value that the records offered instead of the one that was given: a yes takes it."""


class Calling(Strict):
    """We made this call: what for, and what was promised.

    ``callback``: its id (`core.store.callbacks`). ``want``: what it is about, as it was said then, with
    tokens. ``person``: a colleague was promised, of the team ``owner``. ``earlier``: the conversation that
    it comes from.
    """

    callback: str
    purpose: str
    want: Want
    person: bool = False
    owner: str | None = None
    earlier: str | None = None


class Page(Strict):
    """An article that was told, of which a link can be sent."""

    article: str
    title: str


class Acting(Strict):
    """An act on a remote system whose outcome is not known yet: the turn that did it waits for it."""

    key: str
    want: Want
    tool: str


class Pending(Strict):
    """A slow tool that a committed turn left at work. ``moved_on``: the caller wants something else now."""

    task: str
    tool: str
    want: Want
    turn: int
    moved_on: bool = False


class HeldWords(Strict):
    """Words that a person has to approve before they may be said, until ``due_at`` (None: an older state)."""

    draft: str
    want: Want
    words: str
    turn: int
    tier: int = 0
    due_at: datetime | None = None
    proposes: str | None = None
    """What waits is an act, not words: the id of its proposal."""


class Note(Strict):
    """What an agent wants said with the next answer about ``intent`` (None: with the next of all), once."""

    whisper: str
    agent: str
    text: str
    intent: str | None = None


class Paying(Strict):
    """A card payment that is under way: its id (`core.store.payments`), and what the caller wanted."""

    payment: str
    want: Want


class CustomerFacts(Strict):
    """What the system of record says of the verified customer, as far as policy needs it."""

    segment: str | None = None
    region: str | None = None


class Owed(Strict):
    """A fact the caller must hear: ``key`` names it (and its short line ``owed.KEY``), ``text`` as said."""

    key: str
    text: str


class HearingMemory(Strict):
    """What has failed of hearing in this call: how often, by kind of question, less what worked since.

    The kinds are ``digits``, ``yes_no``, ``choice`` and ``open``. ``voice``: no usable words came of sound;
    ``keys``: keys that were no answer.
    """

    voice: dict[str, int] = Field(default_factory=dict[str, int])
    keys: dict[str, int] = Field(default_factory=dict[str, int])


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
    resolves: bool = True
    """It answered, did or handed on what was wanted; a question back does not."""
    tells: tuple[str, ...] = ()


class ConversationState(Strict):
    """The state of one conversation."""

    schema_version: Literal[3] = SCHEMA_VERSION
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
    """Turns in a row of which no usable words came."""
    hearing: HearingMemory = Field(default_factory=HearingMemory)
    not_understood: int = 0
    asked_more: int = 0
    open_turns: tuple[OpenTurn, ...] = ()
    handoff: str | None = None
    ending: bool = False
    slots: dict[str, str] = Field(default_factory=dict[str, str])
    """What the caller has given besides the gate's factors, by name: never asked for again."""
    clarified: tuple[str, ...] = ()
    """Keys of clarifying questions that were put: none is put twice."""
    pending: tuple[Pending, ...] = ()
    held: tuple[HeldWords, ...] = ()
    notes: tuple[Note, ...] = ()
    avoided: tuple[str, ...] = ()
    """Intents that an agent has taken from the bot in this conversation."""
    steered: str | None = None
    """The topic that an agent wants offered next."""
    promised: tuple[str, ...] = ()
    """Intents for which something was promised."""
    filling: Filling | None = None
    acting: tuple[Acting, ...] = ()
    calling: Calling | None = None
    message: str | None = None
    """The follow-up of the message that is being left."""
    pages: tuple[Page, ...] = ()
    """Articles that were told, the newest last."""
    paying: Paying | None = None
    refused_cards: int = 0
    """Card payments of this conversation that came to nothing."""
    customer: CustomerFacts | None = None
    """After the gate only."""
    answered: Want | None = None
    """What was answered last: "tell me more" is about it."""
    vulnerable: bool = False
    """The caller has sounded as if somebody could come to harm."""
    strained: bool = False
    """The conversation goes in circles, or the caller's mood falls."""
    conduct: Conduct = Conduct()
    """What the guards have seen of it."""
    course: Course = Course()
    """How it has gone over the last turns."""
    risk: Risk = Risk()
    """Signs of trouble that there were."""
    carry: Carry | None = None
    """Digits at the end of the last utterance that may go on in the next: the token that holds them."""


def new_state() -> dict[str, Any]:
    """The state of a conversation that has just begun."""
    return dump(ConversationState())


def dump(state: ConversationState) -> dict[str, Any]:
    """The state as plain JSON values."""
    return state.model_dump(mode="json")


def load(stored: dict[str, Any]) -> ConversationState:
    """The state from plain JSON values, brought up to this version.

    Raises:
        UnknownState: a version this server cannot bring up, or fields it does not know.
    """
    while (step := UPGRADES.get(stored.get("schema_version", 0))) is not None:
        stored = step(stored)
    if stored.get("schema_version") != SCHEMA_VERSION:
        raise UnknownState(
            f"the conversation's state has schema version {stored.get('schema_version')}, this server "
            f"reads {SCHEMA_VERSION} and older: finish its calls on the version that wrote it"
        )
    try:
        return ConversationState.model_validate_json(json.dumps(stored))
    except ValidationError as error:
        fields = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
        raise UnknownState(
            f"the conversation's state does not fit this server: {', '.join(fields)}"
        ) from None


def _from_1(stored: dict[str, Any]) -> dict[str, Any]:
    """Version 2 adds fields, all with a default that means "nothing of the kind yet"."""
    return {**stored, "schema_version": 2}


def _from_2(stored: dict[str, Any]) -> dict[str, Any]:
    """Version 3 holds tokens where digits stood: the next commit puts them there."""
    return {**stored, "schema_version": 3}


UPGRADES: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
"""One step per version that was ever stored: from it to the next."""
