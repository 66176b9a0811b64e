"""The finite domain of the policy: every case that could make a difference to a row.

Confidences are real numbers, but a row only compares them with its limits. So each limit, the number
just below it, and "not measured" stand for all of them. Circumstances (segment, region,
time, date, health) matter only through the overrides and grants that name them: each value that is
named, one that is not, and "unknown" stand for all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time

from voicebot.core.conversation import Confidences
from voicebot.safety.policy.facts import Health, PolicyFacts
from voicebot.safety.policy.rows import Reads
from voicebot.safety.policy.segment import supposed
from voicebot.safety.policy.setting import Row, Setting

_NO_LIMITS = (None, 1.0)

OTHER = "another_one"
"""Stands for every segment or region that no row names."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of the three confidences that tells cases of a row apart.

    Each axis begins with None (not measured) and rises. ``points`` holds the combinations, the answer's
    confidence changing fastest, the classification's slowest.
    """

    axes: tuple[tuple[float | None, ...], tuple[float | None, ...], tuple[float | None, ...]]
    points: tuple[Confidences, ...]
    rising: tuple[tuple[int, int, str], ...]
    """Pairs of points (index of the lower, of the higher) that are one step apart, and on which axis. An
    answer that nobody judged is compared with the best one only: it is unknown, not doubtful."""

    @classmethod
    def of(cls, rule_reads: Reads, settings: Iterable[Setting], writing: float) -> Grid:
        """The grid on which all of these settings can be compared. What a row does not read has no limits."""
        known = tuple(settings)
        classifications = steps(limit for one in known for limit in (one.unsure, one.sure))
        reads, answers = rule_reads is Reads.KNOWLEDGE, rule_reads in {Reads.KNOWLEDGE, Reads.TOOL}
        groundings = steps((*(one.grounding for one in known), writing)) if reads else _NO_LIMITS
        judged = steps(one.answer for one in known) if answers else _NO_LIMITS
        points = tuple(
            Confidences(classification=c, grounding=g, answer=a)
            for c, g, a in itertools.product(classifications, groundings, judged)
        )
        return cls(
            (classifications, groundings, judged),
            points,
            tuple(_rising(len(classifications), len(groundings), len(judged))),
        )


@dataclass(frozen=True, slots=True)
class World:
    """The circumstances of a case: everything but its confidences."""

    facts: PolicyFacts
    safer: tuple[tuple[int, str], ...]
    """Worlds (by index) that differ in one fact and are less risky, and what the difference is."""

    def __str__(self) -> str:
        facts = self.facts
        parts = (
            "verified" if facts.verified else "unverified",
            facts.segment and f"segment {facts.segment.name}",
            facts.region and f"region {facts.region}",
            facts.local_time and f"{facts.local_time:%H:%M}",
            facts.healthy is Health.DEGRADED and "degraded",
            facts.vulnerable and "vulnerable",
        )
        return ", ".join(str(part) for part in parts if part)


def worlds(row: Row) -> tuple[World, ...]:
    """All circumstances that could make a difference to a row."""
    found: list[World] = []
    callers = ((False, None), *((True, name) for name in _segments(row)))
    for region, clock, weekday, today in itertools.product(
        _regions(row), _clocks(row), _weekdays(row), _dates(row)
    ):
        base = PolicyFacts(
            row.intent, Confidences(), False, region=region, local_time=clock, weekday=weekday, today=today
        )  # fmt: skip
        first = len(found)
        at = {
            key: first + index
            for index, key in enumerate(itertools.product(Health, range(len(callers)), (False, True)))
        }
        for health, caller, vulnerable in at:
            verified, segment = callers[caller]
            safer = []
            if health is Health.DEGRADED:
                safer.append((at[Health.OK, caller, vulnerable], "a degraded channel"))
            if vulnerable:
                safer.append((at[health, caller, False], "a vulnerable caller"))
            if not verified:
                safer += [
                    (at[health, other, vulnerable], "less verification") for other in range(1, len(callers))
                ]
            facts = replace(
                base,
                verified=verified,
                segment=None if segment is None else supposed(segment),
                healthy=health,
                vulnerable=vulnerable,
            )
            found.append(World(facts, tuple(safer)))
    return tuple(found)


def steps(limits: Iterable[float]) -> tuple[float | None, ...]:
    """Values that stand for all numbers 0..1 that are compared with ``limits`` by >=, None first.

    >>> steps([0.5])
    (None, 0.49999999999999994, 0.5)
    """
    points: set[float] = set()
    for limit in limits:
        points |= {limit, max(0.0, math.nextafter(limit, 0))}
    return (None, *sorted(points))


def _rising(classifications: int, groundings: int, answers: int) -> Iterator[tuple[int, int, str]]:
    names = ("classification", "grounding", "answer")
    sizes, strides = (classifications, groundings, answers), (groundings * answers, answers, 1)
    for index, at in enumerate(itertools.product(*map(range, sizes))):
        for axis, name in enumerate(names):
            if at[axis] + 1 < sizes[axis] and not (axis == 2 and at[axis] == 0):
                yield index, index + strides[axis], name
        if at[2] == 0:
            yield index, index + answers - 1, "answer"


def _segments(row: Row) -> tuple[str | None, ...]:
    named = {name for _, override in row.overrides for name in override.when.segments}
    return _with_unknown(named | {name for _, grant in row.grants for name in grant.segments})


def _regions(row: Row) -> tuple[str | None, ...]:
    return _with_unknown({name for _, override in row.overrides for name in override.when.regions})


def _clocks(row: Row) -> tuple[time | None, ...]:
    edges = {time.fromisoformat(one) for _, override in row.overrides for one in override.when.hours or ()}
    return (None, *sorted({time(0), *edges})) if edges else (None,)


def _weekdays(row: Row) -> tuple[int | None, ...]:
    return (None, *range(7)) if any(override.when.days for _, override in row.overrides) else (None,)


def _dates(row: Row) -> tuple[date | None, ...]:
    return (None, *sorted({day for _, grant in row.grants for day in (grant.reviewed, grant.until)}))


def _with_unknown(names: Iterable[str]) -> tuple[str | None, ...]:
    known = sorted(set(names))
    return (None, *known, OTHER) if known else (None,)
