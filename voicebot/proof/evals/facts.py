"""Figures, days and months that come from nowhere: the check that a bot invents no price and no date. Pure.

Whatever of that kind the bot says must stand in an approved phrase, in an article, in the result of a tool
that this conversation called, or in the caller's own words (an order number that is read back).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from voicebot.core.number_words import REPEATS, TEENS, TENS, UNITS, ZEROS
from voicebot.dialogue.generation.spoken import ordinal, spoken
from voicebot.proof.evals.words import plain

_DAYS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})
_MONTHS = frozenset({"january", "february", "march", "april", "june", "july", "august", "september",
                     "october", "november", "december"})  # fmt: skip
_SIZES = frozenset({"hundred", "thousand", "million"})
_ORDINALS = frozenset(ordinal(number).split()[-1] for number in range(4, 32))
_COUNTS = frozenset({*UNITS, *ZEROS, *TEENS, *TENS, *REPEATS, *_SIZES, *_ORDINALS}) - {"o"}
_EVERYDAY = (("one",), ("two",), ("o",), ("oh",))
"""Said without meaning a fact ("which one", "one or two words")."""

Run = tuple[str, ...]


class Known:
    """What may be said: grows while a conversation goes on."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._runs: set[Run] = set()
        self._figures: set[str] = set()
        for text in texts:
            self.add(text)

    def copy(self) -> Known:
        """One that can grow apart."""
        made = Known()
        made._runs, made._figures = set(self._runs), set(self._figures)
        return made

    def add(self, text: str) -> None:
        """A text whose facts are known from now on."""
        for run in runs(text):
            self._runs.update(run[i:j] for i in range(len(run)) for j in range(i + 1, len(run) + 1))
            self._figures.add(_figures(run))

    def add_result(self, result: dict[str, Any]) -> None:
        """What a tool gave, as it would be spoken."""
        for value in result.values():
            self.add(_spoken(value))

    def invented(self, said: str) -> tuple[str, ...]:
        """The facts in ``said`` that nothing known holds."""
        return tuple(
            " ".join(run)
            for run in runs(said)
            if run not in _EVERYDAY and run not in self._runs and not self._read_back(run)
        )

    def _read_back(self, run: Run) -> bool:
        """Digits of a number that was given in another writing: "forty two" said as "four two"."""
        figures = _figures(run)
        return len(figures) > 2 and any(figures in known for known in self._figures)


def runs(text: str) -> Iterator[Run]:
    """Runs of number words, and single days and months. "and" inside a number does not end it.

    >>> list(runs("It costs two hundred and five dollars on Friday."))
    [('two', 'hundred', 'five'), ('friday',)]
    """
    run: list[str] = []
    words = plain(text).split()
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word in _COUNTS:
            run.append(word)
        elif not (word == "and" and run and run[-1] in _SIZES and following in _COUNTS):
            if run:
                yield tuple(run)
                run = []
            if word in _DAYS or word in _MONTHS:
                yield (word,)
    if run:
        yield tuple(run)


def _figures(run: Run) -> str:
    """A run of spoken digits as figures: "double four twenty one oh" is ``44210``."""
    made, times, tens = "", 1, False
    for word in run:
        if word in REPEATS:
            times = REPEATS[word]
            continue
        unit = "0" if word in ZEROS else str(UNITS.get(word) or TEENS.get(word) or TENS.get(word) or "")
        if tens and len(unit) == 1 and unit != "0":
            made = made[:-1] + unit
        else:
            made += unit * times
        tens, times = word in TENS, 1
    return made


def _spoken(value: Any) -> str:
    """A value of a stored result (JSON) as the bot would say it."""
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return spoken(date.fromisoformat(value))
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}\S*", value):
            return spoken(datetime.fromisoformat(value))
        if re.fullmatch(r"-?\d+\.\d+", value):
            try:
                return spoken(Decimal(value))
            except InvalidOperation:
                return value
        return spoken(value)
    if isinstance(value, bool | int):
        return spoken(value)
    if isinstance(value, dict):
        return " . ".join(_spoken(part) for part in value.values())
    if isinstance(value, list | tuple):
        return " . ".join(_spoken(part) for part in value)
    return str(value)
