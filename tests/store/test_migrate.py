"""Boot makes an empty database, accepts its own schema, and refuses any other by name and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from database_kit import database_url_of
from processes import python
from typer.testing import CliRunner

from voicebot.cli import app
from voicebot.core.store import migrate, migrations
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.migrate import SchemaMismatch, ensure_schema, expected_version

EXPECTED = expected_version()


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE empty_one")
        yield database_url_of(postgres.url, "empty_one")
        admin.execute("DROP DATABASE empty_one WITH (FORCE)")


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_an_empty_database_is_made_and_then_accepted(empty_url: str) -> None:
    assert migrate.found_version(empty_url) is None
    ensure_schema(empty_url)
    assert migrate.found_version(empty_url) == EXPECTED
    run(empty_url, "INSERT INTO switches (name, is_on, changed_by) VALUES ('bot', false, 'test')")
    ensure_schema(empty_url)
    assert migrate.migrate(empty_url) == []
    assert run(empty_url, "SELECT name FROM switches") == [("bot",)]


def test_migrate_says_what_it_applied(empty_url: str) -> None:
    applied = migrate.migrate(empty_url)
    assert applied[0] == "0001"
    assert applied[-1] == EXPECTED


def test_racing_boots_make_one_schema(empty_url: str) -> None:
    boot = "import sys; from voicebot.core.store.migrate import ensure_schema; ensure_schema(sys.argv[1])"
    boots = [python(boot, empty_url) for _ in range(3)]
    for process in boots:
        process.communicate(timeout=60)
    assert [process.returncode for process in boots] == [0, 0, 0]
    assert run(empty_url, "SELECT count(*) FROM alembic_version") == [(1,)]


@pytest.mark.parametrize(
    ("found", "remedy"), [("0000", "run `voicebot db migrate`"), ("9999", "a newer voicebot ran")]
)
def test_another_version_is_refused_naming_both_and_the_command(
    empty_url: str, found: str, remedy: str
) -> None:
    ensure_schema(empty_url)
    run(empty_url, "UPDATE alembic_version SET version_num = $$FOUND$$".replace("FOUND", found))
    with pytest.raises(SchemaMismatch) as refused:
        ensure_schema(empty_url)
    message = str(refused.value)
    assert f"version {found}" in message
    assert f"needs {EXPECTED}" in message
    assert remedy in message
    assert "voicebot db migrate" in message


def test_a_newer_database_is_not_migrated_down(empty_url: str) -> None:
    ensure_schema(empty_url)
    run(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="newer"):
        migrate.migrate(empty_url)


def test_somebody_elses_database_is_left_alone(empty_url: str) -> None:
    run(empty_url, "CREATE TABLE payroll (id int)")
    for attempt in (ensure_schema, migrate.migrate):
        with pytest.raises(SchemaMismatch, match="not voicebot's"):
            attempt(empty_url)
    assert run(empty_url, "SELECT to_regclass('conversations')") == [(None,)]


def test_an_empty_database_is_called_empty_by_a_command_that_reads(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not somebody else's: there is nothing to verify yet, and it says how to begin."""
    monkeypatch.setenv("DATABASE_URL", empty_url)
    monkeypatch.setenv("VOICEBOT_DATA_DIR", str(tmp_path))
    refused = CliRunner().invoke(app, ["audit", "verify"])
    assert refused.exit_code != 0
    assert "the database is empty" in " ".join(refused.output.split())


def test_tables_of_an_extension_do_not_make_a_database_somebody_elses(empty_url: str) -> None:
    run(empty_url, "CREATE EXTENSION vector")
    ensure_schema(empty_url)


def test_a_failing_step_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = migrations.SQL

    class Broken(type(folder)):  # type: ignore[misc]  # pathlib's concrete class
        def read_bytes(self) -> bytes:
            return super().read_bytes() + b"\nSELECT 1 / 0;"

    monkeypatch.setattr(migrations, "SQL", Broken(str(folder)))
    with pytest.raises(psycopg.errors.DivisionByZero):
        ensure_schema(empty_url)
    assert migrate.found_version(empty_url) is None
    assert run(empty_url, "SELECT to_regclass('conversations')") == [(None,)]


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseDown, match="cannot be reached") as down:
        ensure_schema("postgresql://someone:hunter2@/x?host=/nowhere")
    assert "hunter2" not in str(down.value)


def test_every_sql_file_has_its_version_in_one_line_of_descent() -> None:
    script = ScriptDirectory.from_config(migrate._config())  # pyright: ignore[reportPrivateUsage]
    assert script.get_heads() == [EXPECTED]
    chain = [step.revision for step in script.walk_revisions()][::-1]
    assert chain == sorted(path.name[:4] for path in migrations.SQL.glob("*.sql"))
    files = sorted(path.stem for path in migrations.SQL.glob("*.sql"))
    modules = sorted(Path(step.path).stem for step in script.walk_revisions())
    assert files == modules
    assert all(re.fullmatch(r"\d{4}_[a-z_]+", name) for name in files)
