"""A connector whose answers are told to the witness of the call: with them the call can be run again.

Rows of plain values go as JSON; dates, times and decimals under their type. A card's number never goes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from voicebot.core import witness
from voicebot.core.store.database import Transaction
from voicebot.dialogue.connectors.connector import Connector, ConnectorError, OutcomeUnknown
from voicebot.dialogue.connectors.queries import Query
from voicebot.safety.pii.checksums import is_card

ROWS = "outside.rows"
CHANGE = "outside.change"

_CARD = re.compile(r"\d(?:[ -]?\d){12,18}")
HIDDEN = "[card]"


class NotedConnector:
    """See `Connector`; everything is asked of ``inner``."""

    def __init__(self, inner: Connector) -> None:
        self.inner = inner

    @property
    def local(self) -> bool:
        """See `Connector`."""
        return self.inner.local

    @property
    def queries(self) -> Mapping[str, Query]:
        """See `Connector`."""
        return self.inner.queries

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """See `Connector`."""
        return await _noted(ROWS, query, parameters, lambda: self.inner.rows(query, **parameters))

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """See `Connector`."""
        return await _noted(CHANGE, query, parameters, lambda: self.inner.change(query, **parameters))

    def within(self, tx: Transaction) -> NotedConnector:
        """See `Connector`."""
        return NotedConnector(self.inner.within(tx))

    def keyed(self, key: str) -> NotedConnector:
        """See `Connector`."""
        return NotedConnector(self.inner.keyed(key))

    def recalling(self, key: str) -> NotedConnector:
        """See `Connector`."""
        return NotedConnector(self.inner.recalling(key))

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """See `Connector`."""
        return await self.inner.outcome_of(key)


async def _noted(
    kind: str,
    query: str,
    parameters: Mapping[str, Any],
    ask: Callable[[], Awaitable[list[dict[str, Any]]]],
) -> list[dict[str, Any]]:
    if not witness.listening():
        return await ask()
    began_s = time.monotonic()
    rows: list[dict[str, Any]] | None = None
    error: str | None = None
    try:
        rows = await ask()
        return rows
    except (ConnectorError, OutcomeUnknown) as failed:
        error = type(failed).__name__
        raise
    finally:
        if rows is not None or error is not None:  # else nobody waited for it to the end
            witness.tell(
                kind,
                query=query,
                parameters=plain(dict(parameters)),
                rows=None if rows is None else plain(rows),
                error=error,
                took_ms=round((time.monotonic() - began_s) * 1000, 1),
            )


def plain(value: Any) -> Any:
    """A value as JSON can hold it; `restored` gives it back."""
    match value:
        case str():
            return _CARD.sub(_hidden, value)
        case datetime():
            return {"$": "datetime", "v": value.isoformat()}
        case date():
            return {"$": "date", "v": value.isoformat()}
        case Decimal():
            return {"$": "decimal", "v": str(value)}
        case UUID():
            return {"$": "uuid", "v": str(value)}
        case bytes():
            return {"$": "bytes", "v": value.hex()}
        case dict():
            return {str(key): plain(one) for key, one in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [plain(one) for one in cast("list[Any]", value)]
        case _:
            return value


def _hidden(found: re.Match[str]) -> str:
    digits = "".join(filter(str.isdigit, found.group()))
    return HIDDEN if is_card(digits) else found.group()


_MADE: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": bytes.fromhex,
}


def restored(value: Any) -> Any:
    """What `plain` was given.

    Raises:
        KeyError, ValueError: it is nothing that `plain` makes.
    """
    match value:
        case {"$": kind, "v": text}:
            return _MADE[cast("str", kind)](cast("str", text))
        case dict():
            return {key: restored(one) for key, one in cast("dict[Any, Any]", value).items()}
        case list():
            return [restored(one) for one in cast("list[Any]", value)]
        case _:
            return value
