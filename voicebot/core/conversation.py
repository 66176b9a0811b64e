"""The words every room shares: input, expectation, decision, clause, heard, event.

Types only. No asyncio, no SQL, no clock. All models are strict and refuse unknown
fields. Times named ``*_ms`` are integers in milliseconds on the call's media clock
(Twilio's ``media.timestamp``: 0 = the stream began) unless the field says otherwise.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, model_validator


class Strict(BaseModel):
    """Base of every model here: frozen, strict types, unknown fields refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Channel(StrEnum):
    """How a conversation comes in."""

    PHONE = "phone"
    BROWSER = "browser"
    CHAT = "chat"
    SMS = "sms"


class Expects(Strict):
    """What was just asked, so that hearing knows when the answer is complete.

    ``length`` is the number of digits and only set for ``digits``.
    """

    kind: Literal["free", "yes_no", "digits", "date", "name"] = "free"
    length: int | None = Field(default=None, ge=1, le=32)


FREE = Expects()


# --- what causes a turn ---------------------------------------------------------------


class CallStarted(Strict):
    """The media stream is up. ``resumed`` after a lost socket of the same call."""

    kind: Literal["call_started"] = "call_started"
    resumed: bool = False


class Utterance(Strict):
    """One turn of the caller, in words. ``confidence`` in 0..1, None if the engine has none."""

    kind: Literal["utterance"] = "utterance"
    text: str
    confidence: float | None = None
    alternatives: tuple[str, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    started_ms: int | None = None
    last_voiced_ms: int | None = None
    _raw: Utterance | None = PrivateAttr(default=None)
    _earlier: str | None = PrivateAttr(default=None)
    _card: bool = PrivateAttr(default=False)

    @property
    def tells_card(self) -> bool:
        """Whether the number of a payment card was said, with this turn or up to it."""
        return self._card

    @property
    def raw(self) -> Utterance:
        """The words as they were said: for the identity gate, in memory only; never dumped or shown."""
        return self._raw or self

    def masked(
        self,
        text: str,
        alternatives: tuple[str, ...] = (),
        earlier: str | None = None,
        *,
        card: bool = False,
    ) -> Utterance:
        """The same turn with tokens in place of what is personal; `raw` keeps the words.

        ``earlier``: raw words of the turn before, if they may belong to this one. ``card``: `tells_card`.
        """
        copy = self.model_copy(update={"text": text, "alternatives": alternatives})
        copy._raw, copy._earlier, copy._card = self.raw, earlier, card
        return copy

    def behind(self, before: str) -> Utterance:
        """These words behind those of the turn before, which were masked."""
        copy = self.model_copy(update={"text": f"{before} {self.text}", "alternatives": ()})
        copy._raw = Utterance(text=f"{self._earlier or before} {self.raw.text}")
        return copy


class Keys(Strict):
    """Keypad digits that belong together (``0-9``, ``*``, ``#``)."""

    kind: Literal["keys"] = "keys"
    digits: str = Field(pattern=r"^[0-9*#]+$")
    _raw: str | None = PrivateAttr(default=None)

    @property
    def raw(self) -> str:
        """The keys as they were pressed: for the identity gate, in memory only; never dumped or shown."""
        return self._raw or self.digits

    def masked(self) -> Keys:
        """The same keys as stars."""
        copy = self.model_copy(update={"digits": "*" * len(self.digits)})
        copy._raw = self.raw
        return copy


class Silence(Strict):
    """The caller said nothing for the configured time; ``nth`` counts from 1 since they last did."""

    kind: Literal["silence"] = "silence"
    nth: int = Field(ge=1)


class HearingFailure(StrEnum):
    """Why words could not be had from sound, or cannot be used."""

    EMPTY = "empty"
    """Nothing was recognised, though somebody made a sound."""
    LOW_CONFIDENCE = "low_confidence"
    """There are words, and the recogniser does not believe them."""
    HALLUCINATION = "hallucination"
    """There were words that nobody said: a loop, film subtitles, more text than there was sound."""
    WRONG_LANGUAGE = "wrong_language"
    TOO_NOISY = "too_noisy"
    """No usable words, and the voice hardly stands out of the noise, or is clipped."""
    ENGINE_DOWN = "engine_down"


class NotHeard(Strict):
    """The caller made sound, but no words came of it that may be acted upon.

    ``text`` is what the recogniser made of it nevertheless: for a person who reads the transcript, never
    for a decision. ``started_ms``, ``last_voiced_ms``: where the sound lies on the media clock.
    """

    kind: Literal["not_heard"] = "not_heard"
    reason: HearingFailure
    text: str = ""
    confidence: float | None = None
    started_ms: int | None = None
    last_voiced_ms: int | None = None


class LateResult(Strict):
    """What a slow tool said after its turn was committed. ``task``: the name its turn gave it (``task_...``).

    One of ``result`` and ``error`` is set.
    """

    kind: Literal["late_result"] = "late_result"
    task: str = Field(min_length=1)
    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any] | None = None
    error: str | None = None
    duration_ms: float = 0.0


class AgentDecision(Strict):
    """What a person decided about words that wait for approval.

    ``text`` is the person's own wording and goes with ``edit`` only. ``agent`` is an id, not a name.
    """

    kind: Literal["agent_decision"] = "agent_decision"
    draft: str = Field(pattern=r"^dr_[0-9a-f]{32}$")
    verdict: Literal["approve", "edit", "reject"]
    agent: str = Field(min_length=1)
    text: str | None = Field(default=None, max_length=2000)

    @model_validator(mode="after")
    def _worded(self) -> Self:
        if (self.verdict == "edit") != bool(self.text and self.text.strip()):
            raise ValueError("`text` is given exactly when the verdict is `edit`")
        return self


WhisperKind = Literal["say", "fact", "steer", "avoid", "hand_over"]


class Whispered(Strict):
    """What an agent told the bot of a conversation that goes on. No words of the caller's, and no consent.

    ``say``: ``text`` is said at the next fitting moment. ``fact``: ``text`` belongs to the next answer about
    ``intent`` (None: the next of all). ``steer``: ``intent`` is offered. ``avoid``: ``intent`` goes to a
    person from now on. ``hand_over``: the conversation goes to a person. ``agent`` is an id, not a name.
    """

    kind: Literal["whispered"] = "whispered"
    whisper: str = Field(pattern=r"^wh_[0-9a-f]{32}$")
    what: WhisperKind
    agent: str = Field(min_length=1)
    intent: str | None = None
    text: str | None = Field(default=None, max_length=600)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.what in {"say", "fact"}) != bool(self.text and self.text.strip()):
            raise ValueError("`text` is given exactly with `say` and `fact`")
        if (self.what in {"steer", "avoid"}) and self.intent is None:
            raise ValueError(f"`{self.what}` names an `intent`")
        if self.what in {"say", "hand_over"} and self.intent is not None:
            raise ValueError(f"`{self.what}` names no `intent`")
        return self


class Timer(Strict):
    """Time has come for something that was waited for: ``about`` names it (a draft's or task's id)."""

    kind: Literal["timer"] = "timer"
    about: str = Field(min_length=1)


class PaymentOver(Strict):
    """A card payment that was taken during the call has come to its end (`core.store.payments`)."""

    kind: Literal["payment_over"] = "payment_over"
    payment: str = Field(pattern=r"^pay_[a-p]{32}$")


TransferOutcome = Literal["declined", "busy", "no_answer", "agent_left", "failed", "cancelled", "handed_back"]
"""Why a warm transfer came to nothing, or ended with the caller still on the line. ``handed_back``: whoever
spoke with the caller at a desk gave them back to the bot."""


class TransferFailed(Strict):
    """The bot has the caller again after a person was tried. ``spoke``: they had been connected."""

    kind: Literal["transfer_failed"] = "transfer_failed"
    reason: TransferOutcome
    spoke: bool = False


TurnInput = Annotated[
    CallStarted
    | Utterance
    | Keys
    | Silence
    | NotHeard
    | LateResult
    | AgentDecision
    | Whispered
    | Timer
    | PaymentOver
    | TransferFailed,
    Field(discriminator="kind"),
]

BY_CALLER = frozenset({"utterance", "keys", "not_heard", "silence"})
"""Kinds of input that come from the caller: what they did, or did not do."""


# --- what is decided ------------------------------------------------------------------


class Action(StrEnum):
    """The closed set of what a turn may do."""

    ANSWER = "answer"
    PROPOSE = "propose"
    ACT = "act"
    CLARIFY = "clarify"
    ABSTAIN = "abstain"
    DRAFT = "draft"
    ROUTE = "route"
    FOLLOW_UP = "follow_up"
    ESCALATE = "escalate"
    END = "end"


class Route(StrEnum):
    """The closed set of who writes the words."""

    FIXED = "fixed"
    GROUNDED = "grounded"
    SMALL = "small"
    STRONG = "strong"
    DRAFT = "draft"
    PERSON = "person"


class Source(Strict):
    """Where a part of an answer comes from: an article chunk. ``score``: 0..1, how likely it answers."""

    article: str
    title: str
    version: str
    score: float


class ToolRead(Strict):
    """One tool call or act of a turn: name, arguments, structured result (or the error).

    Neither is set while a slow tool is still at work, and in the plan of an act that is not done yet.
    """

    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any] | None = None
    error: str | None = None
    duration_ms: float = 0.0


class Confidences(Strict):
    """The three confidences, kept apart. None: not measured for this turn."""

    classification: float | None = None
    grounding: float | None = None
    answer: float | None = None


class Urgency(StrEnum):
    """How soon somebody must deal with it, as the caller's words sound."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class IntentScore(Strict):
    """One intent with its calibrated probability, 0..1."""

    intent: str
    probability: float


class MonitorScores(Strict):
    """What the monitor made of one turn of the caller.

    ``sentiment`` -1 (angry, in despair) to 1 (delighted). ``distress`` and ``out_of_scope``: calibrated
    probabilities, 0..1. ``guesses``: the likeliest intents, best first.
    """

    category: str = ""
    guesses: tuple[IntentScore, ...] = ()
    urgency: Urgency = Urgency.NORMAL
    sentiment: float = Field(default=0.0, ge=-1, le=1)
    distress: float = Field(default=0.0, ge=0, le=1)
    out_of_scope: float = Field(default=0.0, ge=0, le=1)


class Versions(Strict):
    """What a turn was made with: so that it can be made again, and a change be held responsible."""

    policy: str = ""
    monitor: str = ""
    knowledge: str = ""
    """The embedding's id."""
    writer: str = ""
    prompt: str = ""


class FiredTrigger(Strict):
    """Why a person took over: which trigger, on what evidence, and since when there had been signs of it.

    ``name``: as in the policy's ``triggers``, some with what it was about behind a colon
    (``policy:complaint``). ``evidence``: facts and numbers, and the limits they were held against; never
    words of the caller. ``at``: when it fired. ``first_sign_at``, ``first_sign``: the first sign of risk that
    led here, which is the trigger itself where nothing had shown before.
    """

    name: str = Field(min_length=1)
    evidence: dict[str, JsonValue]
    at: datetime
    first_sign_at: datetime
    first_sign: str = Field(min_length=1)


class Decision(Strict):
    """Everything that is settled before commit; what replay and shadow mode compare."""

    intent: str
    category: str = ""
    scores: MonitorScores | None = None
    versions: Versions = Versions()
    confidences: Confidences = Confidences()
    tier: int = Field(ge=0, le=3)
    action: Action
    route: Route
    expects: Expects = FREE
    policy_row: str
    reasons: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    tools: tuple[ToolRead, ...] = ()
    trigger: str | None = None
    """Name of what made a person take over; `fired` says more."""
    fired: FiredTrigger | None = None
    owner: str | None = None
    """The team that has to deal with it, where the turn promises or routes something."""
    gap: str | None = None
    """Why no article answers what was asked; None where that was not the trouble."""


class Clause(Strict):
    """A speakable piece of an answer: the unit of guardrails and of synthesis.

    ``fixed`` marks words from the deployment's phrases, which the phrase cache keeps.
    """

    text: str
    fixed: bool = False


class Heard(Strict):
    """What the caller heard of one turn's speech, from the playout ledger (to +-1 word)."""

    text: str
    complete: bool


class TurnTimings(Strict):
    """The waterfall of a turn as the caller hears it, ms on the media clock; None: did not happen.

    ``vad_ms``: the first silence after the last voiced sound was seen. ``eager_ms`` to ``held_ms`` are of
    the early plan that the turn was made from: its words were offered, it stood, the first sound of its
    first clause was ready. ``early``: whether the turn was made from one.
    """

    last_voiced_ms: int | None = None
    vad_ms: int | None = None
    eager_ms: int | None = None
    eager_planned_ms: int | None = None
    held_ms: int | None = None
    turn_ended_ms: int | None = None
    final_ms: int | None = None
    planned_ms: int | None = None
    committed_ms: int | None = None
    first_clause_ms: int | None = None
    first_audio_ms: int | None = None
    first_heard_ms: int | None = None
    finished_ms: int | None = None
    early: bool | None = None


# --- what is told to others -----------------------------------------------------------


class Event(Strict):
    """A fact about a conversation (CloudEvents core attributes plus ours).

    ``type`` is dotted and lower case, e.g. ``turn.committed``. ``seq`` orders events of
    one database; it is None until stored. ``transaction_id`` is that of the turn it belongs to.
    """

    id: str
    type: str
    conversation_id: str
    turn: int | None = None
    transaction_id: str | None = None
    time: datetime
    data: dict[str, Any]
    seq: int | None = None
