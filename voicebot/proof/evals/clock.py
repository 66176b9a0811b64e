"""The time as a golden conversation has it, whenever it is held."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

HALF_PAST_TEN = time(10, 30)
"""In the morning: everybody is at work."""


class ConversationClock:
    """Stands still at the time of the conversation that is being held. One orchestrator reads it."""

    def __init__(self, today: date, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._usual = datetime.combine(today, HALF_PAST_TEN, self._zone)
        self._now = self._usual

    def set(self, at: datetime | None) -> None:
        """From now on it is ``at``, a local time; None: the set's day, in the morning."""
        self._now = self._usual if at is None else at.replace(tzinfo=self._zone)

    def now(self) -> datetime:
        """Aware."""
        return self._now
