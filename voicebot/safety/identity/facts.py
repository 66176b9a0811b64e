"""What a caller's words or keys can mean for one fact, and whether that is the fact that is held. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice

from voicebot.safety.identity.names import said_names, same_name
from voicebot.safety.identity.rules import DateOrder, Factor, FactorKind
from voicebot.safety.pii.spoken_form import normalise
from voicebot.safety.pii.words import Kind
from voicebot.safety.spoken_numbers import digit_runs, read_digits

_POST_CODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}|[a-z]\d[a-z]\d[a-z]\d")
_LIKE = (frozenset("bdeptvgcz"), frozenset("mn"), frozenset("fs"), frozenset("ajk"), frozenset("iy"))
"""Letters that sound alike by name on a telephone."""
_REFUSES = re.compile(
    r"\b(?:i(?:'d| would) rather not|i refuse|not telling|none of your business"
    r"|(?:that's|it's) private|no idea|i forgot|i've forgotten|prefer not"
    r"|don't want to (?:give|tell|say|share)"
    r"|no,? i (?:don't|won't)"
    r"|i (?:don't|do not|won't|will not|can't|cannot) (?:(?:want|like) to )?"
    r"(?:give|tell|say|share|remember|know|have|recall))",
    re.IGNORECASE,
)
_NOT_COME = re.compile(
    r"\b(?:(?:hasn't|has not|haven't|have not|didn't|did not|never|doesn't) (?:\w+ ){0,2}?"
    r"(?:arrived?|come|came|got(?:ten)?|get|received?|had|seen)"
    r"|nothing (?:came|has come|arrived|yet|here)|no (?:code|text|message|sms)"
    r"|(?:send|text) (?:it|me|the code|another|a new)\b"
    r"|(?:don't|do not|can't|cannot) (?:have|get|see|read|find) (?:it|that|a|the|any|my)"
    r"|(?:another|new|different|changed|lost|no|old) (?:code|phone|number|mobile))",
    re.IGNORECASE,
)


def read_fact(
    factor: Factor, text: str, alternatives: Iterable[str], *, order: DateOrder, limit: int
) -> tuple[str, ...]:
    """Values that the words can mean for the factor, likeliest first, at most ``limit``."""
    said = (text, *alternatives)
    if factor.numeric:
        return read_digits(text, factor.digits, said[1:], limit=limit)
    read = {FactorKind.NAME: said_names, FactorKind.POST_CODE: said_post_codes}.get(factor.kind)
    found = (
        (value for words in said for value in read(words))
        if read is not None
        else (value for words in said for value in said_dates(words, order))
    )
    return tuple(islice(dict.fromkeys(found), limit))


def keyed_fact(factor: Factor, digits: str, *, order: DateOrder) -> str | None:
    """The value that keys give; None if they cannot be this fact."""
    if factor.kind is FactorKind.DATE:
        return _of_digits(digits, order) if len(digits) == 8 else None
    return digits if factor.numeric and len(digits) == factor.digits and digits.isdigit() else None


def same_fact(factor: Factor, candidates: Sequence[str], held: str) -> bool:
    """Whether one of the readings is what is held. All are compared, each in the same number of steps."""
    match factor.kind:
        case FactorKind.NAME:
            results = [same_name(one, held) for one in candidates]
        case FactorKind.POST_CODE if not factor.digits:
            flat = re.sub(r"[^a-z0-9]", "", held.lower())
            results = [_alike_code(one, flat) for one in candidates]
        case _:
            results = [hmac.compare_digest(one.encode(), held.encode()) for one in candidates]
    return bool(held) and any(results)


def said_dates(text: str, order: DateOrder) -> tuple[str, ...]:
    """Whole dates in the words, as ISO 8601: "the third of march eighty five", "oh three ...".

    >>> said_dates("the third of March eighty-five", "mdy")
    ('1985-03-03',)
    """
    found: dict[str, None] = {}
    spread = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text.lower())
    for token in normalise(spread, asked="date"):
        in_words = re.search("[a-z]", spread[token.start : token.end]) is not None  # else the order decides
        if token.kind is Kind.DATE and in_words and _valid(token.text):
            found.setdefault(token.text)
    flat = re.sub(r"(?<=\d)\s*(?:/|\.|-|\bslash\b|\bdot\b)\s*(?=\d)", "/", spread)
    for first, second, year in re.findall(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b", flat):
        one = _of_digits(f"{int(first):02d}{int(second):02d}{_full(year)}", order)
        if one:
            found.setdefault(one)
    if not found:
        for run in digit_runs(re.sub(r"\b(?:slash|dot)\b", " ", flat.replace("/", " "))):
            for digits in run:
                one = _of_run(digits, order)
                if one:
                    found.setdefault(one)
    return tuple(found)


def said_post_codes(text: str) -> tuple[str, ...]:
    """Post codes with letters, lower case, without spaces: "s w one a one a a" is ``sw1a1aa``."""
    written = "".join(
        token.text
        for token in normalise(text.lower())
        if token.kind in {Kind.CODE, Kind.DIGITS, Kind.CARDINAL}
    )
    return tuple(dict.fromkeys(_POST_CODE.findall(written)))


def refuses(text: str) -> bool:
    """Whether the caller says that he will not or cannot give what he was asked for."""
    return _REFUSES.search(text.replace("’", "'")) is not None


def not_come(text: str) -> bool:
    """Whether the caller says that the code did not come, or cannot come."""
    return _NOT_COME.search(text.replace("’", "'")) is not None


def _of_run(digits: str, order: DateOrder) -> str | None:
    if len(digits) == 8:
        return _of_digits(digits, order)
    if len(digits) == 6:
        return _of_digits(f"{digits[:4]}{_full(digits[4:])}", order) or _of_digits(
            f"0{digits[0]}0{digits[1]}{digits[2:]}", order
        )
    return _of_digits(f"{digits[:2]}0{digits[2]}{digits[3:]}", order) if len(digits) == 7 else None


def _full(year: str) -> str:
    if len(year) == 4:
        return year
    return f"{'19' if int(year) >= 30 else '20'}{year}"


def _of_digits(digits: str, order: DateOrder) -> str | None:
    first, second, year = digits[:2], digits[2:4], digits[4:8]
    month, day = (first, second) if order == "mdy" else (second, first)
    text = f"{year}-{month}-{day}"
    return text if _valid(text) else None


def _valid(text: str) -> bool:
    try:
        return 1900 <= date.fromisoformat(text).year <= 2199
    except ValueError:
        return False


def _alike_code(said: str, held: str) -> bool:
    """Digits in full; at most one letter may be one that sounds like it by name."""
    same, near = 0, 0
    width = 8
    for one, other in zip(said.ljust(width, "\0")[:width], held.ljust(width, "\0")[:width], strict=True):
        same += one == other
        near += one != other and any(one in group and other in group for group in _LIKE)
    return same + near == width and near <= 1 and len(said) == len(held)
