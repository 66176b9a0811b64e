"""The values that an act needs, out of what a caller says when he is asked for one. Pure.

What a value must look like says the tool's own strict model; here words become such a value, or None.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from voicebot.core.conversation import Expects, Utterance
from voicebot.core.number_words import TEENS, TENS, UNITS, ZEROS
from voicebot.core.when import Doubt, parse_when
from voicebot.safety.consent import Consent, consent
from voicebot.safety.spoken_numbers import digit_runs, read_digits

MOST_CHARS = 80
_DIGITS = re.compile(r"^\^\[0-9\]\{(\d+)\}\$$")
_LEAD = re.compile(
    r"^(?:(?:um|uh|er|well|yes|okay|please|so|it's|its|it is|that's|that is|the street is|the city is"
    r"|the address is|my address is|the new address is|to|in|i would like|i'd like|i want|that would be"
    r"|just|for)[, ]+)+",
    re.IGNORECASE,
)
_TAIL = re.compile(r"[,. ]+(?:please|thanks|thank you)?[,.! ]*$", re.IGNORECASE)
_ALL = re.compile(r"\b(all|everything|both|whole|entire|complete|each|every)\b", re.IGNORECASE)
_NUMBERS = frozenset({*UNITS, *TEENS, *TENS, *ZEROS, "hundred"})
Choices = Mapping[str, tuple[str, ...]]


def unfit(request: type[BaseModel], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the fields that are missing or do not fit, in the model's order."""
    try:
        request.model_validate(dict(values), strict=False)
    except ValidationError as error:
        wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
        return tuple(name for name in request.model_fields if name in wrong)
    return ()


def fits(request: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a value would do for one field, whatever the others are."""
    return name not in unfit(request, {name: value})


def expects(field: FieldInfo) -> Expects:
    """What hearing should expect as an answer."""
    length = _length(field)
    if length is not None:
        return Expects(kind="digits", length=length)
    return Expects(kind="date") if _plain(field.annotation) is date else Expects()


def value_of(
    request: type[BaseModel], name: str, given: Utterance, choices: Choices, today: date
) -> Any | None:
    """The value that the words give for a field; None if they give none that would do.

    Args:
        request: the tool's model.
        name: the field that was asked for.
        given: the caller's words, as they were said.
        choices: for a field with a few values: the words by which each is meant.
        today: where the business is.
    """
    field = request.model_fields[name]
    value = _value(field, given, choices, today)
    return value if value is not None and fits(request, name, value) else None


def _value(field: FieldInfo, given: Utterance, choices: Choices, today: date) -> Any | None:
    length, kind = _length(field), _plain(field.annotation)
    if length is not None:
        found = read_digits(given.text, length, given.alternatives, limit=1)
        return found[0] if found else None
    if typing.get_origin(kind) is Literal:
        return chosen(given.text, choices)
    if kind is date:
        found_day = day_of(given.text, today)
        return None if found_day is None else found_day.isoformat()
    words = _TAIL.sub("", _LEAD.sub("", given.text.strip()))[:MOST_CHARS].strip()
    if consent(given.text) is not Consent.UNCLEAR:
        return None  # a yes or a no answers no such question
    if typing.get_origin(kind) is tuple:
        return [] if _ALL.search(given.text) else ([words] if words else None)
    return house_number(words) or None


def chosen(text: str, choices: Choices) -> str | None:
    """The one value whose words are in a text; None for none, or several.

    >>> chosen("it arrived broken", {"damaged": ("broken", "scratched"), "other": ("something else",)})
    'damaged'
    """
    plain = f" {re.sub(r'[^a-z0-9 ]+', ' ', text.lower().replace(chr(39), ''))} "
    plain = re.sub(" +", " ", plain)
    named = [
        value
        for value, words in choices.items()
        if any(f" {re.sub(r'[^a-z0-9 ]+', '', word.lower())} " in plain for word in words)
    ]
    return named[0] if len(named) == 1 else None


def day_of(text: str, today: date) -> date | None:
    """The day that words name, counted from today: "tomorrow", "friday", "in three days", "december 3rd".

    A weekday's name on that very day means the next one; of two days that are meant by it, the earlier.

    >>> day_of("next tuesday please", date(2026, 11, 20)).isoformat()
    '2026-11-24'
    >>> day_of("the third of december", date(2026, 11, 20)).isoformat()
    '2026-12-03'
    """
    when = parse_when(text, datetime.combine(today, time(23, 59), UTC))
    if when is None or (when.doubt is Doubt.DAY and when.other is None):
        return None
    return (when.other if when.doubt is Doubt.DAY and when.other is not None else when.at).date()


def house_number(words: str) -> str:
    """An address as it is written: a number at its beginning in figures.

    >>> house_number("twelve main street"), house_number("forty two oak lane")
    ('12 main street', '42 oak lane')
    """
    parts = words.split()
    count = 0
    while count < len(parts) - 1 and parts[count].lower().strip(",") in _NUMBERS:
        count += 1
    runs = digit_runs(" ".join(parts[:count]))
    return " ".join([runs[0][0], *parts[count:]]) if len(runs) == 1 else words


def _length(field: FieldInfo) -> int | None:
    for part in field.metadata:
        pattern = getattr(part, "pattern", None)
        if isinstance(pattern, str) and (found := _DIGITS.match(pattern)):
            return int(found[1])
    return None


def _plain(kind: Any) -> Any:
    """The type without its None."""
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        rest = [one for one in typing.get_args(kind) if one is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind
