"""A database of the tests is lent again and again, and is as its template each time."""

from __future__ import annotations

import psycopg
import pytest
from database_kit import Shelf

TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
SWITCH = "INSERT INTO switches (name, is_on, changed_by) VALUES ('bot', false, 'a test')"


@pytest.fixture(autouse=True)
def lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine takes its time to end connections; none is thrown away for that."""
    monkeypatch.setattr("database_kit.LET_GO_S", 30.0)


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(url) as connection:
        tables = [name for (name,) in connection.execute(TABLES).fetchall()]
        return {name: connection.execute(f"TABLE {name}".encode()).fetchall() for name in tables}


def does(shelf: Shelf, *statements: str) -> str:
    with shelf.lent() as url, psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        return url


def test_what_one_test_wrote_no_other_finds_and_the_database_stays(shelf: Shelf) -> None:
    """Thrown away each time it would cost a tenth of a second of every test, and nobody would see it."""
    with shelf.lent() as first:
        before, made = contents(first), shelf.made
    for _ in range(3):
        assert does(shelf, SWITCH) == first
    with shelf.lent() as url:
        assert (url, contents(url)) == (first, before)
    assert shelf.made == made


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE mine (a int)",
        "ALTER TABLE switches ADD COLUMN mine int",
        "ALTER TABLE outcomes DISABLE TRIGGER ALL",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''9MB''', current_database()); END $$",
    ],
)
def test_a_database_that_was_made_another_is_thrown_away(shelf: Shelf, change: str) -> None:
    changed = does(shelf, change)
    with shelf.lent() as url:
        assert url != changed
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(changed)


def test_a_test_that_cuts_everybody_off_costs_nobody_a_database(shelf: Shelf) -> None:
    first = does(shelf, SWITCH)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname"
    assert does(shelf, f"{cut} = current_database()") == first
    with shelf.lent() as url:
        assert url == first
        assert contents(url)["public.switches"] == []
