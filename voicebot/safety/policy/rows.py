"""The rows of ``business/policy.yaml``: an intent, a tier, a record. Strict models; they decide nothing.

Each model checks what can be seen in the row alone. What needs the whole table is proved in
`voicebot.safety.policy.proof`.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Action, Route, Strict, Urgency
from voicebot.safety.policy.risk import (
    TIER_OF_COMPLEXITY,
    TIER_OF_COMPLIANCE,
    TIER_OF_CRITICALITY,
    TIER_OF_EFFECT,
    TIER_OF_VULNERABILITY,
    TO_A_PERSON,
    Complexity,
    Compliance,
    Concern,
    Criticality,
    Effect,
    Standing,
    Vulnerability,
)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Why = Annotated[str, Field(min_length=10)]
Score = Annotated[float, Field(gt=0, le=1)]
Tier = Annotated[int, Field(ge=0, le=3)]


class Clearance(StrEnum):
    """Which layer of memory a turn may use at all; the feature broker then decides on each fact."""

    PROFILE = "profile"
    MEMORY = "memory"
    INSIGHT = "insight"


class Reads(StrEnum):
    """What an intent's answer is made from."""

    NOTHING = "nothing"
    """Said from approved phrases (yes, thanks, goodbye)."""
    KNOWLEDGE = "knowledge"
    TOOL = "tool"
    PERSON = "person"
    """Nothing is read: a person deals with it."""


class Record(Strict):
    """What automation has done with an intent: how many calls, and which share was resolved for good."""

    calls: int = Field(ge=0)
    resolved: float = Field(ge=0, le=1)
    reviewed: date


class Records(Strict):
    """When a record counts as good, fair or poor."""

    enough_calls: int = Field(default=50, ge=1)
    good: float = Field(default=0.85, gt=0, le=1)
    fair: float = Field(default=0.70, gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fair > self.good:
            raise ValueError("`fair` must not lie above `good`")
        return self

    def standing(self, record: Record | None) -> Standing:
        """How a record counts."""
        if record is None or record.calls < self.enough_calls:
            return Standing.UNTRIED
        if record.resolved >= self.good:
            return Standing.GOOD
        return Standing.FAIR if record.resolved >= self.fair else Standing.POOR


class IntentRule(Strict):
    """One intent's row.

    ``sure``, ``grounding`` and ``answer`` override the limits of its tier. ``urgency`` goes into the
    handoff when the intent ends with a person.
    """

    tier: Tier
    category: Name
    reads: Reads
    tool: Name | None = None
    """The tool whose result is the answer."""
    tools: tuple[Name, ...] = ()
    """Other reading tools that may be used on the way."""
    act: Name | None = None
    """The writing tool that a yes would call. Without a grant a person approves it."""
    identity: bool = False
    effect: Effect = Effect.NONE
    criticality: Criticality = Criticality.LOW
    vulnerability: Vulnerability = Vulnerability.LOW
    compliance: Compliance = Compliance.NONE
    complexity: Complexity = Complexity.SIMPLE
    concern: Concern | None = None
    stricter: Why | None = None
    """Why the tier is higher than the risk alone would make it."""
    record: Record | None = None
    route: Route = Route.GROUNDED
    """Who writes at most: what is less certain is quoted."""
    sure: Score | None = None
    grounding: float | None = Field(default=None, ge=0, le=1)
    answer: float | None = Field(default=None, ge=0, le=1)
    urgency: Urgency = Urgency.NORMAL
    apology: bool = False
    """A person who takes this over is announced with an apology."""
    priority: int = Field(default=0, ge=0, le=100)
    """Of several wants in one sentence the highest priority is taken first."""
    then: Action | None = None
    """What a sure reading means instead of the tier's `sure`; never more free than that."""
    owner: str | None = Field(default=None, min_length=1)
    """Who answers for it, when it is not the tier's owner."""
    clearances: tuple[Clearance, ...] | None = None
    """What a verified caller's turn may use of memory, when it is not what the tier says."""

    @property
    def risk_tier(self) -> int:
        """The tier that the reasons for it give."""
        if self.concern is not None:
            return 3
        return max(
            TIER_OF_EFFECT[self.effect],
            TIER_OF_CRITICALITY[self.criticality],
            TIER_OF_VULNERABILITY[self.vulnerability],
            TIER_OF_COMPLIANCE[self.compliance],
            TIER_OF_COMPLEXITY[self.complexity],
        )

    @property
    def reading_tools(self) -> tuple[str, ...]:
        """Every tool that may be read for this intent."""
        return tuple(dict.fromkeys((*((self.tool,) if self.tool else ()), *self.tools)))

    @model_validator(mode="after")
    def _tools(self) -> Self:
        if (self.reads is Reads.TOOL) != (self.tool is not None or self.act is not None):
            raise ValueError("`tool` is named exactly when `reads` is tool (an `act` does as well)")
        if (self.tools or self.act) and self.reads is not Reads.TOOL:
            raise ValueError("`tools` and `act` need `reads: tool`")
        if self.reads is Reads.TOOL and self.tier > 0 and not self.identity:
            raise ValueError("a tool above tier 0 needs `identity: true`")
        if self.act is not None and (self.tier != 2 or not self.identity):
            raise ValueError("`act` changes something: it belongs into tier 2, behind `identity: true`")
        if self.reads is Reads.TOOL and self.tier == 2 and self.act is None:
            raise ValueError("tier 2 proposes a change: name its `act`, or let a person do it")
        if self.effect is Effect.CHANGE and self.reads is Reads.KNOWLEDGE:
            raise ValueError("articles change nothing: `reads` must be tool or person")
        return self

    @model_validator(mode="after")
    def _tier_has_its_reasons(self) -> Self:
        if self.tier < self.risk_tier:
            raise ValueError(
                f"`tier: {self.tier}` gives more freedom than its risk, which is tier {self.risk_tier}"
            )
        if self.tier > self.risk_tier and self.stricter is None and self.reads is not Reads.NOTHING:
            raise ValueError(
                f"`tier: {self.tier}`, but its risk (effect, criticality, ...) is tier {self.risk_tier}: "
                "raise the risk or say why under `stricter`"
            )
        if self.stricter is not None and self.tier == self.risk_tier:
            raise ValueError(f"`stricter` says why, but `tier: {self.tier}` is just what its risk makes it")
        if self.tier == 3 and self.reads is not Reads.PERSON:
            raise ValueError("tier 3 must not end in an unattended answer or act: `reads` must be person")
        if self.tier == 2 and self.reads is Reads.KNOWLEDGE:
            raise ValueError("tier 2 is not answered from articles: `reads` must be tool or person")
        if self.reads is Reads.NOTHING and self.tier > 0:
            raise ValueError("approved phrases alone (`reads: nothing`) answer tier 0 only")
        if self.concern is not None and self.then not in {None, Action.ESCALATE}:
            raise ValueError(f"`then: {self.then}`: {self.concern} always escalates")
        return self

    @model_validator(mode="after")
    def _then_is_possible(self) -> Self:
        if self.then in {Action.ACT, Action.PROPOSE, Action.DRAFT}:
            raise ValueError("`then` may only lead to words, a person or the end")
        if self.then is not None and self.act is not None:
            raise ValueError(f"`then: {self.then}` beside `act`: what is sure leads to the act, as granted")
        if self.then is Action.END and self.reads is not Reads.NOTHING:
            raise ValueError("`then: end` hangs up: only approved phrases (`reads: nothing`) may lead there")
        if self.reads is Reads.PERSON and self.then not in {None, *TO_A_PERSON}:
            raise ValueError(f"`then: {self.then}` gives more freedom than a person dealing with it")
        return self

    @model_validator(mode="after")
    def _route_is_allowed(self) -> Self:
        if self.route is Route.PERSON and self.reads is not Reads.PERSON:
            raise ValueError("`route: person` needs `reads: person`")
        if self.route in {Route.SMALL, Route.STRONG}:
            if self.reads is not Reads.KNOWLEDGE or self.tier > 1:
                raise ValueError(f"`route: {self.route}`: a model writes only from articles, up to tier 1")
            if self.compliance is not Compliance.NONE:
                raise ValueError(
                    f"`route: {self.route}`: `compliance: {self.compliance}` wants the approved words, quoted"
                )
        return self


class AtLeast(Strict):
    """A tier's own limits, where they lie above the table's."""

    sure: Score | None = None
    grounding: float | None = Field(default=None, ge=0, le=1)
    answer: float | None = Field(default=None, ge=0, le=1)


class TierRow(Strict):
    """What a tier allows, by how sure the bot is, and who answers for it."""

    owner: str = Field(min_length=1)
    sure: Action
    """Intent, identity, grounding and answer are all good enough."""
    doubtful: Action
    """There is an answer, but it was judged and falls short."""
    ungrounded: Action
    """No article carries an answer."""
    unverified: Action
    """Identity is needed and missing."""
    unsure: Action
    """The intent is likely, not certain."""
    at_least: AtLeast = AtLeast()
    clearances: tuple[Clearance, ...] = ()
    """What a verified caller's turn may use of memory."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for band in ("sure", "doubtful", "ungrounded", "unverified", "unsure"):
            if getattr(self, band) is Action.ACT:
                raise ValueError(
                    f"`{band}: act` gives more freedom than a tier has: only a grant lets it act"
                )
            if getattr(self, band) is Action.END:
                raise ValueError(f"`{band}: end` would hang up on callers")
        return self
