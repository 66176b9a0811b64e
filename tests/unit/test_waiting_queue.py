"""Danger first, then who has waited long enough; an estimate from who talks, how long, how many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voicebot.handoff.connectors.connector import LONGEST_WAIT_S, wait_s
from voicebot.handoff.queue import Place, Waiting, estimate, places, priority_of, ranked, weight

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def waits(
    name: str, urgency: str = "normal", minutes: float = 0, *, skill: str = "general", live: bool = True
) -> Waiting:
    return Waiting(name, skill, priority_of(urgency), NOW - timedelta(minutes=minutes), live)


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ([waits("a", minutes=1), waits("b", minutes=2)], "ba"),
        ([waits("a", "normal"), waits("b", "high")], "ba"),
        ([waits("a", "high", 5), waits("b", "critical", 0)], "ba"),
        ([waits("a", "low", 600), waits("b", "critical", 0)], "ba"),
        ([waits("a", "low", 9), waits("b", "normal", 0)], "ba"),
        ([waits("a", "low", 11), waits("b", "normal", 0)], "ab"),
        ([waits("a", "normal", 0), waits("b", "normal", 5, live=False)], "ab"),
        ([waits("a", "normal", 0), waits("b", "normal", 8, live=False)], "ba"),
        ([waits("b"), waits("a")], "ab"),
        ([waits("a", "critical", 1), waits("b", "critical", 2)], "ba"),
        ([waits("a", "something else", 0), waits("b", "low", 0)], "ab"),
        ([], ""),
    ],
)
def test_who_is_next(waiting: list[Waiting], order: str) -> None:
    assert "".join(one.id for one in ranked(waiting, NOW)) == order
    assert "".join(one.id for one in ranked(reversed(waiting), NOW)) == order, "whatever order they come in"


def test_nobody_waits_so_long_as_to_go_before_danger() -> None:
    assert weight(waits("a", "high", 10_000), NOW) < weight(waits("b", "critical"), NOW)
    ahead = Waiting("a", "general", 30, NOW + timedelta(minutes=5))
    assert weight(ahead, NOW) == 45, "another node's clock is ahead: no less than just come"


def test_places_are_counted_where_the_same_people_take_them() -> None:
    """Payments is closed and falls to general; the privacy officer has nobody: they wait by themselves."""
    waiting = [
        waits("a", minutes=3),
        waits("b", minutes=2, skill="payments"),
        waits("c", minutes=1, skill="delivery"),
        waits("d", minutes=5, skill="privacy"),
        waits("e", minutes=4, skill="legal"),
        waits("f", minutes=1, skill="privacy"),
    ]
    teams = {"general": "general", "payments": "general", "delivery": "delivery"}
    assert places(waiting, NOW, lambda now, skill: teams.get(skill)) == {
        "a": Place("general", 1),
        "b": Place("general", 2),
        "c": Place("delivery", 1),
        "d": Place(None, 1),
        "e": Place(None, 1),
        "f": Place(None, 2),
    }


TALKS = (200.0, 300.0, 250.0, 100.0, 900.0)
"""Median 250 s."""


@pytest.mark.parametrize(
    ("waiting", "talks", "agents", "under_way", "seconds"),
    [
        (0, (), 1, (), 0.0),
        (0, (), 1, (100,), 200.0),
        (0, TALKS, 1, (100,), 150.0),
        (0, TALKS, 2, (100,), 0.0),
        (0, TALKS, 2, (100, 200), 50.0),
        (1, TALKS, 2, (100, 200), 150.0),
        (2, TALKS, 2, (100, 200), 300.0),
        (3, TALKS, 1, (), 750.0),
        (0, TALKS, 1, (250,), 125.0),
        (0, TALKS, 1, (4000,), 125.0),
        (0, TALKS[:2], 1, (0,), 280.0),
        (1, TALKS, 3, (), 0.0),
        (3, TALKS, 3, (), 250.0),
        (0, TALKS, 1, (10, 240), 10.0),
        (0, TALKS, 0, (), None),
        (5, (), -1, (), None),
    ],
)
def test_how_long_the_next_one_waits(
    waiting: int, talks: tuple[float, ...], agents: int, under_way: tuple[float, ...], seconds: float | None
) -> None:
    assert estimate(waiting, talks, agents, under_way=under_way) == seconds


def test_an_estimate_never_falls_with_more_in_front_or_fewer_people() -> None:
    for agents in range(1, 6):
        row = [estimate(n, TALKS, agents, under_way=(30, 90, 200)) or 0.0 for n in range(8)]
        assert row == sorted(row)
    column = [estimate(4, TALKS, agents) or 0.0 for agents in range(1, 8)]
    assert column == sorted(column, reverse=True)


@pytest.mark.parametrize(
    ("tries", "most", "asked_s", "low", "high"),
    [
        (1, 12, None, 0.8, 1.0),
        (2, 12, None, 1.6, 2.0),
        (5, 12, None, 12.8, 16.0),
        (11, 12, None, 720.0, 900.0),
        (40, 50, None, 720.0, 900.0),
        (1, 12, 7.0, 7.0, 7.0),
        (1, 12, 0.0, 0.8, 1.0),
        (1, 12, 1e9, LONGEST_WAIT_S, LONGEST_WAIT_S),
    ],
)
def test_tries_wait_twice_as_long_each_and_as_long_as_asked(
    tries: int, most: int, asked_s: float | None, low: float, high: float
) -> None:
    for delivery in ("de_1", "de_2", "de_3"):
        found = wait_s(delivery, tries, most, asked_s)
        assert found is not None
        assert low <= found <= high
    assert wait_s("de_1", most, most, asked_s) is None
    spread = {wait_s(f"de_{n}", 5, 12) for n in range(20)}
    assert len(spread) > 10, "not all at once"
