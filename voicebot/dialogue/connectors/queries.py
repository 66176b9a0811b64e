"""Named queries in a ``.sql`` file. Pure, apart from reading it. ::

    -- name: order_by_number
    -- scope: orders:read
    -- row: number text, placed_on date, total_cents integer, carrier text?
    SELECT ...;

    -- name: cancel_order
    -- scope: orders:write
    -- changes: orders
    -- row: outcome text, number text
    SELECT 1 FROM shop.orders WHERE number = %(order_number)s FOR UPDATE;
    WITH ... SELECT ...;

``scope``: what a tool must have declared to use it. ``row``: the shape of each row, ``?`` where it may be
null; whoever answers with another shape is not believed. ``changes``: what it changes; such a query may have
several statements, which run in order on one transaction, and the last one gives the rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

_NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s*$", re.MULTILINE)
_HEAD = re.compile(r"^--\s*(scope|changes|row):\s*(\S.*?)\s*$")
_COLUMN = re.compile(r"^([a-z][a-z0-9_]*) (text|integer|boolean|date|timestamp|numeric|text\[\])(\?)?$")
_SCOPE = re.compile(r"^[a-z][a-z_]*:(read|write)$")
_PARAMETER = re.compile(r"%\(([a-z][a-z0-9_]*)\)s")
_KINDS: Mapping[str, Any] = MappingProxyType(
    {
        "text": str,
        "integer": int,
        "boolean": bool,
        "date": date,
        "timestamp": datetime,
        "numeric": Decimal,
        "text[]": list[str],
    }
)


class QueriesError(Exception):
    """The file of queries cannot be used; the message names it and the query."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named query. ``scope`` is "" where none is declared: then only the server itself may ask it."""

    name: str
    statements: tuple[str, ...]
    scope: str = ""
    changes: str = ""
    shape: type[BaseModel] | None = None
    """The strict model of a row."""

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the values it takes."""
        return frozenset(name for one in self.statements for name in _PARAMETER.findall(one))


def read_queries(path: Path) -> dict[str, Query]:
    """The file's queries by name.

    Raises:
        QueriesError: it is missing, a name stands twice, a query is empty, writes without saying so, or its
            head cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise QueriesError(f"{path}: {error.strerror}") from error
    queries: dict[str, Query] = {}
    pieces = _NAME.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name in queries:
            raise QueriesError(f"{path}: query {name!r} stands twice")
        try:
            queries[name] = read_query(name, body)
        except ValueError as error:
            raise QueriesError(f"{path}: query {name!r} {error}") from error
    if not queries:
        raise QueriesError(f"{path}: no `-- name: ...` found")
    return queries


def read_query(name: str, body: str) -> Query:
    """One query out of its head and its statements.

    Raises:
        ValueError: it cannot be used; says why.
    """
    head: dict[str, str] = {}
    for line in body.splitlines():
        if found := _HEAD.match(line):
            if found[1] in head:
                raise ValueError(f"says `{found[1]}` twice")
            head[found[1]] = found[2]
    lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
    pieces = re.split(r";\s*$", "\n".join(lines), flags=re.MULTILINE)
    statements: tuple[str, ...] = tuple(one.strip() for one in pieces if one.strip())
    changes, scope = head.get("changes", ""), head.get("scope", "")
    if not statements:
        raise ValueError("is empty")
    select = next(iter(statements)).lower().startswith(("select", "with"))
    if not changes and (len(statements) > 1 or not select):
        raise ValueError("must be one SELECT, or say what it changes: `-- changes: ...`")
    if scope and not _SCOPE.match(scope):
        raise ValueError(f"has the scope {scope!r}: write it as `orders:read` or `orders:write`")
    if changes and not scope.endswith(":write"):
        raise ValueError("changes something: give it a scope such as `-- scope: orders:write`")
    shape = _shape(name, head["row"]) if "row" in head else None
    return Query(name, statements, scope, changes, shape)


def _shape(name: str, declared: str) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for column in declared.split(","):
        found = _COLUMN.match(column.strip())
        if found is None:
            raise ValueError(f"has the column {column.strip()!r}: write `NAME text|integer|date|...`, `?`")
        if found[1] in fields:
            raise ValueError(f"has the column {found[1]!r} twice")
        kind = _KINDS[found[2]]
        fields[found[1]] = (kind | None if found[3] else kind, ...)
    return create_model(
        f"{name}_row", __config__=ConfigDict(strict=True, extra="forbid", frozen=True), **fields
    )
