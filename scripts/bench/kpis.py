"""How long the figures of 30 days of many conversations take: `/api/kpis` by what it can be asked by.

    .venv/bin/python -m scripts.bench.kpis [--conversations 100000] [--rounds 5] [--json] [--out FILE]

Conversations, what they were about, handoffs with their steps, verdicts and ratings are made up by SQL
(`kpis.sql`) in shares like those of a business day: a quarter goes to a person, a tenth leaves, a tenth
rates it, three of four have four timed turns. The embedded Postgres is durable and analysed. Every day
was counted before but today, of which something changes before each round. Each question is asked once
unmeasured, then in turns. A question is what the endpoint does behind one request: the whole, days, rows,
categories, and their figures.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from scripts.bench import report
from voicebot.console.figures import figures
from voicebot.console.targets import Targets
from voicebot.core.store import kpi_days, kpis
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.kpi_units import By
from voicebot.core.store.migrate import ensure_schema

SPAN: dict[str, Any] = {
    "first": date(2026, 10, 23),
    "last": date(2026, 11, 21),
    "zone": "America/Los_Angeles",
}
ASKED: tuple[By, ...] = ("all", "intent", "channel", "segment")
HEAD = ["30 days by day, and by", "p50 ms", "slowest ms"]
_FILL = Path(__file__).with_name("kpis.sql")
_CHANGE = b"UPDATE outcomes SET gaps = gaps + 1 WHERE began_at = (SELECT max(began_at) FROM outcomes)"


async def fill(database: Database, conversations: int) -> None:
    """Makes the conversations up."""
    async with database.transaction() as tx:
        for statement in _FILL.read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                await tx.execute(statement.replace("%(n)s", str(conversations)).encode())
        await tx.execute("ANALYZE")


async def keep(database: Database) -> list[float]:
    """Counts every day; milliseconds of each transaction, which counts one of them."""
    took: list[float] = []
    while True:
        began = time.perf_counter()
        async with database.transaction() as tx:
            if await kpi_days.keep(tx, SPAN["zone"]) is None:
                return took
        took.append((time.perf_counter() - began) * 1000)


async def ask(database: Database, by: By) -> float:
    """Milliseconds of one question, with its figures."""
    began = time.perf_counter()
    async with database.transaction() as tx:
        whole, days, each = await kpis.counted(tx, by={by, "category"}, **SPAN)
    for tally in (whole, *days.values(), *each[by].values(), *each["category"].values()):
        figures(tally, Targets())
    took = (time.perf_counter() - began) * 1000
    assert len(days) == 30
    return took


async def measure(url: str, *, conversations: int, rounds: int) -> dict[str, Any]:
    """Milliseconds by what was asked by, every round; today has changed since it was counted."""
    database = await Database.open(url, timeout_s=120)
    await fill(database, conversations)
    unkept = await ask(database, "all")
    keeping = await keep(database)
    took: dict[str, list[float]] = {by: [] for by in ASKED}
    for kept in range(rounds + 1):
        async with database.transaction() as tx:
            await tx.execute(_CHANGE)
        for by in ASKED:
            ms = await ask(database, by)
            if kept:
                took[by].append(ms)
    await database.close()
    return {
        "bench": "kpis",
        "conversations": conversations,
        "ms": took,
        "unkept_ms": unkept,
        "keeping_ms": keeping,
        "load": os.getloadavg()[0],
    }


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row by what was asked by."""
    table = [
        [by, report.show(report.median(took)), report.show(max(took))] for by, took in result["ms"].items()
    ]
    keeping = result["keeping_ms"]
    return [
        *table,
        ["day, nothing counted before", report.show(result["unkept_ms"]), ""],
        ["counting a day", report.show(report.median(keeping)), report.show(max(keeping))],
    ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres.start(Path(folder) / "data") as server:
            ensure_schema(server.url)
            result = asyncio.run(
                measure(server.url, conversations=options.conversations, rounds=options.rounds)
            )
    if not options.json:
        report.print_table(f"{result['conversations']:,} conversations", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)


if __name__ == "__main__":
    main()
