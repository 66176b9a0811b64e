"""Proves a table before it is used: every case has one outcome, and risk or doubt never gives freedom.

Goes through the whole finite domain of every row (`voicebot.safety.policy.domain`) with the code that
decides real turns. What does not hold is a `Problem` that names its row; a table with problems does
not boot. Takes a fraction of a second; runs at every boot.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voicebot.core.conversation import Action, Confidences, Route, Urgency
from voicebot.safety.policy.domain import Grid, World, worlds
from voicebot.safety.policy.facts import Band
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.problems import Problem, Problems
from voicebot.safety.policy.risk import (
    FLOORS,
    FREEDOM,
    WRITERS,
    Complexity,
    Criticality,
    Effect,
    Vulnerability,
)
from voicebot.safety.policy.rows import IntentRule, Reads
from voicebot.safety.policy.setting import Row, Setting, row_of, setting_of

_SPOKEN = {Action.ANSWER, Action.PROPOSE, Action.ACT}
_MOST = {
    Band.DISTRESS: Action.ESCALATE, Band.LOST: Action.CLARIFY, Band.UNSURE: Action.CLARIFY,
    Band.VULNERABLE: Action.ESCALATE, Band.UNVERIFIED: Action.CLARIFY, Band.UNGROUNDED: Action.DRAFT,
    Band.DOUBTFUL: Action.DRAFT, Band.SURE: Action.ACT,
}  # fmt: skip
"""As free as the bot may ever be in a band: where something is missing, a person approves at most."""
_TIER_BANDS = {Band.UNSURE, Band.UNVERIFIED, Band.UNGROUNDED, Band.DOUBTFUL}


@dataclass(frozen=True, slots=True)
class Proof:
    """What was gone through. ``cases``: combinations that were decided; ``ms``: how long it took."""

    rows: int
    cases: int
    ms: float


def prove(policy: Policy) -> tuple[Proof, tuple[Problem, ...]]:
    """Goes through the domain. Returns what was done, and everything that does not hold."""
    started = time.perf_counter()
    problems = Problems()
    proved: set[object] = set()
    cases = 0
    for intent in policy.table.intents:
        row = policy.row(intent)
        alike = _what_decides(row)
        if alike in proved:
            continue
        walk = _Walk(policy, row, problems)
        walk.go()
        cases += walk.cases
        if not problems.found:
            proved.add(alike)
    ms = (time.perf_counter() - started) * 1000
    return Proof(len(policy.table.intents), cases, ms), problems.found


def _what_decides(row: Row) -> object:
    """All of a row that an action can depend on. Rows that are alike in it are gone through once."""
    rule = row.rule.model_copy(update=_NO_PART_IN_IT)
    overrides = tuple(name for name, _ in row.overrides)
    return rule, row.limits, row.standing, overrides, tuple(name for name, _ in row.grants)


_NO_PART_IN_IT: dict[str, object] = {
    "category": "", "stricter": None, "record": None, "urgency": Urgency.NORMAL, "apology": False,
    "priority": 0, "owner": None, "clearances": None, "effect": Effect.NONE,
    "criticality": Criticality.LOW, "complexity": Complexity.SIMPLE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Outcome:
    band: Band
    action: Action
    route: Route
    by: str
    freedom: int
    writer: int


class _Walk:
    """One row's domain."""

    def __init__(self, policy: Policy, row: Row, problems: Problems) -> None:
        self._policy = policy
        self._row = row
        self._problems = problems
        self._decided: dict[tuple[int, Setting, bool, bool], tuple[_Outcome, ...]] = {}
        self._compared: set[tuple[int, int]] = set()
        self.cases = 0

    def go(self) -> None:
        own, around = self._row, worlds(self._row)
        plain = replace(own, overrides=())
        riskier = tuple(self._riskier(own.rule))
        rows = (own, plain, *(row for _, row in riskier))
        settings = [[setting_of(row, world.facts) for world in around] for row in rows]
        every = {one for column in settings for one in column}
        grid = Grid.of(own.rule.reads, every, self._policy.table.thresholds.writing)
        outcomes, unrestricted, *risky = (
            [self._outcomes(row, grid, one, world) for one, world in zip(column, around, strict=True)]
            for row, column in zip(rows, settings, strict=True)
        )
        for index, world in enumerate(around):
            self._laws(grid, outcomes[index], settings[0][index], verified=world.facts.verified)
            self._not_freer(outcomes[index], unrestricted[index], "an override")
            for safer, difference in world.safer:
                self._not_freer(outcomes[index], outcomes[safer], difference)
            for (what, _), column in zip(riskier, risky, strict=True):
                self._not_freer(column[index], outcomes[index], what)
        self._distress(around)

    def _riskier(self, rule: IntentRule) -> Iterator[tuple[str, Row]]:
        """The same row with one risk more: nobody may gain by it. Never used for anything else."""
        if rule.reads is Reads.NOTHING:
            return
        changes: list[tuple[str, dict[str, object]]] = []
        if rule.tier < 3:
            changes.append((f"tier {rule.tier + 1} instead of {rule.tier}", {"tier": rule.tier + 1}))
        if rule.vulnerability is not Vulnerability.HIGH:
            changes.append(("high vulnerability", {"vulnerability": Vulnerability.HIGH}))
        for what, change in changes:
            yield what, row_of(self._policy.table, self._row.intent, rule.model_copy(update=change))

    def _outcomes(self, row: Row, grid: Grid, setting: Setting, world: World) -> tuple[_Outcome, ...]:
        verified, vulnerable = world.facts.verified, world.facts.vulnerable
        key = (id(row), setting, verified, vulnerable)
        if key not in self._decided:
            self._decided[key] = tuple(self._decide(row, grid, setting, verified, vulnerable))
            self.cases += len(grid.points)
        return self._decided[key]

    def _decide(
        self, row: Row, grid: Grid, setting: Setting, verified: bool, vulnerable: bool
    ) -> Iterator[_Outcome]:
        """Every point of the grid, by the parts of `Policy.decide` that choose. Equal ones are one object."""
        policy = self._policy
        band_of, route_of = policy.band, policy.route
        actions: dict[Band, tuple[Action, str]] = {}
        outcomes: dict[tuple[Band, Route], _Outcome] = {}
        for scores in grid.points:
            band = band_of(row, setting, scores, verified=verified, vulnerable=vulnerable)
            if band not in actions:
                actions[band] = policy.action(row, setting, band)
            action, by = actions[band]
            route = route_of(row, setting, action, scores)
            if (band, route) not in outcomes:
                outcomes[band, route] = _Outcome(band, action, route, by, FREEDOM[action], WRITERS[route])
            yield outcomes[band, route]

    def _laws(self, grid: Grid, outcomes: tuple[_Outcome, ...], setting: Setting, *, verified: bool) -> None:
        """What holds for every case by itself, and for every pair one step of confidence apart."""
        if self._seen(outcomes, outcomes):
            return
        rule = self._row.rule
        for one in set(outcomes):
            if one.freedom > FREEDOM[_MOST[one.band]]:
                self._note(
                    one,
                    f"`{one.action}` gives more freedom than `{_MOST[one.band]}`, "
                    f"the most when {_MISSING[one.band]}",
                )
            if rule.tier == 3 and one.freedom > FREEDOM[Action.DRAFT]:
                self._note(one, f"tier 3 must not end in an unattended `{one.action}`")
            if rule.concern is not None and one.band is not Band.LOST and one.action is not Action.ESCALATE:
                self._note(one, f"{rule.concern} always escalates, not `{one.action}`")
            if rule.identity and not verified and one.freedom > 0:
                self._note(one, f"`{one.action}` for a caller who is not verified")
            if one.action in {Action.ACT, Action.PROPOSE} and setting.may is None:
                self._note(one, f"`{one.action}` gives more freedom than there is without a grant")
            if one.action in _SPOKEN and one.route in {Route.PERSON, Route.DRAFT}:
                self._note(one, f"`{one.action}` has nobody to say it: route `{one.route}`")
        for scores, one in zip(grid.points, outcomes, strict=True):
            if one.freedom > FREEDOM[Action.DRAFT]:
                self._floors(one, scores)
        for lower, higher, axis in grid.rising:
            if outcomes[lower] is not outcomes[higher]:
                self._order(outcomes[lower], outcomes[higher], f"less {axis} confidence")

    def _floors(self, one: _Outcome, scores: Confidences) -> None:
        """A free outcome needs the confidences that the engine demands of every deployment."""
        rule, floor = self._row.rule, FLOORS[min(self._row.rule.tier, 2)]
        reads, answers = rule.reads is Reads.KNOWLEDGE, rule.reads in {Reads.KNOWLEDGE, Reads.TOOL}
        for name, score, least, asked in (
            ("sure", scores.classification, floor.sure, True),
            ("grounding", scores.grounding, floor.grounding, reads),
            ("answer", scores.answer, floor.answer, answers and scores.answer is not None),
        ):
            if asked and (score is None or score < least):
                self._problems.add(
                    f"intents.{self._row.intent}",
                    f"`{one.action}` with a limit `{name}` below {least:g}, the lowest for tier {rule.tier}",
                )

    def _not_freer(self, risky: tuple[_Outcome, ...], safe: tuple[_Outcome, ...], what: str) -> None:
        if not self._seen(risky, safe):
            for one, other in zip(risky, safe, strict=True):
                if one.freedom > other.freedom or one.writer > other.writer:
                    self._order(one, other, what)

    def _order(self, risky: _Outcome, safe: _Outcome, what: str) -> None:
        if risky.freedom > safe.freedom:
            self._note(risky, f"{what} gives more freedom: `{risky.action}` instead of `{safe.action}`", safe)
        elif risky.writer > safe.writer and risky.freedom == safe.freedom:
            self._note(risky, f"{what} gives a freer writer: `{risky.route}` instead of `{safe.route}`", safe)

    def _seen(self, one: tuple[_Outcome, ...], other: tuple[_Outcome, ...]) -> bool:
        """Whether these two were compared: circumstances that change nothing share their outcomes."""
        pair = (id(one), id(other))
        seen = pair in self._compared
        self._compared.add(pair)
        return seen

    def _distress(self, around: Sequence[World]) -> None:
        """Distress overrules everything: asked of `Policy.decide` itself, with the best confidences."""
        limits = self._policy.table.thresholds
        best = Confidences(classification=1.0, grounding=1.0, answer=1.0)
        for world in around:
            limit = limits.distress_vulnerable if world.facts.vulnerable else limits.distress
            for distress in (limit, 1.0):
                ruling = self._policy.decide(replace(world.facts, confidences=best, distress=distress))
                if ruling.action is not Action.ESCALATE or ruling.urgency is not Urgency.CRITICAL:
                    self._problems.add(
                        f"intents.{self._row.intent}",
                        f"distress ends with `{ruling.action}`, not with a person",
                    )
            self.cases += 2

    def _note(self, one: _Outcome, what: str, other: _Outcome | None = None) -> None:
        """Files a problem under the row that had the last word."""
        where = [_row_of(self._row, outcome) for outcome in (one, other) if outcome is not None]
        self._problems.add(" and ".join(dict.fromkeys(where)), what, self._row.intent)


_MISSING = {
    Band.DISTRESS: "somebody is in distress",
    Band.LOST: "nobody knows what is wanted",
    Band.UNSURE: "the intent is only likely",
    Band.VULNERABLE: "the caller is vulnerable",
    Band.UNVERIFIED: "identity is missing",
    Band.UNGROUNDED: "no article carries an answer",
    Band.DOUBTFUL: "the answer is doubtful",
    Band.SURE: "everything is known",
}


def _row_of(row: Row, outcome: _Outcome) -> str:
    if outcome.by:
        return f"overrides.{outcome.by}"
    if outcome.band is Band.LOST:
        return "lost"
    from_tier = outcome.band in _TIER_BANDS or (outcome.band is Band.SURE and row.rule.then is None)
    if from_tier and row.rule.reads is not Reads.PERSON:
        return f"tiers.{row.rule.tier}.{outcome.band}"
    if outcome.band in _TIER_BANDS:
        return f"tiers.{row.rule.tier}.{outcome.band}"
    return f"intents.{row.intent}"
