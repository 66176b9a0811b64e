"""Who is next, and how long it takes: pure functions over what waits.

standing = places(waiting, now, team=people.answering)
standing["ho_..."]          # Place(team="general", position=2)
estimate(waiting=1, talk_times=[210, 300, 260], agents=2, under_way=[40, 200])    # seconds
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

PRIORITY = {"low": 10, "normal": 30, "high": 60, "critical": 100}
"""Of a handoff, by its urgency."""
AGING_S = 30.0
"""Seconds of waiting that are worth a point: a low one overtakes a fresh normal one after ten minutes."""
LIVE = 15
"""Points for somebody who waits on the line or in a chat."""
BELOW_CRITICAL = 99.0
"""What waiting alone can come to: nobody who waits long goes before danger."""
ENOUGH = 5
"""Conversations of a team until its own times count for more than the deployment's figure."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One that waits. ``live``: somebody is on the line or in the chat."""

    id: str
    skill: str
    priority: int
    since: datetime
    live: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands. ``team``: who takes it now, None while nobody does; ``position`` counts from 1."""

    team: str | None
    position: int


def priority_of(urgency: str) -> int:
    """A handoff's priority, 0 to 100."""
    return PRIORITY.get(urgency, PRIORITY["normal"])


def weight(one: Waiting, now: datetime) -> float:
    """What it counts now: its priority, more the longer it waits; the critical ones stay above all others."""
    if one.priority >= PRIORITY["critical"]:
        return float(one.priority)
    waited_s = max(0.0, (now - one.since).total_seconds())
    return min(BELOW_CRITICAL, one.priority + (LIVE if one.live else 0) + waited_s / AGING_S)


def ranked(waiting: Iterable[Waiting], now: datetime) -> list[Waiting]:
    """Who is next first: by weight, then by age, then by id (so that all nodes agree)."""
    return sorted(waiting, key=lambda one: (-weight(one, now), one.since, one.id))


def places(
    waiting: Iterable[Waiting], now: datetime, team: Callable[[datetime, str], str | None]
) -> dict[str, Place]:
    """Where each stands among those whom the same people take.

    Args:
        waiting: all that wait.
        now: the time.
        team: who answers for a skill now, as `People.answering`; None: nobody, they wait by themselves.
    """
    counts: dict[tuple[str | None, str], int] = {}
    found: dict[str, Place] = {}
    for one in ranked(waiting, now):
        taken_by = team(now, one.skill)
        queue = (taken_by, "" if taken_by is not None else one.skill)
        counts[queue] = counts.get(queue, 0) + 1
        found[one.id] = Place(taken_by, counts[queue])
    return found


def estimate(
    waiting: int,
    talk_times: Sequence[float],
    agents: int,
    *,
    under_way: Sequence[float] = (),
    typical_s: float = 300.0,
) -> float | None:
    """How long the next one waits, in seconds: those in front are given out as people become free.

    Args:
        waiting: how many are in front.
        talk_times: seconds that the team's latest conversations took; their median counts, blended with
            ``typical_s`` until there are `ENOUGH`.
        agents: how many people there are.
        under_way: seconds that each conversation under way has taken. One longer than usual is taken to be
            half over; of more conversations than people those count that end first.
        typical_s: the deployment's figure.

    Returns:
        None if there is nobody.
    """
    if agents <= 0:
        return None
    talk_s = _usual(talk_times, typical_s)
    busy = (talk_s - talked if talked < talk_s else talk_s / 2 for talked in under_way)
    free_in = heapq.nsmallest(agents, busy)
    free_in += [0.0] * (agents - len(free_in))
    heapq.heapify(free_in)
    for _ in range(waiting):
        heapq.heapreplace(free_in, free_in[0] + talk_s)
    return round(free_in[0], 1)


def _usual(talk_times: Sequence[float], typical_s: float) -> float:
    if not talk_times:
        return typical_s
    share = min(1.0, len(talk_times) / ENOUGH)
    return share * median(talk_times) + (1 - share) * typical_s
