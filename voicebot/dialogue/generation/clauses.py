"""Tokens in, clauses out, each as soon as it stands: the unit of the output guard and of synthesis. Pure.

A clause ends at ``. ! ?`` (or ``;`` or ``:``) followed by a space, and at a comma once enough words
have come that a voice sounds natural in it. Not in a number (``12.50``, ``1,200``), not after
an abbreviation (``Mr.``, ``e.g.``) or an initial.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_CHARS = 12
"""A clause shorter than this is kept and spoken with what follows."""
COMMA_WORDS = 7
"""From this many words on a comma ends a clause."""
TAIL_WORDS = 3
"""But only when more than this many words follow it: a tail of two words would be spoken by itself."""
MAX_WORDS = 28
"""A writer that never stops for breath is cut at a space."""
MAX_CHARS = 240
"""And one that never makes a space, anywhere: no clause is longer."""

_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "nr",
        "jr",
        "sr",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
        "approx",
        "dept",
        "fig",
        "inc",
        "ltd",
        "co",
        "u.s",
    ]
)
_STRONG = re.compile(r"[.!?;:][\"')\]]*(?=\s)")
_COMMA = re.compile(r",(?=\s)")


class ClauseSplitter:
    """Takes tokens one by one and gives the clauses that became complete. One per utterance."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, token: str) -> Iterator[str]:
        """Adds ``token``; yields each clause that stands now."""
        self._text += token
        while (end := self._end()) is not None:
            clause, self._text = self._text[:end].strip(), self._text[end:].lstrip()
            if clause:
                yield clause

    def finish(self) -> Iterator[str]:
        """The rest, when the writer is done."""
        rest, self._text = self._text.strip(), ""
        if rest:
            yield rest

    def _end(self) -> int | None:
        for match in _STRONG.finditer(self._text):
            if MIN_CHARS <= match.end() <= MAX_CHARS and not _abbreviated(self._text, match.start()):
                return match.end()
        for match in _COMMA.finditer(self._text):
            if match.end() > MAX_CHARS:
                break
            before, after = self._text[: match.start()].split(), self._text[match.end() :].split()
            if len(before) >= COMMA_WORDS and len(after) > TAIL_WORDS:
                return match.end()
        words = self._text.split(" ")
        if len(words) > MAX_WORDS + 1 and (end := len(" ".join(words[:MAX_WORDS]))) <= MAX_CHARS:
            return end
        if len(self._text) <= MAX_CHARS:
            return None
        at = self._text.rfind(" ", 1, MAX_CHARS)
        return at if at > 0 else MAX_CHARS


def split(text: str) -> tuple[str, ...]:
    """The clauses of a finished text.

    >>> split("It costs 12.50 dollars. Mr. Reed, who packed it, says hello!")
    ('It costs 12.50 dollars.', 'Mr. Reed, who packed it, says hello!')
    """
    splitter = ClauseSplitter()
    return (*splitter.feed(text), *splitter.finish())


def _abbreviated(text: str, dot: int) -> bool:
    if text[dot] != ".":
        return False
    word = text[:dot].rsplit(None, 1)[-1].lower().lstrip("\"'(") if text[:dot].strip() else ""
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i")
