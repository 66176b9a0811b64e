"""When a row is stricter (`Override`) or freer (`Grant`) than it usually is."""

from __future__ import annotations

from datetime import date, time
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Action, Strict, Urgency
from voicebot.safety.policy.facts import Health
from voicebot.safety.policy.rows import Name, Score, Tier, Why

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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
