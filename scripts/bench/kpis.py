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
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from scripts.bench import report
from voicebot.console.figures import figures
from voicebot.console.targets import Targets
from voicebot.core.store import kpi_days, kpis
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.kpi_units import By
from voicebot.core.store.migrate import ensure_schema

SPAN: dict[str, Any] = {
    "first": date(2026, 10, 23),
    "last": date(2026, 11, 21),
    "zone": "America/Los_Angeles",
}
ASKED: tuple[By, ...] = ("all", "intent", "channel", "segment")
HEAD = ["30 days by day, and by", "CPU ms (mean)", "ms p50", "ms slowest"]
_FILL = Path(__file__).with_name("kpis.sql")
_CHANGE = b"UPDATE outcomes SET gaps = gaps + 1 WHERE began_at = (SELECT max(began_at) FROM outcomes)"


async def fill(database: Database, conversations: int) -> None:
    """Makes the conversations up."""
    async with database.transaction() as tx:
        for statement in _FILL.read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                await tx.execute(statement.replace("%(n)s", str(conversations)).encode())
        await tx.execute("ANALYZE")


@dataclass(frozen=True)
class Took:
    """Milliseconds by the clock, and of processor time (Postgres' and ours), which hardly knows of load."""

    ms: float
    cpu_ms: float


@asynccontextmanager
async def timed(database: Database, took: list[Took]) -> AsyncGenerator[Transaction]:
    """A transaction whose time goes into ``took``, with whatever is done with what it gave."""
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT pg_backend_pid() AS pid")).fetchone()
        assert row is not None
        backend = psutil.Process(row["pid"])
        began, ours, theirs = time.perf_counter(), time.process_time(), backend.cpu_times()
        yield tx
        after = backend.cpu_times()
        cpu_s = time.process_time() - ours + after.user + after.system - theirs.user - theirs.system
        took.append(Took((time.perf_counter() - began) * 1000, cpu_s * 1000))


async def keep(database: Database) -> list[Took]:
    """Counts every day, one a transaction."""
    took: list[Took] = []
    while True:
        async with timed(database, took) as tx:
            day = await kpi_days.keep(tx, SPAN["zone"])
        if day is None:
            return took[:-1]


async def ask(database: Database, by: By) -> Took:
    """One question, with its figures."""
    took: list[Took] = []
    async with timed(database, took) as tx:
        whole, days, each = await kpis.counted(tx, by={by, "category"}, **SPAN)
        for tally in (whole, *days.values(), *each[by].values(), *each["category"].values()):
            figures(tally, Targets())
    assert len(days) == 30
    return took[0]


async def measure(url: str, *, conversations: int, rounds: int) -> dict[str, Any]:
    """Milliseconds by what was asked by, every round; today has changed since it was counted."""
    database = await Database.open(url, timeout_s=120)
    await fill(database, conversations)
    unkept = await ask(database, "all")
    keeping = await keep(database)
    took: dict[str, list[Took]] = {by: [] for by in ASKED}
    for kept in range(rounds + 1):
        async with database.transaction() as tx:
            await tx.execute(_CHANGE)
        for by in ASKED:
            one = await ask(database, by)
            if kept:
                took[by].append(one)
    await database.close()
    return {
        "bench": "kpis",
        "conversations": conversations,
        "took": {by: [asdict(one) for one in each] for by, each in took.items()},
        "unkept": [asdict(unkept)],
        "keeping": [asdict(one) for one in keeping],
        "load": os.getloadavg()[0],
    }


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row by what was asked by, then what it takes without days that were kept, and to keep one."""
    named = {
        **result["took"],
        "day, nothing counted before": result["unkept"],
        "to count a day": result["keeping"],
    }
    return [
        [
            name,
            report.show(sum(one["cpu_ms"] for one in took) / len(took)),
            report.show(report.median([one["ms"] for one in took])),
            report.show(max(one["ms"] for one in took)),
        ]
        for name, took in named.items()
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
        title = f"{result['conversations']:,} conversations, load {result['load']:.0f}"
        report.print_table(title, HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)


if __name__ == "__main__":
    main()
