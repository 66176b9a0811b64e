"""Words of a caller as tokens for reading a time: numbers as numbers, one spelling for each word. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebot.core.number_words import MONTHS, ORDINALS, TEENS, TENS, UNITS

_LONG_NUMBER = re.compile(r"\+?\d[\d()\s.-]{6,}\d")
"""A phone or order number: no time of day is that long."""
_DATE = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}$|^\d{1,2}/\d{1,2}(?:/\d{2,4})?$")
_TOKEN = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}(?:/\d{2,4})?|\d{1,2}[:.]\d{2}(?!\d)"
    r"|\d+(?:st|nd|rd|th)\b|\d+|[a-z]+(?:-[a-z]+)*|[,;.!?–-]"
)
_SAME = {
    "tmrw": "tomorrow", "tomorow": "tomorrow", "tommorow": "tomorrow", "tommorrow": "tomorrow",
    "tmr": "tomorrow",
    "midday": "noon", "noontime": "noon", "twelvish": "noon", "oclock": "oclock", "til": "until",
    "till": "until",
    "thru": "to", "through": "to", "mins": "minutes", "min": "minutes", "minute": "minutes", "hrs": "hours",
    "hr": "hours", "hour": "hours", "day": "days", "week": "weeks", "arvo": "afternoon",
    "mornings": "morning",
    "lunch": "lunchtime", "nite": "night", "&": "and", "anytime": "any time", "roughly": "around",
    "approximately": "around", "circa": "around", "ish": "around", "asap": "asap", "fourty": "forty",
    "jan": "january", "feb": "february", "mar": "march", "apr": "april", "jun": "june", "jul": "july",
    "aug": "august", "sept": "september", "sep": "september", "oct": "october", "nov": "november",
    "dec": "december",
}  # fmt: skip
_RUN = 7
"""So many digit words in a row are a number of something, not a time."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word. ``number``: its value, if it is one. ``ordinal``: "third", "3rd"."""

    text: str
    number: int | None = None
    ordinal: bool = False
    digits: int = 0
    """How many figures it was written with."""


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text; numbers that are too long for a time are left out.

    >>> [token.text for token in tokens_of("Tomorrow, at half-past TEN a.m.!")]
    ['tomorrow', ',', 'at', 'half', 'past', '10', 'am', '!']
    """
    plain = re.sub(r"\[[^\]]*\]", " ; ", text.lower())  # what was masked
    plain = plain.replace("’", "'").replace("o'clock", "oclock").replace("o clock", "oclock")
    plain = re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", plain)
    plain = re.sub(r"(\d)\s?([ap]m)\b", r"\1 \2", plain)
    plain = re.sub(r"\b(\d{1,2})-?ish\b", r"at \1", plain).replace("@", " at ")
    plain = re.sub(r"(\d)h(\d\d)\b", r"\1:\2", plain)
    plain = re.sub(r"(\d)h\b", r"\1 oclock", plain).replace("'", "")
    plain = _LONG_NUMBER.sub(_unless_time, plain)
    found: list[Token] = []
    for word in _TOKEN.findall(plain):
        if _DATE.match(word):
            found.append(Token(word))
            continue
        for part in re.split(r"-(?=[a-z])", word) if word[:1].isalpha() else [word]:
            same = _SAME.get(part, part)
            found.extend(_token(one) for one in same.split())
    return _numbers(_without_runs(found))


def _unless_time(found: re.Match[str]) -> str:
    words = found.group(0)
    return (
        words if re.search(r"\d[:/]\d|\d{4}-\d\d?-\d", words) and len(re.sub(r"\D", "", words)) < 9 else " ; "
    )


def _token(word: str) -> Token:
    if word.isdigit():
        return Token(word, int(word), digits=len(word))
    if re.fullmatch(r"\d+(?:st|nd|rd|th)", word):
        return Token(word, int(word[:-2]), ordinal=True)
    if re.fullmatch(r"\d{1,2}[:.]\d{2}", word):
        return Token(word.replace(".", ":"))
    number = {**UNITS, **TEENS, **TENS}.get(word)
    if number is not None:
        return Token(word, number)
    if word in ORDINALS and ORDINALS[word] <= 31:
        return Token(word, ORDINALS[word], ordinal=True)
    return Token(word)


def _without_runs(tokens: list[Token]) -> list[Token]:
    """Digits said one by one are a phone number."""
    kept: list[Token] = []
    run: list[Token] = []
    for token in [*tokens, Token("")]:
        single = (token.number is not None and not token.ordinal and token.number < 100) or token.text in {
            "oh",
            "zero",
            "double",
        }
        if single:
            run.append(token)
            continue
        kept += [Token(";")] if len(run) >= _RUN else run
        run = []
        if token.text:
            kept.append(token)
    return kept


def _numbers(tokens: list[Token]) -> list[Token]:
    """``twenty five`` as one number, ``twenty first`` as one ordinal; figures stay as they are written."""
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1] if at + 1 < len(tokens) else Token("")
        tens = (
            token.number is not None and not token.digits and not token.ordinal and 20 <= token.number < 100
        )
        units = following.number is not None and not following.digits and 0 < following.number < 10
        if tens and units and token.number is not None and following.number is not None:
            value = token.number + following.number
            found.append(Token(str(value), value, ordinal=following.ordinal))
            at += 2
            continue
        if token.number is not None and not token.digits and not token.ordinal:
            token = Token(str(token.number), token.number)
        found.append(token)
        at += 1
    return found


MONTH_NAMES = {**MONTHS}
WEEKDAYS = {
    "monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5, "sunday": 6,
    "mondays": 0, "tuesdays": 1, "wednesdays": 2, "thursdays": 3, "fridays": 4, "saturdays": 5, "sundays": 6,
}  # fmt: skip
SHORT_WEEKDAYS = {
    "mon": 0,
    "tue": 1,
    "tues": 1,
    "wed": 2,
    "thu": 3,
    "thur": 3,
    "thurs": 3,
    "fri": 4,
    "sat": 5,
    "sun": 6,
}
"""As people write them; "sat" and "sun" are also other words, so they count only where a day is expected."""
