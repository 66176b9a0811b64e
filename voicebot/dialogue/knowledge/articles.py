"""Articles as the deployment writes them: Markdown with front matter, cut into chunks. Pure but for reading.

A chunk is what stands under one ``## heading``: short enough to be quoted whole. The heading is never
spoken: it holds the words people ask with, and is searched with the text. The text is written as it is
spoken, numbers in words, two sentences to a thought.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict

_HEADING = re.compile(r"^##\s+(.+?)\s*$", re.MULTILINE)


class ArticleError(Exception):
    """An article cannot be used; the message names the file and what to mend."""


class Chunk(Strict):
    """A part of an article that can be quoted by itself."""

    heading: str
    body: str


class Article(Strict):
    """One article. ``version`` is a digest of its text; ``reviewed`` the day somebody last checked it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1)
    intents: tuple[str, ...]
    owner: str = Field(min_length=1)
    reviewed: date
    region: str | None = None
    version: str
    chunks: tuple[Chunk, ...] = Field(min_length=1)


def read_articles(folder: Path) -> tuple[Article, ...]:
    """All ``*.md`` of a folder, in the order of their names.

    Raises:
        ArticleError: the folder holds none, or one cannot be used.
    """
    articles = tuple(read_article(path) for path in sorted(folder.glob("*.md")))
    if not articles:
        raise ArticleError(f"{folder} holds no articles (*.md)")
    return articles


def read_article(path: Path) -> Article:
    """One article; its id is the file's name.

    Raises:
        ArticleError: no front matter, an unknown or missing key, or no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArticleError(f"{path}: cannot be read ({type(error).__name__})") from error
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ArticleError(f"{path}: must begin with front matter between two lines of ---")
    try:
        front: Any = yaml.safe_load(parts[1])
        if not isinstance(front, dict):
            raise ArticleError(f"{path}: front matter must hold title, intents, owner, reviewed")
        return Article.model_validate(
            {
                **front,
                "intents": tuple(front.get("intents") or ()),
                "id": path.stem,
                "version": hashlib.sha256(text.encode()).hexdigest()[:12],
                "chunks": _chunks(parts[2]),
            }
        )
    except yaml.YAMLError as error:
        raise ArticleError(f"{path}: front matter is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ArticleError(f"{path}: {wrong}") from error


def _chunks(body: str) -> tuple[Chunk, ...]:
    pieces = _HEADING.split(body)
    headed = [("", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    return tuple(
        Chunk(heading=heading, body=" ".join(text.split())) for heading, text in headed if text.strip()
    )
