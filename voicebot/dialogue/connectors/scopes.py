"""A connector as one tool may use it: the queries of the scopes that the tool declared, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.dialogue.connectors.connector import Connector, ConnectorError, NoWriteHere
from voicebot.dialogue.connectors.queries import Query


class OutOfScope(ConnectorError):
    """A tool asked for a query that lies outside of the scopes it declared."""


class Scoped:
    """A connector, narrowed to the queries with one of some scopes. One per call of a tool.

    Attributes:
        sent: a change was sent and not refused: whatever goes wrong from then on, it may have been made.
    """

    def __init__(self, connector: Connector, scopes: frozenset[str]) -> None:
        self._connector = connector
        self._scopes = scopes
        self.sent = False

    @property
    def local(self) -> bool:
        """As `Connector.local`."""
        return self._connector.local

    @property
    def queries(self) -> Mapping[str, Query]:
        """The queries that may be asked here."""
        return {name: query for name, query in self._connector.queries.items() if query.scope in self._scopes}

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """As `Connector.rows`; `OutOfScope` beyond the scopes."""
        self._allow(query)
        return await self._connector.rows(query, **parameters)

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """As `Connector.change`, once; `OutOfScope` beyond the scopes."""
        self._allow(query)
        if self.sent:
            raise NoWriteHere("an act makes one change; let the records do all of it in one")
        self.sent = True
        try:
            return await self._connector.change(query, **parameters)
        except ConnectorError:
            self.sent = False
            raise

    def within(self, tx: Transaction) -> Connector:
        """Never: a tool's records are bound before it runs."""
        raise NoWriteHere("a tool's records are bound before it runs")

    def keyed(self, key: str) -> Connector:
        """Never, as `within`."""
        raise NoWriteHere("a tool's records are bound before it runs")

    def recalling(self, key: str) -> Connector:
        """Never, as `within`."""
        raise NoWriteHere("a tool's records are bound before it runs")

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """Never: what came of an act is not for a tool to ask."""
        raise NoWriteHere("what came of an act is asked by whoever does acts, not by a tool")

    def _allow(self, name: str) -> None:
        query = self._connector.queries.get(name)
        if query is not None and query.scope not in self._scopes:
            raise OutOfScope(f"query {name!r} needs the scope {query.scope or 'of the server'}: declare it")
