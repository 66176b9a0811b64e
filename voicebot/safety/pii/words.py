"""The words of a caller with their places, and what is written for them. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_WORD = re.compile(
    r"(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<url>https?://\S+|www\.[\w./-]+)"
    r"|(?P<date>\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{4})"
    r"|(?P<time>\d{1,2}:\d{2})(?![\d:])"
    r"|(?P<amount>[$£€]\s?\d[\d,]*(?:\.\d+)?)"
    r"|(?P<figure>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d{1,2}(?![\d.])|\d+)(?P<rank>st|nd|rd|th)?(?![a-z])"
    r"|(?P<mixed>(?=[a-z]*\d)[a-z\d]+)"
    r"|(?P<word>[a-z]+(?:['’][a-z]+)*)"
    r"|(?P<sign>[+@_\-./%#])",
    re.IGNORECASE,
)


def listed(words: str) -> frozenset[str]:
    """A set of words out of a line of them."""
    return frozenset(words.split())


class Kind(StrEnum):
    """What a written token is."""

    WORD = "word"
    DIGITS = "digits"
    """A string of digits: its leading zeros count."""
    CARDINAL = "cardinal"
    ORDINAL = "ordinal"
    DECIMAL = "decimal"
    MONEY = "money"
    PERCENT = "percent"
    DATE = "date"
    YEAR = "year"
    TIME = "time"
    CODE = "code"
    """Letters that were spelled, perhaps with digits."""
    EMAIL = "email"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was said: lower case, and where it stands in the text (characters)."""

    text: str
    start: int
    end: int
    form: str = "word"
    """Which shape it was written in: ``word``, ``figure``, ``email`` and so on."""


@dataclass(frozen=True, slots=True)
class Written:
    """What is written for the words between ``start`` and ``end`` (characters of the text).

    ``pieces``: of a string of digits, how many words or groups it was said in.
    """

    kind: Kind
    text: str
    start: int
    end: int
    pieces: int = 1

    @property
    def digits(self) -> str:
        """Its digits alone."""
        return "".join(filter(str.isdigit, self.text))


def words_in(text: str) -> list[Word]:
    """The words of a text, in order.

    >>> [word.text for word in words_in("It's 427 103.")]
    ["it's", '427', '103', '.']
    """
    found: list[Word] = []
    for match in _WORD.finditer(text):
        form = match.lastgroup or "word"
        form = "rank" if match.group("rank") else form
        found.append(Word(match.group().lower().replace("’", "'"), match.start(), match.end(), form))
    return found
