"""A team is open by the clock on its own wall: over midnight, on holidays, on days of 23 and 25 hours."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from voicebot.handoff.hours import Hours, HoursError, Span, spans

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {"mon-fri": ("09:00-12:00", "13:00-17:00"), "sat": "10:00-14:00"}
NIGHT = {"fri-sat": "22:00-06:00"}
CHRISTMAS = {date(2026, 12, 25): (), date(2026, 12, 24): spans("09:00-11:00")}


def hours(written: dict[str, str | tuple[str, ...]], zone: ZoneInfo = BERLIN) -> Hours:
    return Hours.read(written, zone, CHRISTMAS)


def at(text: str) -> datetime:
    """Wall time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("written", "when", "is_open"),
    [
        (OFFICE, "2026-11-20 08:59", False),
        (OFFICE, "2026-11-20 09:00", True),
        (OFFICE, "2026-11-20 11:59", True),
        (OFFICE, "2026-11-20 12:00", False),
        (OFFICE, "2026-11-20 13:00", True),
        (OFFICE, "2026-11-20 17:00", False),
        (OFFICE, "2026-11-21 10:30", True),
        (OFFICE, "2026-11-22 10:30", False),
        (OFFICE, "2026-12-25 10:00", False),
        (OFFICE, "2026-12-24 10:59", True),
        (OFFICE, "2026-12-24 11:00", False),
        (NIGHT, "2026-11-20 21:59", False),
        (NIGHT, "2026-11-20 23:00", True),
        (NIGHT, "2026-11-21 05:59", True),
        (NIGHT, "2026-11-21 06:00", False),
        (NIGHT, "2026-11-22 05:59", True),
        (NIGHT, "2026-11-23 01:00", False),
        ({"every day": "00:00-24:00"}, "2026-11-22 23:59", True),
        ({"fri-mon": "09:00-10:00"}, "2026-11-23 09:30", True),
        ({"fri-mon": "09:00-10:00"}, "2026-11-24 09:30", False),
    ],
)
def test_open_or_not(written: dict[str, str | tuple[str, ...]], when: str, is_open: bool) -> None:
    assert hours(written).open_at(at(when)) is is_open
    assert hours(written).open_at(at(when).astimezone(UTC)) is is_open, "whatever the zone it is asked in"


@pytest.mark.parametrize(
    ("written", "when", "opens"),
    [
        (OFFICE, "2026-11-20 10:00", "2026-11-20 10:00"),
        (OFFICE, "2026-11-20 12:30", "2026-11-20 13:00"),
        (OFFICE, "2026-11-20 18:00", "2026-11-21 10:00"),
        (OFFICE, "2026-11-21 14:00", "2026-11-23 09:00"),
        (OFFICE, "2026-12-24 11:30", "2026-12-26 10:00"),
        (NIGHT, "2026-11-22 07:00", "2026-11-27 22:00"),
        (OFFICE, "2026-03-27 17:30", "2026-03-28 10:00"),
        (OFFICE, "2026-03-28 15:00", "2026-03-30 09:00"),
    ],
)
def test_when_it_opens_next(written: dict[str, str | tuple[str, ...]], when: str, opens: str) -> None:
    assert hours(written).next_opening(at(when)) == at(opens)


def test_the_night_the_clocks_change_is_as_long_as_it_is() -> None:
    """On 25 October 2026 Berlin has two o'clock twice: ten hours from ten in the evening to seven."""
    night = hours({"sat": "22:00-07:00"})
    minutes = [
        minute
        for minute in range(0, 16 * 60, 30)
        if night.open_at(datetime.fromtimestamp(1_792_864_800 + minute * 60, UTC))
    ]
    assert len(minutes) * 30 == 10 * 60


def test_a_team_that_is_only_ever_on_holiday_never_opens() -> None:
    day = date(2026, 12, 25)
    closed = {date.fromordinal(day.toordinal() + n): () for n in range(-400, 500)}
    assert Hours.read(OFFICE, BERLIN, closed).next_opening(at("2026-11-20 10:00")) is None


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"mon": ()},
        {"monday": "09:00-17:00"},
        {"mon-": "09:00-17:00"},
        {"mon": "9:00-17:00"},
        {"mon": "09:00-25:00"},
        {"mon": "09:60-17:00"},
        {"mon": "24:00-09:00"},
        {"mon": "all day"},
    ],
)
def test_what_is_no_week_is_refused(written: dict[str, str | tuple[str, ...]]) -> None:
    with pytest.raises(HoursError):
        hours(written)


def test_a_span_that_ends_before_it_starts_ends_the_next_day() -> None:
    assert Span.read("22:00-06:00") == Span(22 * 60, 30 * 60)
    assert Span.read("00:00-24:00") == Span(0, 1440)
