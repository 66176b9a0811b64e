"""How many of the callers' words the server read wrongly. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = dict(zip("0123456789", _NAMES, strict=True))


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; digits one by one as words ("427" is "four two seven")."""
    spelt = re.sub(r"\d", lambda digit: f" {_DIGITS[digit[0]]} ", text.lower())
    return re.findall(r"[a-z']+", spelt)


def errors(said: Sequence[str], read: Sequence[str]) -> int:
    """Words to change, drop or add to make the one of the other."""
    row = list(range(len(read) + 1))
    for n, word in enumerate(said, 1):
        last, row[0] = row[0], n
        for m, other in enumerate(read, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (word != other))
    return row[-1]


def rate(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Word error rate over calls of (what was said, what was read); None: nothing was said."""
    total = sum(len(words(said)) for said, _ in pairs)
    if not total:
        return None
    return sum(errors(words(said), words(read)) for said, read in pairs) / total
