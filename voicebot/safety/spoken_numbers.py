"""Digits as people say them on the phone, read back into digits.

"four two seven, one oh three", "forty two seventy one oh three", "double four", "nine
thousand four hundred and seven": one run of speech can mean several strings of digits, so
every reading is kept, the likeliest first, and the length that was asked for chooses. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from voicebot.core.number_words import HOMOPHONES, REPEATS, TEENS, TENS, UNITS, ZEROS

_FILLERS = frozenset(
    {"um", "uh", "er", "erm", "and", "then", "dash", "hyphen", "space", "followed", "by", "hm"}
)
_MAX_READINGS = 32
_MAX_RUN = 64  # tokens; nobody is asked for a number this long
_TOKEN = re.compile(r"\d+|[a-z]+")


def digit_runs(text: str) -> tuple[tuple[str, ...], ...]:
    """Every stretch of digits in the words of a caller, each with its readings, likeliest first.

    A stretch ends where another word stands between digits ("... and the post code is ...").

    >>> digit_runs("it's four two seven one oh three")
    (('427103',),)
    >>> digit_runs("forty two and then ninety")[0][0]
    '4290'
    """
    return tuple(readings for run in _runs(_tokens(text)) if (readings := _readings(run)))


def read_digits(
    text: str, length: int, alternatives: Iterable[str] = (), *, limit: int = 3
) -> tuple[str, ...]:
    """Strings of exactly ``length`` digits that the words can mean, likeliest first, at most ``limit``.

    The recogniser's ``alternatives`` are looked at after ``text``. A caller who corrects himself
    ("four one, sorry, four two seven...") is believed last: later stretches come before earlier ones.
    """
    found: dict[str, None] = {}
    for words in (text, *alternatives):
        for readings in reversed(digit_runs(words)):
            for digits in readings:
                if len(digits) == length:
                    found.setdefault(digits)
    return tuple(islice(found, limit))


def count_digits(text: str) -> int:
    """How many digits the words hold in their likeliest reading."""
    return sum(len(readings[0]) for readings in digit_runs(text))


def _tokens(text: str) -> list[str]:
    lowered = re.sub(r"(?<=\d)[\s,.\-]+(?=\d)", "", text.lower()).replace("'", "")
    return _TOKEN.findall(lowered)


def _strict(token: str) -> bool:
    return (
        token.isdigit()
        or token in UNITS
        or token in ZEROS
        or token in TEENS
        or token in TENS
        or token in REPEATS
    )


def _runs(tokens: list[str]) -> Iterator[list[str]]:
    run: list[str] = []
    for token in tokens:
        part = _strict(token) or token in {"hundred", "thousand"} or token in HOMOPHONES or token in _FILLERS
        if part:
            run.append(token)
        elif run:
            yield from _trimmed(run)
            run = []
    yield from _trimmed(run)


def _trimmed(run: list[str]) -> Iterator[list[str]]:
    """Words that only count between digits are cut off the ends, but a homophone next to a digit stays."""
    while run and run[0] in _FILLERS:
        run = run[1:]
    while run and run[-1] in _FILLERS:
        run = run[:-1]
    strict = sum(_strict(token) and token not in {"o", "oh"} for token in run)
    if (
        strict >= 2
        or any(token.isdigit() for token in run)
        or (strict == 1 and len(run) == 1)
        or (strict == 1 and not any(token in HOMOPHONES for token in run))
    ):
        yield run


def _readings(run: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(islice(_expand(run[-_MAX_RUN:], 0), _MAX_READINGS)))


def _expand(run: list[str], at: int) -> Iterator[str]:
    if at >= len(run):
        yield ""
        return
    for digits, used in _heads(run, at):
        for rest in _expand(run, at + used):
            yield digits + rest


def _heads(run: list[str], at: int) -> Iterator[tuple[str, int]]:
    """Readings of what starts at ``at``: (digits, tokens used), likeliest first."""
    token = run[at]
    following = run[at + 1] if at + 1 < len(run) else ""
    if token in _FILLERS or token in {"hundred", "thousand"}:
        yield "", 1
    elif token.isdigit():
        yield token, 1
    elif token in REPEATS:
        yield from _repeated(REPEATS[token], following)
    elif token in ZEROS:
        yield "0", 1
    elif token in UNITS or token in TEENS or token in TENS:
        yield from _numbers(run, at)
    else:
        yield str(HOMOPHONES[token]), 1
        yield "", 1


def _repeated(times: int, following: str) -> Iterator[tuple[str, int]]:
    if following in UNITS:
        yield str(UNITS[following]) * times, 2
    elif following in ZEROS:
        yield "0" * times, 2
    elif len(following) == 1 and following.isdigit():
        yield following * times, 2
    else:
        yield "", 1


def _numbers(run: list[str], at: int) -> Iterator[tuple[str, int]]:
    value, used = _below_hundred(run, at)
    after = at + used
    unit = run[after] if after < len(run) else ""
    if unit in {"hundred", "thousand"}:
        size = 3 if unit == "thousand" else 2
        tail, tail_used = _below_thousand(run, after + 1, with_hundreds=unit == "thousand")
        if tail_used:
            yield f"{value}{tail:0{size}d}", used + 1 + tail_used
        yield f"{value}{'0' * size}", used + 1
        return
    yield str(value), used
    if used == 2:  # "forty two" may also be "forty", "two"
        yield str(TENS[run[at]]), 1


def _below_hundred(run: list[str], at: int) -> tuple[int, int]:
    token = run[at]
    if token in TENS:
        following = run[at + 1] if at + 1 < len(run) else ""
        if following in UNITS:
            return TENS[token] + UNITS[following], 2
        return TENS[token], 1
    return (TEENS[token] if token in TEENS else UNITS[token]), 1


def _below_thousand(run: list[str], at: int, *, with_hundreds: bool) -> tuple[int, int]:
    """A spoken number after "hundred" or "thousand"; (0, 0) when none stands there."""
    start = at
    if at < len(run) and run[at] == "and":
        at += 1
    if at >= len(run) or run[at] not in (UNITS | TEENS | TENS):
        return 0, 0
    value, used = _below_hundred(run, at)
    at += used
    if with_hundreds and at < len(run) and run[at] == "hundred":
        tail, tail_used = _below_thousand(run, at + 1, with_hundreds=False)
        return value * 100 + tail, at + 1 + tail_used - start
    return value, at - start
