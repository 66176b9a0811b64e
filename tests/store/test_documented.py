"""docs/data.md names every table, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

DOCS = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_every_table_is_in_the_docs(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    table = DOCS[DOCS.index("| table |") :].split("\n\n")[0]
    documented = {
        name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == {str(row[0]) for row in rows}
