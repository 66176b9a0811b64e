"""Words that ask for a call back, and the time that the caller names for it. Pure, English."""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from datetime import datetime, timedelta

from voicebot.dialogue.flow.due import CLOSES, NOON, OPENS

_FIGURES = re.compile(r"[\d()+-]+")
FARTHEST = timedelta(days=7)
"""A time farther off than this is not promised."""
_CALL = r"(?:call|phone|ring|telephone)"
_THEN = (
    r"(?=$|[.,!?;]| (?:up|back|later|now|please|again|when|if|on|at|after|before|around|between|by|from|tomorrow|today"
    r"|tonight|this|next|in|within|instead|asap|as soon|soon|about|regarding|right|any|then|and|to|\w+day)\b)"
)
_CALL_BACK = re.compile(
    rf"\b{_CALL} (?:me|us){_THEN}|\bcalled back\b"
    rf"|\b{_CALL}(?: |-)?back\b|\bcallback\b|\bgive (?:me|us) a (?:(?:quick|short) )?(?:call|ring|buzz)\b"
    rf"|\bget back to me (?:by (?:phone|telephone)|on (?:the|my) (?:phone|cell))|\breach me (?:by|on|at) (?:phone|my)\b",
    re.IGNORECASE,
)
_NOT = re.compile(
    rf"\b(?:do not|don't|never|stop|nobody|no one|will i|can i|should i|may i|i will|i'll|let me|already|did you|you did|who|was told|promised|supposed|said|waiting|still|i can) (?!(?:get|have|be|like|ask|request) )(?:\w+ ){{0,4}}?(?:{_CALL}|callback|get back)"
    rf"|\bwill (?:the |a |your )?(?:driver|drivers|they|you|crew|courier|carrier|somebody|someone|he|she|it)\b|\bbefore (?:the|they|you|it|he) \w+",
    re.IGNORECASE,
)
_DAY = r"(?:today|tonight|tomorrow|(?:on |this |next )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|next week|this week|this (?:morning|afternoon|evening)|in the (?:morning|afternoon|evening)|(?:in|within) (?:an hour|half an hour|\w+ (?:minutes|hours|days)))"
_HOUR = r"(?:(?:at|around|about|after|before|by|from) (?:about )?(?:\d{1,2}(?:[:.]\d\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|lunch|lunchtime|work)(?: thirty| fifteen)?(?: ?(?:o'?clock|[ap]\.?m\.?))?)"
_WHEN = re.compile(
    rf"\b{_DAY}(?: (?:morning|afternoon|evening|night))?(?:,? (?:{_HOUR}))?|\b{_HOUR}(?: (?:{_DAY}))?",
    re.IGNORECASE,
)


def wants_call_back(text: str) -> bool:
    """Whether the caller asks to be called. That somebody promised to, or did not, is no such wish.

    >>> wants_call_back("could you call me back tomorrow"), wants_call_back("nobody called me back")
    (True, False)
    """
    plain = " ".join(text.replace("’", "'").split())
    return _CALL_BACK.search(plain) is not None and _NOT.search(plain) is None


def beside_the_call(text: str) -> str:
    """What a sentence says besides that somebody should call, when, and at which number.

    >>> beside_the_call("please call me tonight at 10, my lamp is broken")
    'please , my lamp is broken'
    """
    plain = " ".join(text.replace("’", "'").split())
    return " ".join(_FIGURES.sub(" ", _WHEN.sub(" ", _CALL_BACK.sub(" ", plain))).split())


def wished_time(text: str) -> str | None:
    """When the caller wishes to be called, in his own words; None if he names no time.

    >>> wished_time("call me tomorrow at 3 pm please"), wished_time("call me")
    ('tomorrow at 3 pm', None)
    """
    found = _WHEN.search(" ".join(text.replace("’", "'").split()))
    return found.group(0).strip(" ,.").lower() if found is not None else None


def wished_at(wish: str, now: datetime) -> datetime | None:
    """The moment that a wish means, if somebody works then and it can be kept; else None.

    An hour without "am" or "pm" is the one in working time. A part of a day means its end.

    >>> from datetime import UTC
    >>> wished_at("tomorrow at 3", datetime(2026, 11, 18, 10, 30, tzinfo=UTC)).isoformat()
    '2026-11-19T15:00:00+00:00'
    """
    hour = _hour_of(wish)
    day = _day_of(wish, now)
    if hour is None or (day is None and hour * 60 <= now.hour * 60 + now.minute):
        return None
    at = (day or now).replace(hour=hour, minute=0, second=0, microsecond=0)
    works = at.weekday() < _SATURDAY and OPENS < at.hour <= CLOSES
    return at if works and now < at <= now + FARTHEST else None


_SATURDAY = 5
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARTS = {"morning": NOON, "noon": NOON, "lunch": NOON, "lunchtime": NOON, "afternoon": 17, "work": CLOSES}


def _hour_of(wish: str) -> int | None:
    words = re.findall(r"\d+|[a-z]+", wish)
    said = re.search(r"\b(?:at|around|about|after|before|by|from) (?:about )?(\w+)", wish)
    word = said.group(1) if said is not None else ""
    number = int(word) if word.isdigit() else _NUMBERS.index(word) + 1 if word in _NUMBERS else None
    if number is not None:
        if number > 12:
            return number if number < 24 else None
        later = "pm" in words or "p" in words or "afternoon" in words
        early = "am" in words or "a" in words or "morning" in words
        if number != NOON and (later or (not early and number < OPENS)):
            number += NOON
        return number + 1 if "after" in words and number < CLOSES else number
    return next((hour for part, hour in _PARTS.items() if part in words), None)


def _day_of(wish: str, now: datetime) -> datetime | None:
    if "tomorrow" in wish:
        return now + timedelta(days=1)
    for at, name in enumerate(_DAYS):
        if name in wish:
            return now + timedelta(days=(at - now.weekday()) % 7 or 7)
    return None
