"""A system of record that is a Postgres schema: the reference shop's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, cast

import psycopg

from voicebot.core.store.database import Database, DatabaseDown
from voicebot.dialogue.connectors.connector import ConnectorError


class PostgresConnector:
    """Runs the deployment's named queries, each in a read-only transaction of its own."""

    def __init__(self, database: Database, queries: Mapping[str, str]) -> None:
        self._database = database
        self._queries = queries

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a query.

        Raises:
            ConnectorError: no such query, or the database refuses it.
            DatabaseDown: it is our own database, so the call is in that mode.
        """
        statement = self._queries.get(query)
        if statement is None:
            raise ConnectorError(f"no query {query!r}; known are {', '.join(sorted(self._queries))}")
        try:
            async with self._database.transaction() as tx:
                await tx.execute("SET TRANSACTION READ ONLY")
                cursor = await tx.execute(cast("LiteralString", statement), parameters)
                return await cursor.fetchall()
        except DatabaseDown as error:
            if isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction):
                raise ConnectorError(f"query {query!r} writes: a connector's queries only read") from error
            raise
        except psycopg.Error as error:
            raise ConnectorError(f"query {query!r} failed: {type(error).__name__}") from error
