"""What is suggested: types only. Texts hold tokens in place of what is personal."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Source, Strict

Kind = Literal["warning", "action", "reply", "article"]
"""In the order in which they are shown."""

Mark = Literal["used", "not_useful"]

Books = Literal["callback", "request"]
"""What a promise is booked as: somebody phones the caller, or something is done and the caller told."""


class Suggestion(Strict):
    """One suggestion.

    Attributes:
        id: ``as_`` and 16 hex digits, made of what it says: the same on every node, and when it comes back.
        about: what it was made of, an id of ours: an article, a pattern, the name of a sign.
        title: of an article or what a warning is about; may be empty.
        why: one line.
        line: the entry of the transcript that brought it.
        said: that line's words, cut.
        confidence: how likely an article answers, 0..1; None: not of articles.
        stale: the article's review is overdue.
        books: it can be booked, as what.
        written_by: ``composed``, or the language model by its name.
    """

    id: str = Field(pattern=r"^as_[0-9a-f]{16}$")
    kind: Kind
    about: str
    title: str = ""
    text: str
    why: str
    line: int
    said: str = ""
    sources: tuple[Source, ...] = ()
    confidence: float | None = None
    stale: bool = False
    books: Books | None = None
    written_by: str = "composed"
    mark: Mark | None = None


class Board(Strict):
    """Everything that is suggested now, in the order in which it is shown.

    ``as_of``: the last line that was looked at, 0: none. ``intent``, ``topic``: what it is about now, by name
    and in words.
    """

    as_of: int = 0
    intent: str | None = None
    topic: str | None = None
    suggestions: tuple[Suggestion, ...] = ()


def suggestion_id(kind: Kind, *said: str) -> str:
    """The id of what is suggested. It tells nothing of a caller: only words of ours go in.

    >>> suggestion_id("article", "returns") == suggestion_id("article", "returns")
    True
    """
    return f"as_{hashlib.sha256(chr(0).join((kind, *said)).encode()).hexdigest()[:16]}"
