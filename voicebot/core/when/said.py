"""A day and time as it is said back to a caller. Pure, English."""

from __future__ import annotations

from datetime import date, datetime, time

from voicebot.core.number_words import BELOW_TWENTY, ORDINALS, WHOLE_TENS

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November",
    "December",
)  # fmt: skip
_ZONE_NAMES = {
    "America/Los_Angeles": "Pacific time", "America/Denver": "Mountain time",
    "America/Chicago": "Central time",
    "America/New_York": "Eastern time", "Pacific/Honolulu": "Hawaii time", "America/Anchorage": "Alaska time",
    "UTC": "U T C",
}  # fmt: skip
_WEEK = 7


def spoken_when(
    at: datetime, now: datetime, *, until: datetime | None = None, zone: str | None = None
) -> str:
    """A moment as it is said: ``tomorrow at half past ten in the morning``.

    Args:
        at: aware, in the zone in which it is said.
        now: aware; decides "today", "tomorrow", and a date when it is more than a week off.
        until: the end of a span that was asked for.
        zone: the time zone's name, if the caller named it.

    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 18, 10, 30, tzinfo=UTC)
    >>> spoken_when(datetime(2026, 11, 19, 10, 30, tzinfo=UTC), now)
    'tomorrow at ten thirty in the morning'
    >>> spoken_when(datetime(2026, 11, 23, 9, tzinfo=UTC), now, until=datetime(2026, 11, 23, 11, tzinfo=UTC))
    'on Monday between nine and eleven in the morning'
    """
    now = now.astimezone(at.tzinfo)
    day = spoken_day(at, now)
    hour = _clock(at.time())
    words = f"{day} at {hour}"
    if until is not None and until > at and until.date() == at.date():
        end = _clock(until.time())
        same = hour.rpartition(" in the ")[2] == end.rpartition(" in the ")[2] and " in the " in hour
        words = f"{day} between {hour.rpartition(' in the ')[0] if same else hour} and {end}"
    return words + (f", {_ZONE_NAMES.get(zone, zone)}" if zone is not None else "")


def spoken_day(at: datetime, now: datetime) -> str:
    """A day as it is said: "today", "on Friday", "on Friday the fourth of December"."""
    return _day(at.date(), now.astimezone(at.tzinfo).date())


def _day(day: date, today: date) -> str:
    ahead = (day - today).days
    if ahead == 0:
        return "today"
    if ahead == 1:
        return "tomorrow"
    if 0 < ahead < _WEEK:
        return f"on {_DAYS[day.weekday()]}"
    return f"on {_DAYS[day.weekday()]} the {_ordinal(day.day)} of {_MONTHS[day.month - 1]}"


def _ordinal(number: int) -> str:
    names = {value: name for name, value in ORDINALS.items()}
    if number in names:
        return names[number]
    return f"{WHOLE_TENS[number // 10]} {names[number % 10]}"


def _number(number: int) -> str:
    if number < 20:
        return BELOW_TWENTY[number]
    tens, ones = divmod(number, 10)
    return WHOLE_TENS[tens] + (f" {BELOW_TWENTY[ones]}" if ones else "")


def _clock(at: time) -> str:
    if at.minute == 0 and at.hour in {0, 12}:
        return "noon" if at.hour else "midnight"
    words = _number((at.hour - 1) % 12 + 1)
    if at.minute:
        words += f" {'oh ' if at.minute < 10 else ''}{_number(at.minute)}"
    part = "in the morning" if at.hour < 12 else "in the afternoon" if at.hour < 18 else "in the evening"
    return f"{words} {part if at.hour < 22 else 'at night'}"
