"""Independence: what one conversation left in the database is gone before the next one begins."""

from __future__ import annotations

from typing import LiteralString, cast

from voicebot.core.store.database import Database

_TABLES = """
SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename
"""


_RECORDS = """
SELECT schemaname, tablename, quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
WHERE schemaname NOT IN ('public', 'slate', 'pg_catalog', 'information_schema') ORDER BY schemaname, tablename
"""


class Slate:
    """The tables that were empty before the first conversation, and the business's records. Use `of`."""

    def __init__(self, database: Database, tables: tuple[str, ...], records: tuple[str, ...]) -> None:
        self._database = database
        self._tables = tables
        self._records = records

    @classmethod
    async def of(cls, database: Database) -> Slate:
        """Looks which tables are empty now: whatever comes into them is a conversation's."""
        async with database.transaction() as tx:
            names = [row["name"] for row in await (await tx.execute(_TABLES)).fetchall()]
            empty: list[str] = []
            for name in names:
                some = f"SELECT EXISTS (SELECT FROM {name}) AS some"  # noqa: S608  # from the catalogue, quoted
                row = await (await tx.execute(cast("LiteralString", some))).fetchone()
                if row is not None and not row["some"]:
                    empty.append(name)
            records = [row["name"] for row in await (await tx.execute(_RECORDS)).fetchall()]
            await tx.execute("DROP SCHEMA IF EXISTS slate CASCADE; CREATE SCHEMA slate")  # of an earlier run
            for nth, name in enumerate(records):
                kept = f"CREATE UNLOGGED TABLE slate.kept_{nth} AS TABLE {name}"
                await tx.execute(cast("LiteralString", kept))
        return cls(database, tuple(empty), tuple(records))

    def on(self, database: Database) -> Slate:
        """The same, on another connection to it."""
        return Slate(database, self._tables, self._records)

    async def wipe(self) -> None:
        """Empties them. The audit too, which nobody else may: the database is the run's own.

        Records that a conversation changed are what they were.
        """
        back = "; ".join(
            f"DELETE FROM {name}; INSERT INTO {name} SELECT * FROM slate.kept_{nth}"  # noqa: S608  # as above
            for nth, name in enumerate(self._records)
        )
        every = "; ".join(f"DELETE FROM {name}" for name in self._tables)  # noqa: S608  # as above
        async with self._database.transaction() as tx:
            await tx.execute(
                "SET LOCAL session_replication_role = replica"
            )  # no triggers, no order of tables
            acted = back and await (await tx.execute("SELECT EXISTS (SELECT FROM acts) AS some")).fetchone()
            await tx.execute(cast("LiteralString", every))
            if acted and acted["some"]:
                await tx.execute(cast("LiteralString", back))
