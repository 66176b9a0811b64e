"""What the dialogue asks of a system of record, whatever it is made of."""

from __future__ import annotations

from typing import Any, Protocol


class ConnectorError(Exception):
    """The system of record cannot answer: it is down, too slow, or refuses the query."""


class Connector(Protocol):
    """Named queries with parameters, rows of plain values. Shared by all conversations of a node."""

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a query.

        Raises:
            ConnectorError: it cannot be answered, or no such query exists.
        """
        ...
