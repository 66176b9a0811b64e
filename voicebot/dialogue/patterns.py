"""Patterns of sentences as a deployment writes them: ``(a|b)`` one of, ``[a]`` optional, ``{slot}``.

Pure. Used to train the intent classifier and to count what a recogniser's language model is built from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_MARKS = re.compile(r"([()\[\]|]|\{[a-z_]+\})")


class PatternError(ValueError):
    """A pattern cannot be read; the message quotes it and says what is wrong."""


def expand(
    pattern: str, slots: Mapping[str, Sequence[str]] | None = None, *, limit: int = 100_000
) -> list[str]:
    """All sentences a pattern stands for, in order, without doubled spaces.

    >>> expand("where is my (order|package) [please]")
    ['where is my order please', 'where is my order', 'where is my package please', 'where is my package']

    Raises:
        PatternError: unbalanced brackets, an unknown slot, or more than ``limit`` sentences.
    """
    parts = [part for part in _MARKS.split(pattern) if part]
    sentences, at = _alternatives(pattern, parts, 0, slots or {}, None, limit)
    if at != len(parts):
        raise PatternError(f"{pattern!r}: a bracket is closed that was never opened")
    return list(dict.fromkeys(" ".join(sentence.split()) for sentence in sentences))


def _alternatives(
    pattern: str,
    parts: Sequence[str],
    at: int,
    slots: Mapping[str, Sequence[str]],
    closing: str | None,
    limit: int,
) -> tuple[list[str], int]:
    done: list[str] = []
    current = [""]
    while at < len(parts):
        part = parts[at]
        at += 1
        if part == closing:
            return done + current, at
        if part in ")]":
            raise PatternError(f"{pattern!r}: {part!r} does not match the bracket that is open")
        if part == "|":
            if closing is None:
                raise PatternError(f"{pattern!r}: '|' stands only inside ( ) or [ ]")
            done, current = done + current, [""]
            continue
        if part in "([":
            inside, at = _alternatives(pattern, parts, at, slots, ")" if part == "(" else "]", limit)
            choices = inside if part == "(" else [*inside, ""]
        elif part.startswith("{"):
            if part[1:-1] not in slots:
                raise PatternError(f"{pattern!r}: slot {part} is not defined")
            choices = list(slots[part[1:-1]])
        else:
            choices = [part]
        if len(current) * len(choices) > limit:
            raise PatternError(f"{pattern!r}: stands for more than {limit} sentences")
        current = [left + right for left in current for right in choices]
    if closing is not None:
        raise PatternError(f"{pattern!r}: {closing!r} is missing")
    return done + current, at
