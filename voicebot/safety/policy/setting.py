"""The circumstances of a turn, boiled down: which overrides and grants are in force, and what they change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time

from voicebot.core.conversation import Action, Urgency
from voicebot.safety.policy.circumstances import DAYS, Grant, Override, When
from voicebot.safety.policy.facts import Health, PolicyFacts
from voicebot.safety.policy.risk import FLOORS, FREEDOM, Standing
from voicebot.safety.policy.rows import IntentRule, TierRow
from voicebot.safety.policy.table import Limits, PolicyTable

_URGENCIES = tuple(Urgency)


@dataclass(frozen=True, slots=True)
class Row:
    """An intent's row with everything that may bear on it. Made once, when the policy is."""

    intent: str
    rule: IntentRule
    tier: TierRow
    limits: Limits
    overrides: tuple[tuple[str, Override], ...]
    grants: tuple[tuple[str, Grant], ...]
    owner: str
    standing: Standing
    clearances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the circumstances leave of a row: its limits, its cap, who takes the call, what was granted.

    Settings that are equal lead to the same action; the last three fields have no part in that.
    """

    unsure: float
    sure: float
    grounding: float
    answer: float
    at_most: Action | None = None
    at_most_by: str = ""
    person: Action | None = None
    person_by: str = ""
    may: Action | None = None
    may_by: str = ""
    model_writes: bool = True
    urgency: Urgency = field(default=Urgency.NORMAL, compare=False)
    owner: str = field(default="", compare=False)
    in_force: tuple[str, ...] = field(default=(), compare=False)
    """Rows of the overrides and grants that apply: ``overrides.night``."""


def row_of(table: PolicyTable, intent: str, rule: IntentRule) -> Row:
    """Puts together what the table says of an intent whose row is ``rule``."""
    tier = table.tiers[rule.tier]
    return Row(
        intent=intent,
        rule=rule,
        tier=tier,
        limits=table.confidences(rule),
        overrides=tuple((n, one) for n, one in table.overrides.items() if table.covers(one, intent, rule)),
        grants=tuple((n, one) for n, one in table.grants.items() if intent in one.intents),
        owner=rule.owner or tier.owner,
        standing=table.records.standing(rule.record),
        clearances=tuple(tier.clearances if rule.clearances is None else rule.clearances),
    )


def setting_of(row: Row, facts: PolicyFacts) -> Setting:
    """What the circumstances of ``facts`` (not its confidences) make of a row.

    Grants come first and overrides have the last word. Words from approved phrases alone
    (`reads: nothing`) are the same under all circumstances.
    """
    limits, rule = row.limits, row.rule
    segment = facts.segment.name if facts.segment is not None and facts.verified else None
    sure, grounding, answer = limits.sure, limits.grounding, limits.answer
    may: Action | None = None
    may_by = at_most_by = person_by = ""
    in_force: list[str] = []
    for name, grant in row.grants:
        if _granted(grant, facts, segment):
            in_force.append(f"grants.{name}")
            floor = FLOORS[min(rule.tier, 2)]
            sure = min(sure, max(grant.sure or sure, floor.sure))
            grounding = min(grounding, grounding if grant.grounding is None else grant.grounding)
            answer = min(answer, grant.answer or answer)
            if grant.may is not None and (may is None or FREEDOM[grant.may] > FREEDOM[may]):
                may, may_by = grant.may, name
    at_most: Action | None = None
    person: Action | None = None
    urgency, owner = rule.urgency, row.owner
    for name, override in row.overrides:
        known = _applies(override.when, facts, segment, unknown=False)
        if known:
            if override.urgency is not None and _sooner(override.urgency, urgency):
                urgency = override.urgency
            owner = override.owner or owner
            if override.person is not None:
                person, person_by = override.person, name
        supposed = override.when.unknown and _applies(override.when, facts, segment, unknown=True)
        if known or supposed:
            in_force.append(f"overrides.{name}")
            sure = max(sure, override.sure or sure)
            grounding = max(grounding, override.grounding or grounding)
            answer = max(answer, override.answer or answer)
            cap = override.at_most
            if cap is not None and (at_most is None or FREEDOM[cap] < FREEDOM[at_most]):
                at_most, at_most_by = cap, name
    return Setting(
        unsure=min(limits.unsure, sure),
        sure=sure,
        grounding=grounding,
        answer=answer,
        at_most=at_most,
        at_most_by=at_most_by,
        person=person,
        person_by=person_by,
        may=may,
        may_by=may_by,
        model_writes=facts.healthy is Health.OK,
        urgency=urgency,
        owner=owner,
        in_force=tuple(in_force),
    )


def _granted(grant: Grant, facts: PolicyFacts, segment: str | None) -> bool:
    return (
        facts.verified
        and not facts.vulnerable
        and facts.healthy is Health.OK
        and facts.today is not None
        and grant.reviewed <= facts.today <= grant.until
        and (not grant.segments or segment in grant.segments)
    )


def _applies(when: When, facts: PolicyFacts, segment: str | None, *, unknown: bool) -> bool:
    if when.health is not None and facts.healthy is not when.health:
        return False
    if when.segments and segment not in when.segments and not (unknown and segment is None):
        return False
    if when.regions and facts.region not in when.regions and not (unknown and facts.region is None):
        return False
    return _at(when, facts.local_time, facts.weekday)


def _at(when: When, clock: time | None, weekday: int | None) -> bool:
    if when.days and (weekday is None or DAYS[weekday] not in when.days):
        return False
    if when.hours is None:
        return True
    if clock is None:
        return False
    begin, end = (time.fromisoformat(one) for one in when.hours)
    now = clock.replace(tzinfo=None)
    return begin <= now < end if begin < end else now >= begin or now < end


def _sooner(one: Urgency, other: Urgency) -> bool:
    return _URGENCIES.index(one) > _URGENCIES.index(other)
