"""Facts in words: amounts, dates, times, spans, shares, codes, addresses of the net, states of an order. Pure.

The same reading is made of what a model writes and of what may back it, so that "thirty days", "30 days" and
"30-day" are one value, and "thirty dollars" is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from voicebot.core.number_words import MONTHS
from voicebot.safety.guard_out.tokens import Run, is_number, runs, tokens

QUALIFIERS = frozenset(
    {
        "about",
        "around",
        "roughly",
        "nearly",
        "almost",
        "approximately",
        "circa",
        "maybe",
        "probably",
        "over",
        "under",
    }
)
"""Words that turn a value into another one."""
_TALK = frozenset(
    {"ask", "asked", "asking", "talk", "talked", "know", "say", "said", "question", "questions"}
)
WEEKDAYS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})
_MONEY = {
    "dollar": "",
    "dollars": "",
    "buck": "",
    "bucks": "",
    "usd": "",
    "euro": "",
    "euros": "",
    "cents": "c",
    "cent": "c",
}
_UNITS = {
    unit + s: unit
    for unit in ("second", "minute", "hour", "day", "night", "week", "weekend", "month", "year")
    for s in ("", "s")
}
_BETWEEN = frozenset(
    {
        "working",
        "business",
        "calendar",
        "full",
        "whole",
        "short",
        "more",
        "extra",
        "additional",
        "consecutive",
        "or",
        "to",
    }
)
_PARTS = {"morning": "am", "afternoon": "pm", "evening": "pm", "night": "pm"}
_FRACTIONS = {
    "half": "1/2",
    "quarter": "1/4",
    "quarters": "1/4",
    "third": "1/3",
    "thirds": "1/3",
    "twice": "2x",
    "double": "2x",
    "triple": "3x",
}
_SHARED = frozenset(
    {"price", "off", "cost", "amount", "fee", "money", "refund", "total", "back", "price.", "discount"}
)
_RELATIVE = re.compile(
    r"\b(?:(?:next|this|coming|following|in the next|in a few|in a couple of|within a few|within the next|later this|end of the|early next) "
    r"(?:week|month|year|weekend|days?|hours?|minutes?|monday|tuesday|wednesday|thursday|friday|saturday|sunday)|tomorrow|tonight|yesterday|"
    r"the day after tomorrow|by (?:tomorrow|tonight|noon|midnight|christmas))\b|\btoday\b"
)
_EVENT = re.compile(
    r"\b(?:arriv\w*|deliver\w*|ship\w*|sen[dt]\w*|comes|coming|come to you|call\w*|pay\w*|paid|refund\w*|credit\w*|get|gets|receive\w*|be there|expect\w*|due|ready|back)\b"
)
_STATUS = re.compile(
    r"\b(?:your|the|that|this) (?:\w+ ){0,2}?(?:order|parcel|package|delivery|shipment|refund|return|payment|money|item|sofa|account|appointment|subscription|card)"
    r"(?:'s|s)? (?:\w+ ){0,2}?(?P<how>shipped|delivered|delayed|cancell?ed|refunded|returned|approved|processed|dispatched|confirmed|declined|lost|"
    r"out for delivery|on (?:its|the) way|in transit|packed|paid|charged|blocked|locked|closed|credited|booked|rescheduled|accepted|rejected|on hold)\b"
)
_DONE = re.compile(
    r"\b(?:i|we)(?:'ve| have|'re| are)? (?:just |already |now |hereby )*(?:cancell?ed|refunded|shipped|approved|processed|credited|booked|changed|updated|removed|"
    r"deleted|waived|applied|issued|ordered|upgraded|verified|reset|sent you|noted|recorded|scheduled)\b"
)
_CONDITION = re.compile(
    r"\b(?:if|when|once|after|until|unless|before|whether|as soon as|in case|while|how)\b"
)
_SPOKEN_MAIL = re.compile(
    r"\b([a-z0-9]+(?: (?:dot|underscore|dash|hyphen) [a-z0-9]+)*) at ([a-z0-9]+(?: [a-z0-9]+)?(?: dot [a-z0-9]+)+)"
)
_SPOKEN_SITE = re.compile(
    r"\b([a-z0-9]+(?: dot [a-z0-9]+)* dot (?:com|net|org|io|co|shop|example|us|info|biz|de))\b"
)
_SITE = re.compile(
    r"(?:https?://)?(?:www\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|org|io|co|shop|example|us|info|biz|ly))\b"
)


class Fact(StrEnum):
    """The kinds of values that need a source."""

    AMOUNT = "amount"
    PERCENT = "percent"
    FRACTION = "fraction"
    DATE = "date"
    WEEKDAY = "weekday"
    RELATIVE = "relative"
    TIME = "time"
    DURATION = "duration"
    CODE = "code"
    NUMBER = "number"
    MAIL = "mail"
    SITE = "site"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Value:
    """One value found. ``vague``: it stands behind "about" and the like."""

    kind: Fact
    value: str
    vague: bool = False


def values(text: str) -> Iterator[Value]:
    """Every value in a text, in no order.

    >>> sorted(f"{v.kind}:{v.value}" for v in values("It is $12.50, or twelve dollars and fifty cents, in 2 days."))
    ['amount:12.5', 'amount:12.5', 'duration:2 day']
    """
    words = tokens(text)
    found = runs(words)
    taken: set[int] = set()
    for nth, run in enumerate(found):
        if nth not in taken:
            following = found[nth + 1] if nth + 1 < len(found) else None
            value, both = _of_run(words, run, following)
            if both:
                taken.add(nth + 1)
            if value is not None:
                yield value
    yield from _worded(words)
    joined = " ".join(words)
    yield from _nets(joined)
    yield from _states(joined)
    if _EVENT.search(joined):
        for match in _RELATIVE.finditer(joined):
            yield Value(Fact.RELATIVE, match[0])
    else:
        for match in _RELATIVE.finditer(joined):
            if match[0].startswith(("next", "in ", "within", "by ", "coming", "end")):
                yield Value(Fact.RELATIVE, match[0])


def _of_run(words: Sequence[str], run: Run, following: Run | None) -> tuple[Value | None, bool]:
    """The value of a run by what stands around it; True: the next run was its cents."""
    before = words[run.start - 1] if run.start else ""
    after = words[run.end] if run.end < len(words) else ""
    vague = (before in QUALIFIERS and (run.start < 2 or words[run.start - 2] not in _TALK)) or (
        before == "than" and run.start > 1 and words[run.start - 2] in {"more", "less", "fewer"}
    )
    one = run.atoms[0] if len(run.atoms) == 1 else None
    if before in {"$", "€", "£"} or after in _MONEY:
        return _money(words, run, following, after, vague=vague)
    if after in {"%", "percent"}:
        return Value(Fact.PERCENT, run.digits if one is None else one, vague), False
    if (dated := _date(words, run, before, after)) is not None:
        return Value(Fact.DATE, dated, vague), False
    if (timed := _time(words, run, after)) is not None:
        return Value(Fact.TIME, timed, vague), False
    at = run.end
    while at < len(words) and words[at] in _BETWEEN and at - run.end < 2:
        at += 1
    if at < len(words) and words[at] in _UNITS and one is not None:
        return Value(Fact.DURATION, f"{one} {_UNITS[words[at]]}", vague), False
    if one is None or (len(run.digits) > 4 and "." not in run.atoms[0] and one == run.digits):
        return Value(Fact.CODE, run.digits, vague), False
    if run.ordinal and one in {"1", "2", "3"}:
        return None, False  # "the first thing", "a second one"
    if one == "1" and not vague:
        return None, False  # "one of our best"
    return Value(Fact.NUMBER, one, vague), False


def _money(
    words: Sequence[str], run: Run, following: Run | None, after: str, *, vague: bool
) -> tuple[Value, bool]:
    whole = run.atoms[0] if len(run.atoms) == 1 else run.digits
    if _MONEY.get(after) == "c":
        return Value(Fact.AMOUNT, _cents("0", whole), vague), False
    if following is not None and following.end < len(words) and _MONEY.get(words[following.end]) == "c":
        between = words[run.end + 1 : following.start]
        if all(word == "and" for word in between) and len(following.atoms) == 1:
            return Value(Fact.AMOUNT, _cents(whole, following.atoms[0]), vague), True
    return Value(Fact.AMOUNT, whole, vague), False


def _cents(whole: str, cents: str) -> str:
    return (
        f"{whole}.{cents:0>2}".rstrip("0").rstrip(".")
        if cents.isdigit() and len(cents) < 3
        else f"{whole}.{cents}"
    )


def _date(words: Sequence[str], run: Run, before: str, after: str) -> str | None:
    last = run.atoms[0]
    month = MONTHS.get(before) if before != "may" or run.ordinal else None
    if month is None and after == "of" and run.end + 1 < len(words):
        month = MONTHS.get(words[run.end + 1])
    if month is None and after != "may":
        month = MONTHS.get(after)
    if month is not None:
        return f"{month}-{last}"
    if (
        run.ordinal
        and len(run.atoms) == 1
        and before == "the"
        and after not in {"floor", "time", "one", "step", "party"}
    ):
        return f"-{last}" if last not in {"1", "2", "3"} else None
    return None


def _time(words: Sequence[str], run: Run, after: str) -> str | None:
    hour, minute = run.atoms[0], run.atoms[1] if len(run.atoms) == 2 else "0"
    if len(run.atoms) > 2 or not hour.isdigit() or int(hour) > 24:
        return None
    clock = f"{int(hour)}:{minute:0>2}"
    if after in {"am", "pm"}:
        return f"{clock} {after}"
    if after in {"o'clock", "oclock"}:
        return clock
    behind = words[run.end : run.end + 3]
    if len(behind) == 3 and behind[0] == "in" and behind[1] == "the" and behind[2] in _PARTS:
        return f"{clock} {_PARTS[behind[2]]}"
    if behind[:2] == ("at", "night"):
        return f"{clock} pm"
    return None


def _worded(words: Sequence[str]) -> Iterator[Value]:
    """Values that need no number: days, months, shares, "a week", codes with letters."""
    spelled: list[str] = []
    for at, word in enumerate(words):
        if word in WEEKDAYS or word.removesuffix("s") in WEEKDAYS:
            yield Value(Fact.WEEKDAY, word.removesuffix("s"))
        elif word in MONTHS and word not in {"may", "march"}:
            yield Value(Fact.DATE, f"{MONTHS[word]}-")
        elif word in {"noon", "midnight"}:
            yield Value(Fact.TIME, "12:00 pm" if word == "noon" else "0:00 am")
        elif ":" in word and word[0].isdigit():
            after = words[at + 1] if at + 1 < len(words) else ""
            hour, minute = word.split(":")
            yield Value(Fact.TIME, f"{int(hour)}:{minute}" + (f" {after}" if after in {"am", "pm"} else ""))
        elif word in _FRACTIONS and _shares(words, at):
            yield Value(Fact.FRACTION, _FRACTIONS[word])
        elif word in _UNITS and at and words[at - 1] in {"a", "an"} and at > 1:
            if words[at - 2] in {"in", "within", "takes", "after", "for", "half", "about", "under"}:
                share = "0.5" if words[at - 2] == "half" else "1"
                yield Value(Fact.DURATION, f"{share} {_UNITS[word]}", words[at - 2] == "about")
        elif _coded(word):
            yield Value(Fact.CODE, word.replace("-", ""))
        if (len(word) == 1 and word.isalnum() and word not in {"a", "i"}) or word in {
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "zero",
        }:
            spelled.append(word)
        elif word not in {".", "dash", "a"}:
            if len(spelled) >= 4 and any(len(one) == 1 and one.isalpha() for one in spelled):
                yield Value(Fact.CODE, _spell(spelled))
            spelled = []
    if len(spelled) >= 4 and any(len(one) == 1 and one.isalpha() for one in spelled):
        yield Value(Fact.CODE, _spell(spelled))


def _spell(letters: Sequence[str]) -> str:
    return "".join(run.digits if is_number(one) and (run := runs((one,))[0]) else one for one in letters)


def _coded(word: str) -> bool:
    bare = word.replace("-", "")
    return (
        len(bare) >= 4
        and bare.isalnum()
        and any(c.isdigit() for c in bare)
        and any(c.isalpha() for c in bare)
        and not re.fullmatch(r"\d+(?:st|nd|rd|th|cm|mm|kg|lb|in|ft)", bare)
    )


def _shares(words: Sequence[str], at: int) -> bool:
    """Whether a word such as "half" is a share of money."""
    near = words[max(0, at - 2) : at + 5]
    return any(word in _SHARED for word in near)


def _nets(joined: str) -> Iterator[Value]:
    for match in re.finditer(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", joined):
        yield Value(Fact.MAIL, match[0].rstrip("."))
    without = re.sub(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", " ", joined)
    for match in _SPOKEN_MAIL.finditer(without):
        yield Value(Fact.MAIL, f"{_dotted(match[1]).replace(' ', '')}@{_dotted(match[2]).replace(' ', '')}")
    for match in _SITE.finditer(without):
        yield Value(Fact.SITE, match[1])
    for match in _SPOKEN_SITE.finditer(_SPOKEN_MAIL.sub(" ", without)):
        yield Value(Fact.SITE, _dotted(match[1]).replace(" ", ""))


def _dotted(words: str) -> str:
    return (
        re.sub(r" (?:dot|period|point) ", ".", words)
        .replace(" underscore ", "_")
        .replace(" dash ", "-")
        .replace(" hyphen ", "-")
    )


def _states(joined: str) -> Iterator[Value]:
    for match in _STATUS.finditer(joined):
        if not _CONDITION.search(joined[: match.start()][-40:] + joined[match.start() : match.start("how")]):
            yield Value(Fact.STATUS, match["how"].replace("canceled", "cancelled"))
    for match in _DONE.finditer(joined):
        yield Value(Fact.STATUS, match[0].split()[-1])
