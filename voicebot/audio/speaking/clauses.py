"""A stream of tokens becomes clauses as soon as they stand. Pure; ``clauses()`` is the async form.

A clause is what is guarded and spoken as one: a sentence, or a part of a long one that ends in a comma,
semicolon, colon or dash. No word is lost, added or moved: the clauses joined by one space are the text,
white space apart.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from voicebot.core.conversation import Clause

FIRST_MIN = 24
"""Characters from which the first clause may end at a comma: the sooner, the less silence."""

REST_MIN = 48
"""The same for those behind it, which are synthesised while the first is heard."""

LONGEST = 220
"""Characters after which a clause ends at the last space, whatever stands there."""

_END = re.compile(r"(?:[.!?…]+[\"')\]]*)(?=\s)|\n")
_SOFT = re.compile(r"[,;:][\"')]*(?=\s)|\s[-–—](?=\s)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|no|nr|vs|etc|approx|inc|ltd|co|dept|e\.g|i\.e|a\.m|p\.m|[a-z]))\.$",
    re.IGNORECASE,
)


class ClauseSplitter:
    """Push text as it comes; take the clauses that stand; flush at the end."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def push(self, token: str) -> list[str]:
        """More text; returns the clauses that it completed."""
        self._text += token
        out: list[str] = []
        while (end := self._end()) is not None:
            self._take(end, out)
        return out

    def flush(self) -> list[str]:
        """The text is over: what is left is a clause."""
        out: list[str] = []
        self._take(len(self._text), out)
        return out

    def _take(self, end: int, out: list[str]) -> None:
        clause = " ".join(self._text[:end].split())
        self._text = self._text[end:]
        if clause:
            out.append(clause)
            self._first = False

    def _end(self) -> int | None:
        """Where the first clause in the text ends; None while none stands."""
        # A clause stands once the character after its end is known: "3.50", "e.g." and "?!" go on.
        shortest = FIRST_MIN if self._first else REST_MIN
        ends: list[int] = []
        for match in _END.finditer(self._text):
            if not _ABBREVIATION.search(self._text[: match.end()]):
                ends.append(match.end())
                break
        for match in _SOFT.finditer(self._text):
            if match.end() >= shortest:
                ends.append(match.end())
                break
        if ends and min(ends) <= LONGEST:
            return min(ends)
        if len(self._text) > LONGEST:
            space = self._text.rfind(" ", 1, LONGEST)
            return space if space > 0 else LONGEST
        return None


async def clauses(tokens: AsyncIterator[str]) -> AsyncIterator[Clause]:
    """Clauses of a token stream, each as soon as it stands. Errors of ``tokens`` pass through."""
    splitter = ClauseSplitter()
    async for token in tokens:
        for text in splitter.push(token):
            yield Clause(text=text)
    for text in splitter.flush():
        yield Clause(text=text)
