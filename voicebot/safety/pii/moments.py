"""Dates and times out of words. Pure. Dates are written as ISO 8601, times on the clock of 24 hours."""

from __future__ import annotations

from voicebot.core.number_words import MONTHS
from voicebot.safety.pii.numbers import SMALL, Run, below_hundred, cardinal, ordinal, run
from voicebot.safety.pii.words import Word

_BORN_BEFORE = 30
"""A year of two digits above it is of the last century."""
ZONES = frozenset({"gmt", "utc", "eastern", "pacific", "central", "mountain"})
_HALVES = {"am": 0, "pm": 12}
_TOLD = frozenset({10, 20, 25})
"""Minutes that are told without the word; "five to seven" is rather a span."""
_BY = frozenset({"at", "by", "around", "until", "till", "before", "after", "from", "about", "between"})


def year(words: list[Word], at: int) -> tuple[int, int] | None:
    """A year: "nineteen eighty five", "two thousand and twelve", "twenty oh five", "85"."""
    if at >= len(words):
        return None
    text = words[at].text
    if words[at].form == "figure" and text.isdigit() and len(text) in {2, 4}:
        return _whole_year(int(text), len(text)), at + 1
    if text not in SMALL:
        return None
    read = cardinal(words, at)
    if read is not None and read[2]:
        return (read[0], read[1]) if 1000 <= read[0] <= 2199 else None
    first = below_hundred(words, at)
    if first is None:
        return None
    century, after = first
    if century in {16, 17, 18, 19, 20}:
        rest = below_hundred(words, after)
        if rest is not None and rest[0] >= 10:
            return century * 100 + rest[0], rest[1]
        if after + 1 < len(words) and words[after].text in {"oh", "o", "zero"}:
            unit = below_hundred(words, after + 1)
            if unit is not None and unit[0] < 10:
                return century * 100 + unit[0], unit[1]
    return (_whole_year(century, 2), after) if century >= _BORN_BEFORE or century <= 12 else None


def date(words: list[Word], at: int) -> tuple[str, int] | None:
    """A date that begins here."""
    word = words[at]
    if word.form == "date":
        return _written(word.text), at + 1
    here = at + 1 if word.text == "the" else at
    if here >= len(words):
        return None
    if words[here].text in MONTHS and here == at:
        return _month_first(words, here)
    day = ordinal(words, here) or _day(words, here)
    if day is None or not 1 <= day[0] <= 31:
        return None
    after = day[1]
    if after < len(words) and words[after].text in {"of", "day"}:
        after += 2 if words[after].text == "day" else 1
    elif here == at and day[0] and words[here].text in SMALL and words[after - 1].text not in SMALL:
        pass
    if after >= len(words) or words[after].text not in MONTHS:
        return None
    month = MONTHS[words[after].text]
    return _with_year(words, month, day[0], after + 1)


def clock(words: list[Word], at: int, *, asked: bool = False) -> tuple[str, int] | None:
    """A time that begins here. ``asked``: a time was asked for, so that "eight fifty two" is one."""
    word = words[at]
    if word.form == "time":
        hour, minute = map(int, word.text.split(":"))
        return _half(words, hour, minute, at + 1)
    text = word.text
    if text in {"half", "quarter"} or (text == "a" and _next(words, at) == "quarter"):
        here = at + 1 if text == "a" else at
        minutes = 30 if words[here].text == "half" else 15
        return _relative(words, minutes, here + 1)
    if text not in SMALL and word.form != "figure":
        return None
    first = _small(words, at)
    if first is None:
        return None
    value, after = first
    following = words[after].text if after < len(words) else ""
    if following in {"past", "to", "minutes", "minute", "min", "mins"} or following == "after":
        named = following.startswith("min")
        relative = _relative(words, value, after + 1 if named else after)
        if relative is not None and (named or asked or value in _TOLD):
            return relative
    if not 1 <= value <= 24:
        return None
    if following in {"o'clock", "oclock"}:
        return _half(words, value, 0, after + 1)
    if following == "o" and after + 1 < len(words) and words[after + 1].text == "clock":
        return _half(words, value, 0, after + 2)
    if _half_of(words, after) is not None:
        return _half(words, value, 0, after)
    minute = _minute(words, after)
    if minute is None:
        return None
    named = _half_of(words, minute[1]) is not None or _next(words, minute[1] - 1) in ZONES
    before = words[at - 1].text in _BY if at else False
    more = minute[1] < len(words) and words[minute[1]].text in SMALL
    if named or ((asked or before) and not more):
        return _half(words, value, minute[0], minute[1])
    return None


def is_year(read: Run) -> bool:
    """Whether the digits are likely a year that was said alone."""
    if len(read.chunks) == 1:
        return read.chunks[0].figure is False and read.chunks[0].whole and 1900 <= int(read.text) <= 2099
    parts = [chunk.text for chunk in read.chunks]
    return len(parts) == 2 and parts[0] in {"16", "17", "18", "19", "20"} and len(parts[1]) == 2


def of_digits(digits: str) -> str | None:
    """A date keyed or said as digits: month, day, year as six or eight; None if it can be none."""
    if len(digits) not in {6, 8}:
        return None
    month, day, rest = int(digits[:2]), int(digits[2:4]), digits[4:]
    if len(digits) == 8 and digits[:2] in {"19", "20"}:
        rest, month, day = digits[:4], int(digits[4:6]), int(digits[6:])
    if month > 12 and day <= 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{_whole_year(int(rest), len(rest))}-{month:02d}-{day:02d}"


def _month_first(words: list[Word], at: int) -> tuple[str, int] | None:
    month, here = MONTHS[words[at].text], at + 1
    if here < len(words) and words[here].text == "the":
        here += 1
    day = ordinal(words, here)
    if day is not None and 1 <= day[0] <= 31:
        return _with_year(words, month, day[0], day[1])
    whole = year(words, here)
    if whole is not None and whole[0] >= 1000 and whole[1] - here > 1 and here == at + 1:
        return f"{whole[0]}-{month:02d}", whole[1]
    if (
        whole is not None
        and here < len(words)
        and len(words[here].text) == 4
        and words[here].form == "figure"
    ):
        return f"{whole[0]}-{month:02d}", whole[1]
    cardinal_day = _day(words, here)
    if cardinal_day is not None and 1 <= cardinal_day[0] <= 31:
        return _with_year(words, month, *cardinal_day)
    return None


def _day(words: list[Word], at: int) -> tuple[int, int] | None:
    if (
        at < len(words)
        and words[at].form == "figure"
        and words[at].text.isdigit()
        and len(words[at].text) < 3
    ):
        return int(words[at].text), at + 1
    return below_hundred(words, at)


def _with_year(words: list[Word], month: int, day: int, at: int) -> tuple[str, int]:
    here = at
    while here < len(words) and words[here].text in {"of", "in", "-", "the", "year"}:
        here += 1
    whole = year(words, here)
    if whole is None:
        return f"{month:02d}-{day:02d}", at
    return f"{whole[0]}-{month:02d}-{day:02d}", whole[1]


def _whole_year(value: int, length: int) -> int:
    if length == 4 or value >= 100:
        return value
    return value + (1900 if value > _BORN_BEFORE else 2000)


def _written(text: str) -> str:
    if "-" in text:
        return text
    month, day, whole = (int(part) for part in text.replace(".", "/").split("/"))
    if month > 12:
        month, day = day, month
    return f"{whole}-{month:02d}-{day:02d}"


def _small(words: list[Word], at: int) -> tuple[int, int] | None:
    if words[at].form == "figure":
        return (int(words[at].text), at + 1) if words[at].text.isdigit() and len(words[at].text) < 3 else None
    return below_hundred(words, at)


def _minute(words: list[Word], at: int) -> tuple[int, int] | None:
    if at >= len(words):
        return None
    if words[at].text in {"oh", "o", "zero"}:
        unit = below_hundred(words, at + 1)
        return unit if unit is not None and unit[0] < 10 else None
    read = _small(words, at)
    return read if read is not None and 10 <= read[0] < 60 else None


def _relative(words: list[Word], minutes: int, at: int) -> tuple[str, int] | None:
    if at + 1 >= len(words) or words[at].text not in {"past", "to", "after", "before", "till"}:
        return None
    hour = _small(words, at + 1)
    if hour is None or not 1 <= hour[0] <= 12 or minutes > 59:
        return None
    back = words[at].text in {"to", "before", "till"}
    value = hour[0] - 1 if back else hour[0]
    if back and value == 0:
        value = 12
    return _half(words, value, 60 - minutes if back else minutes, hour[1])


def _half_of(words: list[Word], at: int) -> tuple[int, int] | None:
    """Twelve hours for "p m", none for "a m", and the place behind; None if neither stands here."""
    if at >= len(words):
        return None
    text = words[at].text
    if text in _HALVES:
        return _HALVES[text], at + 1
    dots = at + 1 < len(words) and words[at + 1].text == "."
    second = at + 2 if dots else at + 1
    if text in {"a", "p"} and second < len(words) and words[second].text == "m":
        return (12 if text == "p" else 0), second + 1
    return None


def _half(words: list[Word], hour: int, minute: int, at: int) -> tuple[str, int] | None:
    if hour > 24 or minute > 59:
        return None
    half = _half_of(words, at)
    if half is not None:
        if hour > 12:
            return None
        hour, at = hour % 12 + half[0], half[1]
    zone = ""
    if at < len(words) and words[at].text in ZONES:
        zone, at = f" {words[at].text}", at + 1
    elif at + 2 < len(words) and "".join(word.text for word in words[at : at + 3]) in ZONES:
        zone, at = " " + "".join(word.text for word in words[at : at + 3]), at + 3
    return f"{hour:02d}:{minute:02d}{zone}", at


def _next(words: list[Word], at: int) -> str:
    return words[at + 1].text if at + 1 < len(words) else ""


__all__ = ["clock", "date", "is_year", "of_digits", "run", "year"]
