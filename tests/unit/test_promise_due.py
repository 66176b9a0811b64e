"""A promise is due in working time, and said as people say it."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime

import pytest

from voicebot.core.conversation import Urgency
from voicebot.dialogue.flow import due as module
from voicebot.dialogue.flow.due import CLOSES, OPENS, due, spoken_due

FRIDAY, SATURDAY, MONDAY = 20, 21, 23


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "urgency", "expected", "said"),
    [
        (at(FRIDAY, 16, 5), Urgency.NORMAL, at(MONDAY, 12), "by Monday at noon"),
        (at(FRIDAY, 16, 5), Urgency.LOW, at(24, 12), "by Tuesday at noon"),
        (at(FRIDAY, 16, 5), Urgency.CRITICAL, at(FRIDAY, 18), "by six this evening"),
        (at(FRIDAY, 16, 5), Urgency.HIGH, at(MONDAY, 12), "by Monday at noon"),
        (at(FRIDAY, 9, 0), Urgency.HIGH, at(FRIDAY, 13), "by one today"),
        (at(SATURDAY, 3, 0), Urgency.CRITICAL, at(MONDAY, 10), "by Monday at ten"),
        (at(MONDAY, 23, 59), Urgency.NORMAL, at(24, 12), "by tomorrow at noon"),
        (at(MONDAY, 7, 0), Urgency.CRITICAL, at(MONDAY, 10), "by ten today"),
    ],
)
def test_due_times(now: datetime, urgency: Urgency, expected: datetime, said: str) -> None:
    """The sooner the more urgent, never at night or on a weekend."""
    assert due(now, urgency) == expected
    assert spoken_due(expected, now) == said


def test_every_hour_of_a_week_gives_a_time_in_the_future_when_somebody_works() -> None:
    """All hours, all days, all urgencies."""
    for now in (at(day, hour, 30) for day in range(16, 24) for hour in range(24)):
        for urgency in Urgency:
            promised = due(now, urgency)
            assert promised > now
            assert promised.weekday() < 5
            assert OPENS < promised.hour <= CLOSES
            assert spoken_due(promised, now).startswith("by ")


def test_docstring_examples_are_true() -> None:
    """The module's own examples."""
    assert doctest.testmod(module).failed == 0
