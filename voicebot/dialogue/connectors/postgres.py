"""A system of record that is a Postgres schema in our own database: the reference shop's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString, cast

import psycopg
from pydantic import ValidationError

from voicebot.core.store.database import Database, Transaction
from voicebot.dialogue.connectors.connector import ConnectorError, NoWriteHere
from voicebot.dialogue.connectors.queries import Query


class PostgresConnector:
    """Runs the deployment's named queries, each on a connection that only reads.

    `within` gives one that runs them on the turn's own transaction, changes too.
    """

    local = True

    def __init__(
        self, database: Database, queries: Mapping[str, Query], *, tx: Transaction | None = None
    ) -> None:
        self._database = database
        self._queries = queries
        self._tx = tx

    @property
    def queries(self) -> Mapping[str, Query]:
        """What may be asked, by name."""
        return self._queries

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a reading query.

        Raises:
            ConnectorError: no such query, it changes something, the database refuses it, or its rows have
                another shape than it declares.
            DatabaseDown: it is our own database, so the call is in that mode.
        """
        asked = self._query(query)
        if asked.changes:
            raise NoWriteHere(f"query {query!r} changes {asked.changes}: a read cannot ask it")
        if self._tx is not None:
            return await _run(self._tx, asked, parameters)
        try:
            async with self._database.reading() as tx:
                return await _run(tx, asked, parameters)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise ConnectorError(f"query {query!r} writes: a connector's queries only read") from error

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Makes a change on the transaction given to `within`.

        Raises:
            NoWriteHere: there is none.
            ConnectorError: no such query, it changes nothing, or the database refuses it.
        """
        asked = self._query(query)
        if self._tx is None:
            raise NoWriteHere(f"query {query!r} changes {asked.changes or 'nothing'}: only an act may ask it")
        if not asked.changes:
            raise ConnectorError(f"query {query!r} changes nothing: read it")
        return await _run(self._tx, asked, parameters)

    def within(self, tx: Transaction) -> PostgresConnector:
        """The same records on our own transaction."""
        return PostgresConnector(self._database, self._queries, tx=tx)

    def keyed(self, key: str) -> PostgresConnector:
        """Never: these records are our own, and their change is once because its transaction is."""
        raise NoWriteHere(f"the change {key} belongs on the turn's transaction: use `within`")

    def recalling(self, key: str) -> PostgresConnector:
        """Never: what came of a change on our own transaction stands with it, in `acts`."""
        raise NoWriteHere(f"the outcome of {key} stands in our own database: read the act")

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """Never, as `recalling`."""
        raise NoWriteHere(f"the outcome of {key} stands in our own database: read the act")

    def _query(self, name: str) -> Query:
        asked = self._queries.get(name)
        if asked is None:
            raise ConnectorError(f"no query {name!r}; known are {', '.join(sorted(self._queries))}")
        return asked


async def _run(tx: Transaction, query: Query, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        for statement in query.statements:
            # Prepared, Postgres takes one statement: no second one can leave what only reads.
            cursor = await tx.execute(cast("LiteralString", statement), parameters, prepare=True)
            found = await cursor.fetchall() if cursor.description is not None else []
    except psycopg.OperationalError:
        raise  # our own database failed, or the transaction is read-only: not the query's fault
    except psycopg.errors.ReadOnlySqlTransaction:
        raise
    except (psycopg.Error, KeyError) as error:
        raise ConnectorError(f"query {query.name!r} failed: {type(error).__name__}") from error
    return shaped(query, found)


def shaped(query: Query, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, if they have the shape that the query declares.

    Raises:
        ConnectorError: they have another; names the columns, never a value.
    """
    if query.shape is None:
        return rows
    for row in rows:
        try:
            query.shape.model_validate(row)
        except ValidationError as error:
            columns = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
            raise ConnectorError(
                f"query {query.name!r} answers with another shape than its `row:` says ({', '.join(columns)})"
            ) from None
    return rows
