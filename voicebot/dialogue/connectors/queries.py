"""Named queries in a ``.sql`` file: ``-- name: NAME`` and then one statement. Pure, apart from reading it."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class QueriesError(Exception):
    """The file of queries cannot be used; the message names it and the query."""


def read_queries(path: Path) -> dict[str, str]:
    """The file's queries by name.

    Raises:
        QueriesError: it is missing, a name stands twice, or a query is empty or writes.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise QueriesError(f"{path}: {error.strerror}") from error
    queries: dict[str, str] = {}
    pieces = _NAME.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        statement = "\n".join(lines).strip().rstrip(";")
        if name in queries:
            raise QueriesError(f"{path}: query {name!r} stands twice")
        if not statement.lower().startswith(("select", "with")):
            raise QueriesError(f"{path}: query {name!r} must be one SELECT")
        queries[name] = statement
    if not queries:
        raise QueriesError(f"{path}: no `-- name: ...` found")
    return queries
