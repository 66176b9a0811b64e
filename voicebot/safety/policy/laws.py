"""What holds for every deployment's table as a whole, whatever its business. Names the row that breaks it."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.core.conversation import Action, Urgency
from voicebot.safety.identity import Factor, FactorKind, FactorSet, GateRules
from voicebot.safety.identity.rules import SECRET
from voicebot.safety.policy.circumstances import Grant, Override
from voicebot.safety.policy.problems import Problems
from voicebot.safety.policy.risk import (
    FLOORS,
    FREEDOM,
    LEAST_CODE,
    LEAST_DIGITS,
    MOST_FAILED,
    MOST_TRIES,
    Concern,
)
from voicebot.safety.policy.rows import IntentRule, Reads
from voicebot.safety.policy.table import PolicyTable

STEERING = "general"
"""The category of words that steer the conversation (yes, thanks, goodbye): no question of their own."""

_BANDS = ("sure", "doubtful", "ungrounded", "unverified", "unsure")
_URGENCIES = tuple(Urgency)


def check_laws(table: PolicyTable, problems: Problems) -> None:
    """Looks at rows beside each other: what a single row cannot show."""
    _thresholds(table, problems)
    _tiers(table, problems)
    _identity(table, problems)
    _concerns(table, problems)
    for name, rule in table.intents.items():
        _intent(table, name, rule, problems)
    for name, override in table.overrides.items():
        _override(table, name, override, problems)
    for name, grant in table.grants.items():
        _grant(table, name, grant, problems)


def _tiers(table: PolicyTable, problems: Problems) -> None:
    """A higher tier is never freer, in no band, and never needs less."""
    for tier in (1, 2, 3):
        lower, higher = table.tiers[tier - 1], table.tiers[tier]
        for band in _BANDS:
            one, other = getattr(lower, band), getattr(higher, band)
            if FREEDOM[other] > FREEDOM[one]:
                problems.add(
                    f"tiers.{tier}.{band}", f"`{other}` gives more freedom than tier {tier - 1} (`{one}`)"
                )
        for what in ("sure", "grounding", "answer") if tier < 3 else ():
            least = max(getattr(table.thresholds, what), getattr(lower.at_least, what) or 0)
            if max(getattr(table.thresholds, what), getattr(higher.at_least, what) or 0) < least:
                problems.add(
                    f"tiers.{tier}.at_least", f"it needs less `{what}` than tier {tier - 1}, {least:g}"
                )
    for band in _BANDS:
        action = getattr(table.tiers[3], band)
        if action is not Action.ESCALATE:
            problems.add(
                f"tiers.3.{band}",
                f"`{action}`: tier 3 must not end in an unattended answer or act, every band of it escalates",
            )
    for tier in (0, 1, 2):
        row = table.tiers[tier]
        most = Action.PROPOSE if tier == 2 else Action.ANSWER
        if FREEDOM[row.sure] > FREEDOM[most]:
            problems.add(f"tiers.{tier}.sure", f"`{row.sure}` gives more freedom than `{most}`")
        for band in _BANDS[1:]:
            action: Action = getattr(row, band)
            if FREEDOM[action] > FREEDOM[row.sure]:
                problems.add(
                    f"tiers.{tier}.{band}",
                    f"`{action}` gives more freedom than `sure: {row.sure}`, with less known",
                )
            most = Action.CLARIFY if band in {"unverified", "unsure"} else Action.DRAFT
            if FREEDOM[action] > FREEDOM[most]:
                problems.add(
                    f"tiers.{tier}.{band}", f"`{action}` gives more freedom than `{most}`, the most here"
                )


def _thresholds(table: PolicyTable, problems: Problems) -> None:
    """The floors bind the table's own limits, and a tier's limit that changes nothing is a mistake."""
    for what in ("sure", "grounding", "answer"):
        limit, least = getattr(table.thresholds, what), getattr(FLOORS[0], what)
        if limit < least:
            problems.add(
                f"thresholds.{what}", f"`{what}: {limit:g}` lies below {least:g}, the lowest there may be"
            )
        for tier, row in table.tiers.items():
            own = getattr(row.at_least, what)
            if own is not None and own < limit:
                problems.add(
                    f"tiers.{tier}.at_least", f"`{what}: {own:g}` changes nothing: everybody needs {limit:g}"
                )


def _identity(table: PolicyTable, problems: Problems) -> None:
    rules = table.identity
    known = {factor.name: factor for factor in rules.factors}
    for factor in rules.factors:
        if factor.kind in {FactorKind.DIGITS, FactorKind.CARD, FactorKind.CODE} and factor.digits < 3:
            problems.add("identity.factors", f"{factor.name} needs `digits`, 3 at least")
        if factor.kind is FactorKind.CODE and factor.digits < LEAST_CODE:
            problems.add("identity.factors", f"{factor.name}: a code has {LEAST_CODE} digits at least")
    for one in rules.in_order:
        _factor_set(rules, one, known, problems)
    if len({one.name for one in rules.in_order}) < len(rules.in_order):
        problems.add("identity.sets", "a set stands twice")
    if all(one.level > 1 for one in rules.in_order):
        problems.add("identity.sets", "no set has level 1: nobody could begin")
    highest = max(one.level for one in rules.in_order)
    for intent, level in rules.demands.items():
        if intent not in table.intents:
            problems.add("identity.demands", f"there is no intent {intent}")
        if not 1 <= level <= highest:
            problems.add("identity.demands", f"{intent}: no set proves level {level}")
    if rules.lockout.per_reference > MOST_FAILED:
        problems.add(
            "identity.lockout",
            f"{rules.lockout.per_reference} failed tries are too many: {MOST_FAILED} at most",
        )
    if rules.max_tries > MOST_TRIES:
        problems.add("identity.max_tries", f"{rules.max_tries} tries are too many: {MOST_TRIES} at most")
    names = [factor.name for factor in rules.factors]
    if len(set(names)) < len(names):
        problems.add("identity.factors", "a factor stands twice")


def _factor_set(rules: GateRules, one: FactorSet, known: Mapping[str, Factor], problems: Problems) -> None:
    """A set finds its record by the gate's reference, is hard to guess, and proves what its level says."""
    strange = [name for name in one.factors if name not in known]
    if strange:
        problems.add("identity.factors", f"set {one.name} needs {strange[0]}, which is not there")
        return
    factors = [known[name] for name in one.factors]
    if one.factors[0] != rules.factors[0].name or not factors[0].numeric:
        problems.add("identity.sets", f"{one.name} must begin with the number that finds the record")
    if len(set(one.factors)) < len(one.factors):
        problems.add("identity.sets", f"{one.name} names a factor twice")
    strength = sum(factor.strength for factor in factors)
    if strength < LEAST_DIGITS:
        problems.add(
            "identity.factors", f"{one.name}: {strength} digits together are too few: {LEAST_DIGITS} at least"
        )
    if one.level >= 2 and not any(factor.kind in SECRET for factor in factors):
        problems.add("identity.sets", f"{one.name}: level {one.level} needs a code or a card's last digits")
    without = {factor.name for factor in factors if factor.kind is not FactorKind.CODE}
    begun = any(set(other.factors) <= without for other in rules.in_order)
    if len(without) < len(factors) and not begun:
        problems.add("identity.sets", f"{one.name}: a code goes only to who has passed another set before")


def _concerns(table: PolicyTable, problems: Problems) -> None:
    covered = {rule.concern for rule in table.intents.values()}
    for concern in Concern:
        if concern not in covered:
            near = f"intents.{concern}" if concern in table.intents else "intents"
            problems.add(near, f"no row has `concern: {concern}`: it must always escalate")
    answered = [
        rule.priority for rule in table.intents.values() if rule.reads in {Reads.KNOWLEDGE, Reads.TOOL}
    ]
    first = max(answered, default=-1)
    for name, rule in table.intents.items():
        asked_for = rule.category == STEERING and rule.reads is Reads.PERSON
        if asked_for and (rule.priority <= first or rule.then not in {None, Action.ESCALATE}):
            problems.add(
                f"intents.{name}",
                f"who asks for a person gets one first: `priority` above {first}, no `then`",
            )
        if rule.concern is None:
            continue
        least = Urgency.CRITICAL if rule.concern is Concern.DISTRESS else Urgency.HIGH
        if _URGENCIES.index(rule.urgency) < _URGENCIES.index(least):
            problems.add(f"intents.{name}", f"`urgency: {rule.urgency}`: {rule.concern} is {least} at least")
        if rule.priority <= first:
            problems.add(
                f"intents.{name}",
                f"`priority: {rule.priority}` lets something else be answered first; "
                f"{rule.concern} stands above {first}",
            )


def _intent(table: PolicyTable, name: str, rule: IntentRule, problems: Problems) -> None:
    row = f"intents.{name}"
    if rule.reads is Reads.NOTHING and rule.category != STEERING:
        problems.add(
            row, f"`reads: nothing` answers without looking anything up: only category {STEERING} may"
        )
    if rule.then is not None and rule.reads is not Reads.PERSON:
        sure = table.tiers[rule.tier].sure
        if FREEDOM[rule.then] > FREEDOM[sure]:
            problems.add(row, f"`then: {rule.then}` gives more freedom than its tier (`sure: {sure}`)")
    if FREEDOM[_freest(table, rule)] == 0:
        return  # being sure gives no freedom, so being sure sooner costs nothing
    tier, base = table.tiers[rule.tier].at_least, table.thresholds
    for what in ("sure", "grounding", "answer"):
        own = getattr(rule, what)
        least = max(getattr(base, what), getattr(tier, what) or 0)
        if own is not None and own < least:
            problems.add(
                row, f"`{what}: {own:g}` lies below {least:g}, which tier {rule.tier} needs: only a grant may"
            )


def _override(table: PolicyTable, name: str, override: Override, problems: Problems) -> None:
    """An override that changes nothing is a mistake: it only looks like a restriction."""
    row = f"overrides.{name}"
    covered = [
        (rule, table.confidences(rule))
        for intent, rule in table.intents.items()
        if table.covers(override, intent, rule) and rule.reads is not Reads.NOTHING
    ]
    if not covered:
        problems.add(row, "it covers no intent: tiers, categories and intents must agree")
        return
    for what in ("sure", "grounding", "answer"):
        value = getattr(override, what)
        if value is not None and all(value <= getattr(limits, what) for _, limits in covered):
            problems.add(
                row, f"`{what}: {value:g}` tightens no row: an override only restricts, a grant may loosen"
            )
    if override.at_most is not None:
        freest = max(FREEDOM[_freest(table, rule)] for rule, _ in covered)
        if FREEDOM[override.at_most] >= freest:
            problems.add(row, f"`at_most: {override.at_most}` restricts no row: none it covers is freer")
    if override.person is not None and not any(_handed_over(rule) for rule, _ in covered):
        problems.add(row, f"`person: {override.person}`: no row it covers is dealt with by a person")
    if override.urgency is not None and all(
        _URGENCIES.index(override.urgency) <= _URGENCIES.index(rule.urgency) for rule, _ in covered
    ):
        problems.add(row, f"`urgency: {override.urgency}` is not more urgent than any row it covers")
    restricts = override.at_most is not None or any(
        getattr(override, what) is not None for what in ("sure", "grounding", "answer")
    )
    if (
        override.when.segments
        and restricts
        and not override.when.unknown
        and any(not rule.identity and FREEDOM[_freest(table, rule)] > 0 for rule, _ in covered)
    ):
        problems.add(
            row,
            "an unverified caller would have more freedom than one of its segments: add `unknown: true`, "
            "or cover only intents with `identity: true`",
        )


def _grant(table: PolicyTable, name: str, grant: Grant, problems: Problems) -> None:
    row = f"grants.{name}"
    for intent in grant.intents:
        rule = table.intents.get(intent)
        if rule is None:
            continue  # a name nobody knows is reported with its nearest one
        if rule.tier == 3 or rule.reads is Reads.PERSON:
            problems.add(row, f"{intent}: a person deals with it (tier {rule.tier}); nothing can be granted")
            continue
        if grant.may is not None and rule.act is None:
            problems.add(row, f"`may: {grant.may}`: intents.{intent} names no `act`")
        floor = FLOORS[rule.tier]
        limits = table.confidences(rule)
        for what in ("sure", "grounding", "answer"):
            value, least = getattr(grant, what), getattr(floor, what)
            if value is not None and value < least:
                problems.add(
                    row, f"`{what}: {value:g}` lies below {least:g}, the lowest for tier {rule.tier}"
                )
            if value is not None and value >= getattr(limits, what):
                problems.add(row, f"`{what}: {value:g}` grants nothing to {intent}")


def _freest(table: PolicyTable, rule: IntentRule) -> Action:
    if rule.reads is Reads.PERSON:
        return rule.then or Action.ESCALATE
    if rule.act is not None:
        return Action.ACT
    return rule.then or table.tiers[rule.tier].sure


def _handed_over(rule: IntentRule) -> bool:
    return rule.reads is Reads.PERSON and rule.then in {None, Action.ESCALATE} and rule.concern is None
