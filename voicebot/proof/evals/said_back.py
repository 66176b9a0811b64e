"""What a bot may read back of a caller's words in words of its own: times, digits of a number. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from voicebot.core.when import parse_when, settle, spoken_when
from voicebot.dialogue.generation.spoken import digits

_NUMBER = re.compile(r"\d[\d\s().-]{5,}\d")


def said_back(text: str, now: datetime, is_open: Callable[[datetime], bool]) -> Iterator[str]:
    """Texts in which a caller's time and number may be said back.

    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 18, 10, 30, tzinfo=UTC)
    >>> list(said_back("call me tomorrow at half past ten", now, lambda at: at.hour < 18))
    ['tomorrow at ten thirty in the morning', 'tomorrow at ten thirty at night']
    """
    for number in _NUMBER.findall(text):
        yield digits(re.sub(r"\D", "", number))
    when = parse_when(text, now, answers=True)
    if when is None:
        return
    kept = settle(when, now, is_open)
    found: dict[str, None] = {}
    for at, until in ((when.at, when.until), (when.other, None), (kept.at, kept.until)):
        if at is not None:
            found[spoken_when(at, now, until=until)] = None
    yield from found
