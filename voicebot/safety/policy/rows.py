"""The rows of ``business/policy.yaml``: an intent, a tier, an override, a grant. Strict; they decide nothing.

Each model checks what can be seen in the row alone. What needs the whole table is proved in
`voicebot.safety.policy.proof`.
"""

from __future__ import annotations

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Action, Route, Strict, Urgency
from voicebot.safety.policy.facts import Health
from voicebot.safety.policy.risk import (
    FREEDOM,
    TIER_OF_COMPLEXITY,
    TIER_OF_COMPLIANCE,
    TIER_OF_CRITICALITY,
    TIER_OF_EFFECT,
    TIER_OF_VULNERABILITY,
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


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
        if (self.reads is Reads.TOOL) != (self.tool is not None):
            raise ValueError("`tool` is named exactly when `reads` is tool")
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
        if self.then is Action.END and self.reads is not Reads.NOTHING:
            raise ValueError("`then: end` hangs up: only approved phrases (`reads: nothing`) may lead there")
        if self.reads is Reads.PERSON and self.then is not None and FREEDOM[self.then] > 0:
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


class When(Strict):
    """When an override or a grant applies: everything named must be so.

    ``hours`` is from-to in the business's time ("20:00", "08:00" runs over midnight; the end is not in
    it); ``days`` are the days on which it is that time. ``unknown``: also when the region or the segment
    is not known.
    """

    segments: tuple[Name, ...] = ()
    regions: tuple[Name, ...] = ()
    hours: tuple[str, str] | None = None
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    health: Health | None = None
    unknown: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.segments or self.regions or self.hours or self.days or self.health):
            raise ValueError("name at least one of segments, regions, hours, days, health")
        for clock in self.hours or ():
            try:
                time.fromisoformat(clock)
            except ValueError:
                raise ValueError(f'`hours` are two times in quotes such as "20:00", not {clock!r}') from None
        if self.hours and self.hours[0] == self.hours[1]:
            raise ValueError("`hours` begin and end at the same time")
        if self.unknown and not (self.segments or self.regions):
            raise ValueError("`unknown` speaks of segments or regions: name some")
        return self


class Override(Strict):
    """Makes rows stricter under some circumstances. It has no way of making one freer.

    It covers the intents that stand in all of ``tiers``, ``categories``, ``intents`` that are named.
    """

    why: Why
    when: When
    tiers: tuple[Tier, ...] = ()
    categories: tuple[Name, ...] = ()
    intents: tuple[Name, ...] = ()
    sure: Score | None = None
    grounding: float | None = Field(default=None, ge=0, le=1)
    answer: float | None = Field(default=None, ge=0, le=1)
    at_most: Action | None = None
    """The freest action that is left."""
    person: Literal[Action.ROUTE, Action.FOLLOW_UP] | None = None
    """What becomes of rows that a person deals with, when nobody is there to take the call."""
    urgency: Urgency | None = None
    owner: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.tiers or self.categories or self.intents):
            raise ValueError("say what it covers: tiers, categories or intents")
        effects = (
            self.sure,
            self.grounding,
            self.answer,
            self.at_most,
            self.person,
            self.urgency,
            self.owner,
        )
        if all(effect is None for effect in effects):
            raise ValueError(
                "it changes nothing: set sure, grounding, answer, at_most, person, urgency or owner"
            )
        if self.at_most is Action.END:
            raise ValueError("`at_most: end` would hang up on callers")
        return self


class Grant(Strict):
    """The one way to more freedom: reviewed by two people, for named intents, until a date.

    In force only for verified callers (`may`, `tools`) with everything healthy, and only while the date
    of the call is known and lies between ``reviewed`` and ``until``.
    """

    why: Why
    intents: tuple[Name, ...] = Field(min_length=1)
    reviewed_by: tuple[str, ...] = Field(min_length=2)
    reviewed: date
    until: date
    segments: tuple[Name, ...] = ()
    sure: Score | None = None
    grounding: float | None = Field(default=None, ge=0, le=1)
    answer: float | None = Field(default=None, ge=0, le=1)
    may: Literal[Action.PROPOSE, Action.ACT] | None = None
    """For rows with an `act`: propose it and act on a yes, or act at once."""

    @model_validator(mode="after")
    def _reviewed(self) -> Self:
        if len({name.strip().lower() for name in self.reviewed_by}) < 2:
            raise ValueError("`reviewed_by` names two different people")
        if self.until <= self.reviewed:
            raise ValueError("`until` lies after `reviewed`")
        if (self.until - self.reviewed).days > 366:
            raise ValueError("a grant lasts a year at most: review it again")
        if self.sure is None and self.grounding is None and self.answer is None and self.may is None:
            raise ValueError("it grants nothing: set may, sure, grounding or answer")
        return self
