"""Databases like a template, lent to one test after the other.

Making a database takes 70-200 ms, putting one back as it was 20: what a test wrote is taken out, what it
took out or changed is written anew. A database whose schema was changed, that has grown, or that somebody
will not let go of is thrown away instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, sleep

import psycopg
from psycopg import sql

LET_GO_S = 2.0
"""Connections that were cut off are gone after that, or the database is thrown away."""

GROWN = 16 << 20
"""Bytes over its template's size from which a database is thrown away."""

_OURS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"

_SCHEMA = f"""
WITH ours AS (
    SELECT c.oid, relname, relkind, relpersistence, reloptions FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace WHERE {_OURS}
)
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT concat_ws(':', 'class', oid, relname, relkind, relpersistence, reloptions) FROM ours
    UNION ALL SELECT concat_ws(
            ':', 'column', attrelid, attnum, attname, attnotnull, attidentity, atttypid, atthasdef
        ) FROM pg_attribute JOIN ours ON ours.oid = attrelid
    UNION ALL SELECT concat_ws(':', 'constraint', oid, conname) FROM pg_constraint
    UNION ALL SELECT concat_ws(':', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(':', 'function', p.oid, p.xmin) FROM pg_proc p
        JOIN pg_namespace n ON n.oid = pronamespace WHERE {_OURS}
    UNION ALL SELECT concat_ws(':', 'schema', oid, nspname, nspacl) FROM pg_namespace
) AS lines (line)
"""  # noqa: S608

_SETTINGS = """
SELECT 1 FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
"""
"""Those of the template are not in its copies."""

_TABLES = f"""
SELECT nspname, relname, array(
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND {_OURS} ORDER BY 1, 2
"""  # noqa: S608


def database_url_of(server_url: str, name: str) -> str:
    """The URL of database ``name`` on the same server."""
    head, _, query = server_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


def name_in(url: str) -> str:
    """The name of the database that ``url`` leads to."""
    return url.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True)
class _Table:
    name: sql.Identifier
    columns: sql.Composed
    rows: bytes
    """As COPY gives them; empty for most."""

    @property
    def marks(self) -> sql.Composed:
        """Another value after any change of a row; the same in a copy of the database."""
        return sql.SQL("(SELECT md5(string_agg(ctid::text || xmin::text, ',')) FROM {})").format(self.name)


@dataclass(frozen=True)
class _Contents:
    """What a database like the template holds."""

    schema: str
    size: int
    filled: tuple[_Table, ...]
    empty: tuple[_Table, ...]
    sequences: tuple[tuple[str, int | None], ...]
    marks: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> _Contents:
        with psycopg.connect(url) as template:
            tables = [_read(template, *row) for row in template.execute(_TABLES).fetchall()]
            filled = tuple(table for table in tables if table.rows)
            sequences = template.execute(
                "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences"
            ).fetchall()
            return cls(
                _schema(template),
                _size(template),
                filled,
                tuple(table for table in tables if not table.rows),
                tuple((str(name), at) for name, at in sequences),
                _marks(template, filled),
            )

    def put_back(self, connection: psycopg.Connection, marks: tuple[str, ...]) -> tuple[str, ...]:
        """Makes the rows those of the template; returns their new marks."""
        connection.execute("SET LOCAL session_replication_role = replica")
        out = [sql.SQL("DELETE FROM {};").format(table.name) for table in self.empty]
        changed = [
            table
            for table, was, now in zip(self.filled, marks, _marks(connection, self.filled), strict=True)
            if was != now
        ]
        out += [sql.SQL("DELETE FROM {};").format(table.name) for table in changed]
        out += [_restarted(name, at) for name, at in self.sequences]
        connection.execute(sql.Composed(out))
        for table in changed:
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.name, table.columns)
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(table.rows)
        return _marks(connection, self.filled) if changed else marks


def _read(connection: psycopg.Connection, schema: str, name: str, columns: list[str]) -> _Table:
    table = sql.Identifier(schema, name)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(table, listed)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return _Table(table, listed, b"".join(bytes(part) for part in copy))


def _restarted(name: str, at: int | None) -> sql.Composed:
    if at is None:
        return sql.SQL("ALTER SEQUENCE {} RESTART;").format(sql.SQL(name))  # pyright: ignore[reportArgumentType]
    return sql.SQL("SELECT setval({}, {});").format(sql.Literal(name), sql.Literal(at))


def _marks(connection: psycopg.Connection, tables: tuple[_Table, ...]) -> tuple[str, ...]:
    row = connection.execute(sql.SQL("SELECT ") + sql.SQL(", ").join(t.marks for t in tables)).fetchone()
    assert row is not None
    return tuple(row)


def _schema(connection: psycopg.Connection) -> str:
    row = connection.execute(_SCHEMA).fetchone()
    assert row is not None
    return row[0]


def _size(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return row[0]


@dataclass
class Shelf:
    """Databases like ``template``, which nobody writes to any more.

    ``server_url``: of any database on the server, as somebody who may make databases.
    """

    server_url: str
    template: str
    _contents: _Contents | None = None
    _free: list[str] = field(default_factory=list)
    _marks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _keepers: dict[str, psycopg.Connection] = field(default_factory=dict)
    made: int = 0
    """Databases so far."""

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database as the template is."""
        name = self._free.pop() if self._free else self._make()
        try:
            yield database_url_of(self.server_url, name)
        finally:
            self._take_back(name)

    def close(self) -> None:
        """Lets go of the databases; they go with their server."""
        for keeper in self._keepers.values():
            keeper.close()

    def _make(self) -> str:
        if self._contents is None:
            self._contents = _Contents.of(database_url_of(self.server_url, self.template))
        self.made += 1
        name = f"{self.template}_{self.made}"
        with psycopg.connect(self.server_url, autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(self.template)
                )
            )
        self._marks[name] = self._contents.marks
        return name

    def _take_back(self, name: str) -> None:
        assert self._contents is not None
        keeper = self._keeper(name)
        if (
            _alone(keeper)
            and _schema(keeper) == self._contents.schema
            and keeper.execute(_SETTINGS).fetchone() is None
            and _size(keeper) < self._contents.size + GROWN
        ):
            with keeper.transaction():
                self._marks[name] = self._contents.put_back(keeper, self._marks[name])
            self._free.append(name)
            return
        self._keepers.pop(name).close()
        with psycopg.connect(self.server_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _keeper(self, name: str) -> psycopg.Connection:
        """A connection that stays open: what it knows of the catalogues costs most of putting back."""
        if name in self._keepers:
            with suppress(psycopg.OperationalError):  # a test cut off every connection
                self._keepers[name].execute("SELECT 1")
                return self._keepers[name]
        keeper = psycopg.connect(database_url_of(self.server_url, name), autocommit=True)
        self._keepers[name] = keeper
        return keeper


def _alone(connection: psycopg.Connection) -> bool:
    """Cuts all others off; False where somebody comes again and again."""
    until = monotonic() + LET_GO_S
    while True:
        others = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
        if not others:
            return True
        if monotonic() > until:
            return False
        sleep(0.005)
