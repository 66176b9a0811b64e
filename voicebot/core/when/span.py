"""What was meant by a day and a time: a moment, or a span, and what is doubtful about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Doubt(StrEnum):
    """Why a time cannot just be taken as it was said."""

    HALF = "half"
    """Morning or afternoon: `When.other` is the later one."""
    DAY = "day"
    """Which of two days: `When.other` is the earlier one. Or no day at all ("next week")."""
    HOUR = "hour"
    """A day, and no time of it."""
    PAST = "past"
    """It has gone by."""
    GAP = "gap"
    """Clocks go forward over it: there is no such time."""
    TWICE = "twice"
    """Clocks go back over it: `When.other` is the second time."""


@dataclass(frozen=True, slots=True)
class When:
    """A moment (``until`` is ``at``) or a span from ``at`` until ``until``, both aware, in one time zone.

    ``part``: as it was said, if it was a part of a day ("afternoon"). ``named_zone``: the caller named the
    time zone, so it is said back.
    """

    at: datetime
    until: datetime
    doubt: Doubt | None = None
    other: datetime | None = None
    part: str | None = None
    named_zone: str | None = None

    @property
    def moment(self) -> bool:
        """Whether it is one moment."""
        return self.at == self.until
