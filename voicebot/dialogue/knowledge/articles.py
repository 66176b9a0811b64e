"""Articles as the deployment writes them: Markdown with front matter, cut into chunks. Pure but for reading.

A chunk is what stands under one ``## heading``: short enough to be quoted whole. The heading is never
spoken: it holds the words people ask with, and is searched with the text. The text is written as it is
spoken, numbers in words, two sentences to a thought.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml

REVIEW_DAYS = 180
"""How long a review holds where an article does not say."""
MAX_ARTICLE_BYTES = 256 * 1024
MAX_CHUNK_WORDS = 160
"""A longer text is cut between sentences: about a minute of speech, and within what an embedding reads."""
_HEADING = re.compile(r"^##\s+(.+?)\s*$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class ArticleError(Exception):
    """An article cannot be used; the message names the file and what to mend."""


class Chunk(Strict):
    """A part of an article that can be quoted by itself."""

    heading: str
    body: str


class Article(Strict):
    """One article. ``version`` is a digest of its text; ``reviewed`` the day somebody last checked it.

    ``region``: whom it is for (a deployment's own word, ``us``); None: everybody. ``review_days``: how long a
    review holds.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1, max_length=200)
    intents: tuple[str, ...]
    owner: str = Field(min_length=1)
    reviewed: date
    region: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]*$")
    review_days: int = Field(default=REVIEW_DAYS, ge=1)
    version: str
    chunks: tuple[Chunk, ...] = Field(min_length=1)

    def stale(self, today: date) -> bool:
        """Whether its review is overdue."""
        return today > self.reviewed + timedelta(days=self.review_days)


def read_articles(folder: Path, intents: Collection[str] | None = None) -> tuple[Article, ...]:
    """All ``*.md`` of a folder and the folders in it, in the order of their ids.

    Args:
        folder: the deployment's ``business/knowledge``.
        intents: those that exist; None does not check the articles' tags.

    Raises:
        ArticleError: the folder holds none, two have one id, or one cannot be used.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.md")):
        if path.stem in found:
            raise ArticleError(
                f"{path}: the id {path.stem!r} is taken by {found[path.stem]}: an article's id is its file's "
                "name, so rename one of them"
            )
        found[path.stem] = path
    if not found:
        raise ArticleError(f"{folder} holds no articles (*.md)")
    articles = tuple(read_article(found[stem]) for stem in sorted(found))
    if intents is not None:
        for article in articles:
            _check_intents(article, found[article.id], intents)
    return articles


def read_article(path: Path) -> Article:
    """One article; its id is the file's name.

    Raises:
        ArticleError: no front matter, an unknown or missing key, or no text.
    """
    text = _text_of(path)
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ArticleError(f"{path}: must begin with front matter between two lines of ---")
    try:
        front: Any = parse_yaml(parts[1])
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-02-30 is a ValueError
        raise ArticleError(f"{path}: front matter is not YAML: {_where(error)}") from error
    if not isinstance(front, dict):
        raise ArticleError(f"{path}: front matter must hold title, intents, owner, reviewed")
    intents: Any = front.get("intents") or ()
    if isinstance(intents, str):
        raise ArticleError(f"{path}: intents must be a list, as in [{intents}]")
    try:
        return Article.model_validate(
            {
                **front,
                "intents": tuple(intents),
                "id": path.stem,
                "version": hashlib.sha256(text.encode()).hexdigest()[:12],
                "chunks": tuple(_chunks(parts[2])),
            }
        )
    except (ValidationError, TypeError) as error:
        raise ArticleError(f"{path}: {_reasons(error)}") from error


def _where(error: Exception) -> str:
    """What is wrong, and in which line of the file (the front matter begins in its second)."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"line {mark.line + 2}: {getattr(error, 'problem', None) or 'cannot be read'}"


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ArticleError(f"{path}: cannot be read ({error.strerror})") from error
    if len(raw) > MAX_ARTICLE_BYTES:
        raise ArticleError(
            f"{path}: {len(raw) // 1024} KiB; an article has at most {MAX_ARTICLE_BYTES // 1024}: cut it up"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArticleError(f"{path}: is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    if "\0" in text:
        raise ArticleError(f"{path}: holds a zero byte: this is no text file")
    return text.replace("\r\n", "\n")


FRONT = frozenset({"title", "intents", "owner", "reviewed", "review_days", "region"})
"""The keys of an article's front matter."""


def _reasons(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "intents must be a list of names"
    reasons: list[str] = []
    unknown = [str(problem["loc"][0]) for problem in error.errors() if problem["type"] == "extra_forbidden"]
    for key in unknown:
        near = difflib.get_close_matches(key, sorted(FRONT), n=1)
        reasons.append(f"unknown key {key}" + (f": did you mean {near[0]}?" if near else ""))
        missing = [one["loc"] for one in error.errors() if one["type"] == "missing"]
        if near and (near[0],) in missing:
            unknown = [*unknown, near[0]]
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        if where in unknown:
            continue
        if problem["type"] == "missing":
            reasons.append(f"{where} is missing")
            continue
        empty = where == "chunks" and problem["type"] == "too_short"
        reasons.append(
            "chunks: there is no text below the front matter" if empty else f"{where}: {problem['msg']}"
        )
    return "; ".join(reasons)


def _check_intents(article: Article, path: Path, intents: Collection[str]) -> None:
    for intent in article.intents:
        if intent not in intents:
            near = difflib.get_close_matches(intent, sorted(intents), n=1)
            meant = f": did you mean {near[0]}?" if near else ": see business/intents.yaml"
            raise ArticleError(f"{path}: unknown intent {intent}{meant}")


def _chunks(body: str) -> Iterator[Chunk]:
    pieces = _HEADING.split(body)
    for heading, text in [("", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]:
        for part in _parts(" ".join(text.split())):
            yield Chunk(heading=heading, body=part)


def _parts(text: str) -> Iterator[str]:
    """The text in runs of whole sentences, each of at most `MAX_CHUNK_WORDS` where a sentence allows it."""
    run: list[str] = []
    words = 0
    for sentence in _SENTENCE.split(text) if text else ():
        length = len(sentence.split())
        if run and words + length > MAX_CHUNK_WORDS:
            yield " ".join(run)
            run, words = [], 0
        run.append(sentence)
        words += length
    if run:
        yield " ".join(run)
