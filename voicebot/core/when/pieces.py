"""What tokens say of a time, piece by piece: a day, a time of day, a part of a day, an interval. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from voicebot.core.when.words import MONTH_NAMES, SHORT_WEEKDAYS, WEEKDAYS, Token

PARTS: dict[str, tuple[int, int]] = {
    "morning": (7, 12),
    "lunchtime": (12, 14),
    "afternoon": (12, 18),
    "evening": (17, 21),
    "night": (18, 22),
}
"""Hours of the parts of a day, as callers mean them when they want to be called."""

ZONES = {
    "pacific": "America/Los_Angeles", "pt": "America/Los_Angeles", "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles", "mountain": "America/Denver", "mt": "America/Denver",
    "mst": "America/Denver",
    "mdt": "America/Denver", "central": "America/Chicago", "ct": "America/Chicago", "cst": "America/Chicago",
    "cdt": "America/Chicago", "eastern": "America/New_York", "et": "America/New_York",
    "est": "America/New_York",
    "edt": "America/New_York", "utc": "UTC", "gmt": "UTC", "hawaii": "Pacific/Honolulu",
    "alaska": "America/Anchorage",
}  # fmt: skip
"""Zones by the words that callers use. ``est`` is what people say all year: the zone's own time is meant."""

_NUMERIC_DATE = re.compile(r"^(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})/(\d{1,2})(?:/(\d{2,4}))?)$")


@dataclass(frozen=True, slots=True)
class Day:
    """A day: so many ``days`` from today, a ``weekday`` (0 Monday), or day and month (or day alone)."""

    days: int | None = None
    weekday: int | None = None
    next: bool = False
    this: bool = False
    date: tuple[int | None, int | None, int] | None = None
    """Year, month, day."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day. ``half``: "am" or "pm", if it was said; ``whole``: 0-23 is meant as it stands."""

    hour: int
    minute: int = 0
    half: Literal["am", "pm"] | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a day, by its name in `PARTS`."""

    name: str


@dataclass(frozen=True, slots=True)
class After:
    """So long from now. ``within``: at any time until then."""

    length: timedelta
    days: bool = False
    within: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A word between times: ``between from to after before not correction soon week``."""

    kind: Literal[
        "between", "from", "to", "and", "after", "before", "not", "correction", "soon", "weeks", "zone"
    ]
    value: str = ""


Piece = Day | Clock | Part | After | Mark

_CORRECTIONS = (
    ("no", "wait"), ("no", "sorry"), ("sorry", "i", "mean"), ("i", "mean"), ("make", "that"), ("make", "it"),
    ("or", "rather"), ("rather",), ("actually",), ("sorry",), ("instead",), ("no", "make"), ("but",),
    ("better",),
)  # fmt: skip
_SOON = (
    ("as", "soon", "as", "possible"), ("as", "soon", "as", "you", "can"), ("right", "away"), ("right", "now"),
    ("straight", "away"), ("asap",), ("immediately",), ("at", "once"), ("earliest",),
    ("as", "early", "as", "possible"),
    ("any", "time"), ("whenever",),
)  # fmt: skip
_AT = frozenset({"at", "by", "before", "after", "until", "between"})
_LOOSELY = frozenset({"around", "about", "from", "to", "and", "for", "or", "make", "say", "-", "–"})
"""Before a time too, and before many other things: what follows the number decides."""
_FOLLOWS = frozenset(
    {
        "", ",", ";", ".", "!", "?", "-", "–", "am", "pm", "oclock", "on", "in", "at", "tomorrow", "today",
        "tonight", "this",
        "next", "or", "and", "to", "until", "please", "the", "then", "if", "would", "works", "is", "sharp",
        "thanks",
        "pacific", "eastern", "central", "mountain", "morning", "afternoon", "evening", "instead", "for",
        "my", "when",
        *WEEKDAYS, *SHORT_WEEKDAYS,
    }
)  # fmt: skip


def pieces_of(tokens: Sequence[Token], *, bare: bool = False) -> list[Piece]:
    """What is said of a time, in order. ``bare``: it answers "when?", so that "three" is a time."""
    return list(_pieces(tokens, bare))


def _pieces(tokens: Sequence[Token], bare: bool) -> Iterator[Piece]:
    at = 0
    timed = False  # the piece before was of a time, so that a bare number goes on with it
    while at < len(tokens):
        for read in (_soon, _correction, _after, _day, _part, _zone, _mark):
            found = read(tokens, at)
            if found is not None:
                piece, used = found
                yield piece
                timed = not (isinstance(piece, Mark) and piece.kind in {"and", "not", "correction"}) or timed
                at += used
                break
        else:
            before = tokens[at - 1].text if at else ""
            loosely = before in _LOOSELY or bare or timed
            clock = _clock(tokens, at, marked=before in _AT or (loosely and _followed(tokens, at)))
            if clock is not None:
                piece, used = clock
                yield piece
                timed = True
                at += used
            else:
                timed = timed and tokens[at].text in {
                    "the",
                    "on",
                    "at",
                    "in",
                    ",",
                    "please",
                    "around",
                    "of",
                    "say",
                    "maybe",
                }
                at += 1


def _followed(tokens: Sequence[Token], at: int) -> bool:
    """Whether what stands behind a number lets it be a time."""
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    return (
        after is None
        or after.text in _FOLLOWS
        or (after.number is not None and not after.ordinal)
        or after.text in {"oh", "o", "zero"}
    )


def _word(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text if 0 <= at < len(tokens) else ""


def _number(tokens: Sequence[Token], at: int) -> int | None:
    if 0 <= at < len(tokens) and not tokens[at].ordinal:
        return tokens[at].number
    return None


def _starts(tokens: Sequence[Token], at: int, words: Sequence[str]) -> bool:
    return all(_word(tokens, at + n) == word for n, word in enumerate(words))


def _soon(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    for words in _SOON:
        if _starts(tokens, at, words):
            if words[0] in {"any", "whenever"} and _word(tokens, at + len(words)) in {
                "after",
                "before",
                "between",
                "from",
                "on",
                "until",
            }:
                return None
            return Mark("soon"), len(words)
    return None


def _correction(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    for words in _CORRECTIONS:
        if _starts(tokens, at, words):
            return Mark("correction"), len(words)
    return None


def _after(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    """``in two hours``, ``in an hour and a half``, ``within the hour``, ``two hours from now``."""
    within = _word(tokens, at) == "within"
    lead = 1 if _word(tokens, at) in {"in", "within"} else 0
    start = at + lead
    if _word(tokens, start) == "around":
        start += 1
    length, days, used = _length(tokens, start)
    if length is None:
        return None
    end = start + used
    if lead:
        return After(length, days=days, within=within), end - at
    if _starts(tokens, end, ("from", "now")):
        return After(length, days=days), end + 2 - at
    if _word(tokens, end) == "later":
        return After(length, days=days), end + 1 - at
    if days and _starts(tokens, end, ("from", "today")):
        return Day(days=length.days), end + 2 - at
    if days and _starts(tokens, end, ("from", "tomorrow")):
        return Day(days=length.days + 1), end + 2 - at
    return None


def _length(tokens: Sequence[Token], at: int) -> tuple[timedelta | None, bool, int]:
    first, second = _word(tokens, at), _word(tokens, at + 1)
    count = _number(tokens, at)
    used = 1
    if _starts(tokens, at, ("half", "an", "hours")) or _starts(tokens, at, ("half", "hours")):
        return timedelta(minutes=30), False, 3 if second == "an" else 2
    if _starts(tokens, at, ("half", "a", "hours")) or _starts(tokens, at, ("a", "half", "hours")):
        return timedelta(minutes=30), False, 3
    if _starts(tokens, at, ("three", "quarters", "of", "an", "hours")) or (
        count == 3 and second == "quarters"
    ):
        return timedelta(minutes=45), False, 5
    if _starts(tokens, at, ("a", "quarter", "of", "an", "hours")):
        return timedelta(minutes=15), False, 5
    if _starts(tokens, at, ("a", "couple", "of")):
        count, used = 2, 3
    elif _starts(tokens, at, ("a", "couple")):
        count, used = 2, 2
    elif _starts(tokens, at, ("a", "few")):
        count, used = 3, 2
    elif first in {"a", "an", "the", "one"} and second in {"hours", "minutes", "days", "weeks"}:
        count = 1
    if count is None:
        return None, False, 0
    half = 0.0
    if _starts(tokens, at + used, ("and", "a", "half")):
        half, used = 0.5, used + 3
    unit = _word(tokens, at + used)
    used += 1
    if unit == "hours" and _starts(tokens, at + used, ("and", "a", "half")):
        half, used = 0.5, used + 3
    match unit:
        case "minutes":
            return timedelta(minutes=count), False, used
        case "hours":
            return timedelta(hours=count + half), False, used
        case "days":
            return timedelta(days=count), True, used
        case "weeks":
            return timedelta(weeks=count), True, used
        case _:
            return None, False, 0


def _day(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    word = _word(tokens, at)
    if _starts(tokens, at, ("the", "days", "after", "tomorrow")):
        return Day(days=2), 4
    if _starts(tokens, at, ("days", "after", "tomorrow")):
        return Day(days=2), 3
    if word == "today":
        return Day(days=0), 1
    if word == "tonight":
        return Part("tonight"), 1
    if word == "tomorrow":
        return Day(days=1), 1
    if word in {"this", "next"}:
        named = WEEKDAYS.get(_word(tokens, at + 1), SHORT_WEEKDAYS.get(_word(tokens, at + 1)))
        if named is not None:
            return Day(weekday=named, next=word == "next", this=word == "this"), 2
        if _word(tokens, at + 1) == "weeks":
            return Mark("weeks", word), 2
        if word == "this" and _word(tokens, at + 1) in PARTS:
            return Part(f"this {_word(tokens, at + 1)}"), 2
    if word in WEEKDAYS:
        if _word(tokens, at + 1) == "weeks":  # "monday week"
            return Day(weekday=WEEKDAYS[word], next=True, this=True), 2
        return Day(weekday=WEEKDAYS[word]), 1
    if word in SHORT_WEEKDAYS:
        before, after = _word(tokens, at - 1), _word(tokens, at + 1)
        expected = not before or before in {"on", "for", "until", "by", ",", "and", "or"}
        timed = after in {
            "at",
            "morning",
            "afternoon",
            "evening",
            "around",
            "between",
            "after",
            "",
        } or _number(tokens, at + 1)
        if expected or timed:
            return Day(weekday=SHORT_WEEKDAYS[word]), 1
    return _date(tokens, at)


def _date(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    found = _NUMERIC_DATE.match(_word(tokens, at))
    if found is not None:
        year, month, day, first, second, last = (int(one) if one else None for one in found.groups())
        if first is not None and second is not None:
            year = None if last is None else last + 2000 if last < 100 else last
            month, day = first, second
            if month > 12:
                month, day = day, month
        if month is not None and day is not None and 1 <= month <= 12 and 1 <= day <= 31:
            return Day(date=(year, month, day)), 1
        return None
    month = MONTH_NAMES.get(_word(tokens, at))
    if month is not None:
        after = 2 if _word(tokens, at + 1) == "the" else 1
        value = tokens[at + after].number if at + after < len(tokens) else None
        if value is not None and 1 <= value <= 31:
            return Day(date=(_year(tokens, at + after + 1), month, value)), after + 1 + bool(
                _year(tokens, at + after + 1)
            )
        return None
    lead = 1 if _word(tokens, at) == "the" else 0
    token = tokens[at + lead] if at + lead < len(tokens) else None
    if token is None or token.number is None or not 1 <= token.number <= 31:
        return None
    of = at + lead + 1 + (_word(tokens, at + lead + 1) == "of")
    month = MONTH_NAMES.get(_word(tokens, of))
    if month is not None:
        year = _year(tokens, of + 1)
        return Day(date=(year, month, token.number)), of + 1 - at + bool(year)
    alone = lead and token.ordinal and _word(tokens, at + 2) not in {"one", "time", "item", "order", "floor"}
    return (Day(date=(None, None, token.number)), 2) if alone else None


def _year(tokens: Sequence[Token], at: int) -> int | None:
    value = _number(tokens, at)
    return value if value is not None and 2000 <= value < 2100 and tokens[at].digits == 4 else None


def _part(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    if _starts(tokens, at, ("first", "thing")):
        return Part("early"), 2
    if _starts(tokens, at, ("after", "work")) or _starts(tokens, at, ("after", "hours")):
        return Part("evening"), 2
    if _starts(tokens, at, ("end", "of", "the", "days")) or _starts(tokens, at, ("end", "of", "days")):
        return Part("late"), 4 if _word(tokens, at + 2) == "the" else 3
    word = _word(tokens, at)
    if word in {"early", "late"} and _word(tokens, at + 1) in {"morning", "afternoon", "evening"}:
        return Part(f"{word} {_word(tokens, at + 1)}"), 2
    return (Part(word), 1) if word in PARTS else None


def _zone(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    zone = ZONES.get(_word(tokens, at))
    if zone is None:
        return None
    used = 1
    if _word(tokens, at + used) in {"standard", "daylight"}:
        used += 1
    timed = _word(tokens, at + used) == "time"
    after_time = at > 0 and (
        tokens[at - 1].number is not None
        or ":" in tokens[at - 1].text
        or tokens[at - 1].text in {"am", "pm", "oclock", "noon"}
    )
    if not timed and not after_time:
        return None
    return Mark("zone", zone), used + timed


def _mark(tokens: Sequence[Token], at: int) -> tuple[Piece, int] | None:
    match _word(tokens, at):
        case "between":
            return Mark("between"), 1
        case "from":
            return Mark("from"), 1
        case "to" | "until" | "–" | "-":
            return Mark("to"), 1
        case "and":
            return Mark("and"), 1
        case "after" | "past" if _word(tokens, at) == "after":
            return Mark("after"), 1
        case "before" | "by":
            return Mark("before"), 1
        case "not":
            return Mark("not"), 1
        case _:
            return None


def _day_follows(tokens: Sequence[Token], at: int) -> bool:
    """Whether "tomorrow", "on friday", "in the morning" or the like makes the number before it a time."""
    while _word(tokens, at) in {"on", "in", "the", "at", ","}:
        at += 1
    return _word(tokens, at) in {"today", "tomorrow", "tonight", "this", "next", *PARTS, *WEEKDAYS}


_MINUTES = frozenset(range(1, 60))


def _clock(tokens: Sequence[Token], at: int, *, marked: bool) -> tuple[Clock, int] | None:
    """A time of day. ``marked``: a word before it says that a time follows."""
    word = _word(tokens, at)
    if word == "noon":
        return Clock(12, whole=True), 1
    if word == "midnight":
        return Clock(0, whole=True), 1
    found = _past_or_to(tokens, at)
    if found is not None:
        clock, used = found
        half, more = _half_of(tokens, at + used)
        return Clock(clock.hour, clock.minute, half, whole=clock.whole), used + more
    if ":" in word:
        hour, minute = (int(one) for one in word.split(":"))
        if hour > 24 or minute > 59:
            return None
        half, more = _half_of(tokens, at + 1)
        whole = half is None and (hour > 12 or word.startswith("0") or hour == 0)
        return Clock(hour % 24, minute, half, whole=whole), 1 + more
    hour = _number(tokens, at)
    if hour is None:
        return None
    if tokens[at].digits in {3, 4} and marked and hour // 100 < 24 and hour % 100 < 60:
        half, more = _half_of(tokens, at + 1)
        whole = half is None and (hour >= 1300 or tokens[at].text.startswith("0"))
        return Clock(hour // 100, hour % 100, half, whole=whole), 1 + more + (
            _word(tokens, at + 1 + more) == "hours"
        )
    if hour > 24:
        return None
    if _word(tokens, at + 1) in {"minutes", "hours", "days", "weeks"} and not tokens[at].digits:
        return None
    if tokens[at].digits and _word(tokens, at + 1) in {"minutes", "days", "weeks"}:
        return None
    used, minute, certain = 1, 0, False
    following = _number(tokens, at + 1)
    if _word(tokens, at + 1) in {"oh", "o", "zero"} and (_number(tokens, at + 2) or 99) < 10:
        minute, used = _number(tokens, at + 2) or 0, 3
    elif following is not None and 10 <= following < 60 and hour <= 24:
        minute, used = following, 2
    if _word(tokens, at + used) == "oclock":
        used, certain = used + 1, True
    half, more = _half_of(tokens, at + used)
    if not (marked or certain or half or _day_follows(tokens, at + used)):
        return None
    if half and hour > 12:
        half = None
    whole = half is None and (hour > 12 or tokens[at].text.startswith("0"))
    return Clock(hour % 24, minute, half, whole=whole), used + more


def _past_or_to(tokens: Sequence[Token], at: int) -> tuple[Clock, int] | None:
    """``half past ten``, ``quarter to six``, ``ten past four``, ``half ten``."""
    start = at + (_word(tokens, at) == "a")
    word = _word(tokens, start)
    minutes = 30 if word == "half" else 15 if word == "quarter" else _number(tokens, start)
    if minutes is None or minutes not in _MINUTES:
        return None
    used = start + 1
    if _word(tokens, used) == "minutes":
        used += 1
    side = _word(tokens, used)
    if word == "half" and side not in {"past", "after", "to"} and (_number(tokens, used) or 99) <= 12:
        return Clock((_number(tokens, used) or 0) % 24, 30), used + 1 - at
    if side not in {"past", "after", "to", "before", "of"}:
        return None
    minutes_said = _word(tokens, start + 1) == "minutes"
    if word not in {"half", "quarter"} and not minutes_said:
        if side not in {"past", "to"} or minutes % 5:
            return None  # "nine to eleven", "two after four" are no times of the clock
        if side == "to" and _word(tokens, at - 1) in {"from", "between"}:
            return None
    target = _word(tokens, used + 1)
    hour = 12 if target == "noon" else 0 if target == "midnight" else _number(tokens, used + 1)
    if hour is None or hour > 24:
        return None
    named = target in {"noon", "midnight"}
    if side in {"past", "after"}:
        return Clock(hour % 24, minutes, whole=named or hour > 12), used + 2 - at
    before = (hour * 60 - minutes) % (24 * 60)
    return Clock(
        before // 60 or (12 if not named else 0), before % 60, whole=named or hour > 13
    ), used + 2 - at


def _half_of(tokens: Sequence[Token], at: int) -> tuple[Literal["am", "pm"] | None, int]:
    used = int(_word(tokens, at) == "oclock")
    match _word(tokens, at + used):
        case "am":
            return "am", used + 1
        case "pm":
            return "pm", used + 1
        case _:
            return None, used
