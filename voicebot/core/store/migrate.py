"""Brings a database to this version's schema, or refuses one that is not at it.

Two nodes that boot at once both call `ensure_schema`; an advisory lock lets one migrate and
the other find the work done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from voicebot.core.store.database import DatabaseDown

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x766F6963  # "voic": pg_advisory_xact_lock key of everyone who migrates
_LOCK_TIMEOUT_S = 60
_CONNECT_TIMEOUT_S = 5
_HERE = Path(__file__).with_name("migrations")


class SchemaMismatch(Exception):
    """The database is at another schema version than this voicebot.

    Attributes:
        found: the database's version, "" if it is empty, None if its tables are not voicebot's.
        expected: the version this code needs.
    """

    def __init__(self, found: str | None, expected: str) -> None:
        self.found = found
        self.expected = expected
        if found is None:
            message = (
                f"the database holds tables that are not voicebot's (this voicebot needs schema version "
                f"{expected}): give it an empty database"
            )
        elif not found:
            message = "the database is empty: start `voicebot serve` once, or run `voicebot db migrate`"
        elif found > expected:
            message = (
                f"the database is at schema version {found}, this voicebot needs {expected}: a newer "
                "voicebot ran `voicebot db migrate` on it. Run that version, or restore an older backup"
            )
        else:
            message = (
                f"the database is at schema version {found}, this voicebot needs {expected}: stop all nodes, "
                "make a backup, then run `voicebot db migrate`"
            )
        super().__init__(message)


def expected_version() -> str:
    """The newest version this code knows, e.g. ``"0001"``: what the ``versions/`` folder ends with."""
    return max(path.name[:4] for path in (_HERE / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def found_version(url: str) -> str | None:
    """The database's version; None if it is empty.

    Raises:
        SchemaMismatch: it holds tables, but not ours.
        DatabaseDown: it cannot be reached.
    """
    with _connect(url) as connection:
        connection.autocommit = True
        return _found(connection)


def ensure_schema(url: str) -> None:
    """At boot: makes the schema of an empty database, accepts the right one, refuses any other.

    Raises:
        SchemaMismatch: names both versions and what to run.
        DatabaseDown: it cannot be reached.
    """
    found = found_version(url)
    if found == expected_version():
        return
    if found is not None:
        raise SchemaMismatch(found, expected_version())
    _upgrade(url, only_empty=True)


def migrate(url: str) -> list[str]:
    """Applies all pending versions, in one transaction and under the lock.

    Returns:
        The versions that were applied, oldest first; empty if there was nothing to do.

    Raises:
        SchemaMismatch: the database is newer than this code, or not ours.
        DatabaseDown: it cannot be reached.
    """
    return _upgrade(url, only_empty=False)


def _upgrade(url: str, *, only_empty: bool) -> list[str]:
    from alembic import command
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, pool, text

    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(url), poolclass=pool.NullPool)
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        found, expected = _found(driver), expected_version()
        if found == expected:
            return []
        if found is not None and (only_empty or found > expected):
            raise SchemaMismatch(found, expected)
        config = _config()
        config.attributes["connection"] = connection
        script = ScriptDirectory.from_config(config)
        pending = [step.revision for step in script.iterate_revisions("head", found or "base")]
        command.upgrade(config, "head")
        return pending[::-1]


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_S, application_name="voicebot-migrate")
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()
        raise DatabaseDown(
            f"the database cannot be reached: {reason[0] if reason else 'no answer'}"
        ) from error


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _found(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    row = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if row is not None and row[0]:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if version is not None:
            return str(version[0])
    row = connection.execute(
        "SELECT count(*) FROM pg_class c"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname <> 'alembic_version'"
        " AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
    ).fetchone()
    if row is not None and row[0]:
        raise SchemaMismatch(None, expected_version())
    return None
