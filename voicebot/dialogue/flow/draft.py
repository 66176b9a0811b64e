"""A turn as it was settled: what is decided, what will be said, what the state becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from voicebot.core.conversation import (
    FREE,
    Action,
    Confidences,
    Decision,
    Expects,
    FiredTrigger,
    MonitorScores,
    Route,
    Source,
    ToolRead,
    Versions,
)
from voicebot.core.store.proposals import Consent, Proposed
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.flow.speech import Part
from voicebot.dialogue.flow.trial import Trial
from voicebot.dialogue.state import Asked, ConversationState
from voicebot.safety.guard_in import GuardReading
from voicebot.safety.identity import VerifiedCustomer

After = Literal["continue", "hang_up", "hand_over", "pay", "keypad"]
"""What the call does when the words were spoken. ``pay``, ``keypad``: a card is taken, there or here."""
Gap = Literal["no_grounding", "weak_grounding", "ambiguous", "out_of_scope"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened in a turn, for events and audit. ``data`` holds nothing personal."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ActOutcome:
    """What came of a deed: ``done``, ``refused`` (a rule said no) or ``failed``, with its plain values.

    ``unknown``: it was sent to a remote system and may have been made; a person looks.
    """

    status: Literal["done", "refused", "failed", "unknown"]
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What the caller agreed to with this turn: the call on the terms that were read back, for whom, how."""

    proposed: Proposed = field(repr=False)
    prepared: Prepared = field(repr=False)
    customer: VerifiedCustomer = field(repr=False)
    segment: str | None
    by: Consent


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A proposal that a turn makes. ``waits``: for a person's approval, before it is read back."""

    proposed: Proposed = field(repr=False)
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What becomes of a proposal that a turn leaves behind, and why; else it is voided by another turn."""

    status: Literal["declined", "voided"]
    reason: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What a turn does when it is committed, and what it says then.

    ``kind`` is ``act`` (a local write, in the commit's transaction), ``read`` (a tool whose reading
    changes something, such as a counted try) or ``change`` (a writing tool, with what was ``agreed`` to).
    ``then`` makes the turn from the outcome and is pure: nothing an acting turn says can stand before its
    act.
    """

    kind: Literal["act", "read", "change"]
    name: str
    arguments: dict[str, Any] = field(repr=False)
    then: Callable[[ActOutcome], Draft] = field(repr=False)
    agreed: Agreed | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Approval:
    """Words that a person must approve first: stored with the turn, due after ``within_s`` seconds.

    ``sources``: articles that the words are from. ``proposal``: what waits is this act, and ``words`` its
    read-back.
    """

    draft: str
    question: str
    words: str
    within_s: float
    sources: tuple[str, ...] = ()
    proposal: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """The whole outcome of planning one turn, before it is numbered and committed.

    With a ``deed``, ``parts``, ``state`` and the rest are what stands if it cannot even be tried; the
    turn itself comes from ``deed.then``.
    """

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
    evidence: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """What the trigger fired on: facts and numbers."""
    fired: FiredTrigger | None = None
    """The trigger as it is stored; made when the turn is whole."""
    urgency: str = "normal"
    after: After = "continue"
    facts: tuple[Fact, ...] = ()
    owner: str | None = None
    form: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What is known for the specialist, when the turn routes or escalates."""
    deed: Deed | None = None
    approval: Approval | None = None
    decides: tuple[str, str, str] | None = None
    """A draft that this turn settles: (id, verdict, by whom)."""
    takes: str | None = None
    """A whisper that this turn takes up."""
    proposal: NewProposal | None = None
    reads_again: bool = False
    """The proposal that is asked about is read back again, whole."""
    approves: tuple[str, str] | None = None
    """A proposal that waited and is read back now: (id, by whom it was approved)."""
    leaves: Left | None = None
    trial: Trial | None = None
    """What is tried at the identity gate; the turn stands if that comes out as planned."""
    gap: Gap | None = None
    """Why nothing could be answered, to be counted at commit."""
    question: str = ""
    """What was looked for, with a gap."""
    remembers: bool | None = None
    """Whether the verified customer wants to be remembered; None on turns that did not read it."""
    gave: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Values given in this turn that may be remembered."""
    offered: tuple[str, ...] = ()
    """Intents left open in an earlier conversation that this turn offers to go on with."""
    writer: tuple[str, str] | None = None
    """Who writes the words, and the version of the prompt."""
    settles: tuple[str, Literal["left", "stopped", "unknown"]] | None = None
    """A payment that this turn ends without money: (id, how)."""
    unspoken: bool = False
    """Recorded, but there is nothing to say."""
    category: str = ""
    scores: MonitorScores | None = None
    guarded: GuardReading | None = None
    """What the input guard said of the caller's words, if they were not simply allowed."""

    def decision(self, versions: Versions) -> Decision:
        """What is stored, compared by replay, and shown."""
        return Decision(
            intent=self.intent,
            category=self.category,
            scores=self.scores,
            versions=versions
            if self.writer is None
            else versions.model_copy(update={"writer": self.writer[0], "prompt": self.writer[1]}),
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
            fired=self.fired,
            owner=self.owner,
            gap=self.gap,
        )
