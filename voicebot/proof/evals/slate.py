"""Independence: what one conversation left in the database is gone before the next one begins."""

from __future__ import annotations

from typing import LiteralString, cast

from voicebot.core.store.database import Database

_TABLES = """
SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename
"""


class Slate:
    """The tables that were empty before the first conversation. Use `of`."""

    def __init__(self, database: Database, tables: tuple[str, ...]) -> None:
        self._database = database
        self._tables = tables

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
        return cls(database, tuple(empty))

    async def wipe(self) -> None:
        """Empties them. The audit too, which nobody else may: the database is the run's own."""
        every = "; ".join(f"DELETE FROM {name}" for name in self._tables)  # noqa: S608  # as above
        async with self._database.transaction() as tx:
            await tx.execute(
                "SET LOCAL session_replication_role = replica"
            )  # no triggers, no order of tables
            await tx.execute(cast("LiteralString", every))
