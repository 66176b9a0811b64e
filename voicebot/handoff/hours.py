"""Opening hours in the business's own time zone: when a team answers, and when next. Pure.

A week is written as days and spans::

    hours:
      mon-fri: 08:00-20:00
      sat: [09:00-12:00, 13:00-17:00]

``every day`` is the whole week, ``24:00`` the end of a day; a span whose end is not after its start runs
into the next day (``22:00-06:00``). Spans are wall-clock times: a day of 23 or 25 hours is opened and
closed when the clock on the wall says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_AHEAD_DAYS = 400
"""Longer than any holiday: a team that does not open within a year never will."""

_SPAN = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))$")


class HoursError(ValueError):
    """The hours cannot be read; the message says how they are written."""


@dataclass(frozen=True, slots=True)
class Span:
    """Minutes from a day's midnight, start included, end not; an end above 1440 is on the next day."""

    start: int
    end: int

    @classmethod
    def read(cls, text: str) -> Span:
        """From ``HH:MM-HH:MM``.

        Raises:
            HoursError: it is written otherwise.
        """
        match = _SPAN.fullmatch(text.strip())
        if match is None:
            raise HoursError(f"{text!r} is no span of a day: write 08:00-20:00, with 24:00 for its end")
        hour, minute, *rest = (int(one) for one in match.groups() if one is not None)
        start, end = hour * 60 + minute, rest[0] * 60 + rest[1]
        return cls(start, end if end > start else end + 24 * 60)


def spans(written: str | Sequence[str]) -> tuple[Span, ...]:
    """One span or a list of them.

    Raises:
        HoursError: one is written otherwise.
    """
    return tuple(Span.read(one) for one in ((written,) if isinstance(written, str) else written))


@dataclass(frozen=True, slots=True)
class Hours:
    """A team's week with its exceptions. Immutable.

    ``week``: seven days from Monday. ``exceptions``: dates with hours of their own, empty when closed.
    """

    week: tuple[tuple[Span, ...], ...]
    zone: ZoneInfo
    exceptions: Mapping[date, tuple[Span, ...]]

    @classmethod
    def read(
        cls,
        written: Mapping[str, str | Sequence[str]],
        zone: ZoneInfo,
        exceptions: Mapping[date, tuple[Span, ...]],
    ) -> Hours:
        """From the deployment's words; a day that stands twice has the later spans.

        Raises:
            HoursError: a day or span is written otherwise, or it never opens.
        """
        week: list[tuple[Span, ...]] = [()] * 7
        for days, text in written.items():
            for day in _days(days):
                week[day] = spans(text)
        if not any(week):
            raise HoursError("there is not one open hour in the week")
        return cls(tuple(week), zone, exceptions)

    def open_at(self, now: datetime) -> bool:
        """Whether somebody answers at this moment (aware, of any zone)."""
        return any(start <= now.astimezone(UTC) < end for start, end in self._around(now, 1))

    def next_opening(self, now: datetime) -> datetime | None:
        """``now`` if it is open, else when it opens next, in the business's zone; None: not within a year."""
        if self.open_at(now):
            return now
        after = (start for start, _ in self._around(now, LOOK_AHEAD_DAYS) if start > now.astimezone(UTC))
        found = min(after, default=None)
        return None if found is None else found.astimezone(self.zone)

    def _around(self, now: datetime, ahead_days: int) -> Iterator[tuple[datetime, datetime]]:
        """Openings in UTC from the day before ``now`` to the first day that has one ahead."""
        today = now.astimezone(self.zone).date()
        for offset in range(-1, ahead_days + 1):
            day = today + timedelta(days=offset)
            found = [(self._at(day, one.start), self._at(day, one.end)) for one in self._spans(day)]
            yield from found
            if any(start > now.astimezone(UTC) for start, _ in found):
                return

    def _spans(self, day: date) -> tuple[Span, ...]:
        return self.exceptions[day] if day in self.exceptions else self.week[day.weekday()]

    def _at(self, day: date, minutes: int) -> datetime:
        days, rest = divmod(minutes, 24 * 60)
        wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), self.zone)
        return wall.astimezone(UTC)


def _days(written: str) -> tuple[int, ...]:
    text = written.strip().lower()
    if text == "every day":
        return tuple(range(7))
    first, dash, last = text.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise HoursError(f"{written!r} is no day: write mon, mon-fri or every day")
    start, end = DAYS.index(first), DAYS.index(last or first)
    return tuple((start + n) % 7 for n in range((end - start) % 7 + 1))
