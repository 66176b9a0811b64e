"""By when something is promised, and how that is said. Pure: the time comes in.

Promises are made in working time (Monday to Friday, nine to six): nobody is told "in four hours" at night.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from voicebot.core.conversation import Urgency
from voicebot.dialogue.generation.spoken import cardinal

OPENS, CLOSES, NOON = 9, 18, 12
_SATURDAY = 5
_HOURS = {Urgency.CRITICAL: 1, Urgency.HIGH: 4}
_DAYS = {Urgency.NORMAL: 1, Urgency.LOW: 2}
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def due(now: datetime, urgency: Urgency) -> datetime:
    """When it is due: in one or four working hours, or at noon of the next or second working day.

    Full hours, in the time zone of ``now``.
    """
    if urgency in _HOURS:
        at = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=bool(now.minute or now.second))
        at = _working(at)
        for _ in range(_HOURS[urgency]):
            at += timedelta(hours=1)
            if at.hour > CLOSES or at.hour <= OPENS:
                at = _working(at) + timedelta(hours=1)
        return at
    at = now.replace(hour=NOON, minute=0, second=0, microsecond=0)
    for _ in range(_DAYS[urgency]):
        at = _next_working_day(at)
    return at


def spoken_due(at: datetime, now: datetime) -> str:
    """How a due time is said.

    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 20, 16, 5, tzinfo=UTC)
    >>> spoken_due(due(now, Urgency.NORMAL), now), spoken_due(due(now, Urgency.CRITICAL), now)
    ('by Monday at noon', 'by six this evening')
    """
    days = (at.date() - now.date()).days
    if days == 0:
        return f"by {_hour(at.hour)} {'this evening' if at.hour >= CLOSES - 1 else 'today'}"
    day = "tomorrow" if days == 1 else _NAMES[at.weekday()]
    return f"by {day} at {_hour(at.hour)}"


def _hour(hour: int) -> str:
    if hour == NOON:
        return "noon"
    return cardinal(hour if hour < NOON else hour - NOON)


def _working(at: datetime) -> datetime:
    """``at``, or the next opening."""
    if at.weekday() >= _SATURDAY or at.hour >= CLOSES:
        return _next_working_day(at).replace(hour=OPENS)
    return at.replace(hour=OPENS) if at.hour < OPENS else at


def _next_working_day(at: datetime) -> datetime:
    at += timedelta(days=1)
    while at.weekday() >= _SATURDAY:
        at += timedelta(days=1)
    return at
