"""The whole of ``business/policy.yaml`` as one strict model."""

from __future__ import annotations

import hashlib
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Action, Strict
from voicebot.safety.guard_in.conduct import ConductRules
from voicebot.safety.identity import GateRules
from voicebot.safety.policy.circumstances import Grant, Override
from voicebot.safety.policy.csat import CsatRules
from voicebot.safety.policy.limits import Limit
from voicebot.safety.policy.owners import Owners
from voicebot.safety.policy.risk import MOST_DISTRESS, MOST_UNSURE
from voicebot.safety.policy.rows import IntentRule, Name, Records, Score, TierRow
from voicebot.safety.triggers import TriggerRules


class Thresholds(Strict):
    """Default limits of the three confidences and of distress, each 0..1."""

    sure: float = Field(default=0.70, gt=0, le=1)
    """Classification at or above: sure."""
    unsure: float = Field(default=0.40, gt=0, le=MOST_UNSURE)
    """Classification below: lost."""
    grounding: float = Field(default=0.35, ge=0, le=1)
    answer: float = Field(default=0.85, ge=0, le=1)
    writing: float = Field(default=0.60, ge=0, le=1)
    """Grounding below: articles are quoted, no model writes."""
    distress: float = Field(default=0.50, gt=0, le=MOST_DISTRESS)
    """Distress at or above: a person, at once."""
    distress_vulnerable: float = Field(default=0.30, gt=0, le=MOST_DISTRESS)
    """The same for a caller known to be vulnerable."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.unsure > self.sure:
            raise ValueError("`unsure` must not lie above `sure`")
        if self.distress_vulnerable > self.distress:
            raise ValueError("`distress_vulnerable` must not lie above `distress`")
        return self


class Ladder(Strict):
    """How often the bot tries in other words before a person takes over."""

    not_heard: int = Field(default=3, ge=1, le=6)
    not_understood: int = Field(default=3, ge=1, le=6)
    silences: int = Field(default=3, ge=2, le=6)
    """The silence at which the call is ended politely."""


class Limits(Strict):
    """The confidences that a row needs, after tier and row were put together."""

    unsure: Score
    sure: Score
    grounding: float
    answer: float


class PolicyTable(Strict):
    """What the deployment allows. Read it with `read_policy`, prove it with `check_policy`."""

    version: str = Field(min_length=1)
    thresholds: Thresholds = Thresholds()
    ladder: Ladder = Ladder()
    records: Records = Records()
    identity: GateRules
    lost: Literal[Action.CLARIFY, Action.ABSTAIN, Action.ESCALATE] = Action.CLARIFY
    """When it is not known what the caller wants, so that no tier applies."""
    segments: tuple[Name, ...] = ()
    """The customer segments that the system of record knows."""
    regions: tuple[Name, ...] = ()
    tiers: dict[int, TierRow]
    intents: dict[str, IntentRule]
    overrides: dict[Name, Override] = Field(default_factory=dict[Name, Override])
    grants: dict[Name, Grant] = Field(default_factory=dict[Name, Grant])
    triggers: TriggerRules = TriggerRules()
    """When a person takes over."""
    owners: Owners | None = None
    """Who answers for tiers, prompts and incidents. A server does not start without them."""
    conduct: ConductRules = ConductRules()
    """What follows abuse and repeated attacks."""
    csat: CsatRules = CsatRules()
    """Where callers are asked how satisfied they were."""
    limits: dict[Name, Limit] = Field(default_factory=dict[Name, Limit])
    """What changes may add up to before a person must look."""
    cards: Literal["pay", "keypad"] = "pay"
    """Who takes a card: Twilio's `<Pay>`, or our own keypad, which puts this server into PCI scope."""

    @model_validator(mode="after")
    def _closed(self) -> Self:
        missing = sorted({0, 1, 2, 3} - set(self.tiers))
        if missing:
            raise ValueError(f"tiers {missing} have no row under `tiers`: say what they allow")
        strange = sorted(set(self.tiers) - {0, 1, 2, 3})
        if strange:
            raise ValueError(f"tiers {strange}: there are tiers 0 to 3")
        return self

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of the table's content: two tables never share them."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def confidences(self, rule: IntentRule) -> Limits:
        """The confidences that a row needs: its own, else its tier's where they are higher."""
        base, own = self.thresholds, self.tiers[rule.tier].at_least
        sure = rule.sure if rule.sure is not None else max(base.sure, own.sure or 0)
        grounding = rule.grounding if rule.grounding is not None else max(base.grounding, own.grounding or 0)
        answer = rule.answer if rule.answer is not None else max(base.answer, own.answer or 0)
        return Limits(unsure=min(base.unsure, sure), sure=sure, grounding=grounding, answer=answer)

    def covers(self, override: Override, intent: str, rule: IntentRule) -> bool:
        """Whether an override speaks of an intent whose row is ``rule``."""
        return (
            (not override.tiers or rule.tier in override.tiers)
            and (not override.categories or rule.category in override.categories)
            and (not override.intents or intent in override.intents)
        )
