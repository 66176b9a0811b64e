"""What the audit's chain adds to a commit: the same transaction with and without it.

    .venv/bin/python -m scripts.bench.audit [--seconds 3] [--rounds 5] [--json]

Each transaction writes one audit row, to a durable embedded Postgres (fsync on). Writers are connections
of one process, each with calls of its own, so that they fall into all 16 shards; "one call" makes
all write for one conversation, into one shard, which never happens. Both sides take turns, round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from voicebot.core.store import audit
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.chain.verifying import verify
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema

WRITERS = (1, 4, 16)


async def commits(database: Database, writers: int, seconds: float, *, one_call: bool) -> list[float]:
    """Milliseconds of each commit within ``seconds``."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def write(writer: int) -> None:
        n = 0
        while (began := time.perf_counter()) < until:
            call = "cv_one" if one_call else f"cv_{writer}_{n}"
            async with database.transaction() as tx:
                await audit.record(
                    tx, action="act.done", actor="bot", facts={"act": n}, conversation_id=call, turn=n
                )
            took.append((time.perf_counter() - began) * 1000)
            n += 1

    await asyncio.gather(*(write(writer) for writer in range(writers)))
    return took


def figures(took: list[float], seconds: float) -> dict[str, float]:
    """Commits a second, p50 and p95 in ms."""
    ranked = sorted(took)
    return {
        "per_s": round(len(took) / seconds, 1),
        "p50": round(statistics.median(ranked), 2),
        "p95": round(ranked[int(len(ranked) * 0.95)], 2),
    }


async def measure(url: str, keys: KeyRing, *, seconds: float, rounds: int) -> dict[str, Any]:
    """All figures by number of writers."""
    found: dict[str, Any] = {}
    sides = {"without": None, "with": Linker(keys)}
    cases = [(f"{n} writers", n, False) for n in WRITERS] + [("16 writers, one call", 16, True)]
    for name, writers, one_call in cases:
        took: dict[str, list[list[float]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, linker in sides.items():
                database = await Database.open(
                    url, min_size=writers, max_size=writers, timeout_s=10, at_commit=linker
                )
                await commits(database, writers, 0.3, one_call=one_call)
                took[side].append(await commits(database, writers, seconds, one_call=one_call))
                await database.close()
        ratios = [
            statistics.median(chained) / statistics.median(plain)
            for plain, chained in zip(took["without"], took["with"], strict=True)
        ]
        found[name] = {
            side: figures([one for each in rows for one in each], seconds * rounds)
            for side, rows in took.items()
        }
        found[name]["ratio_p50"] = round(statistics.median(ratios), 2)
        rates = [len(c) / len(p) for p, c in zip(took["without"], took["with"], strict=True)]
        found[name]["ratio_per_s"] = round(statistics.median(rates), 2)
    return found


def table(found: dict[str, Any]) -> str:
    """For the documents."""
    lines = [
        "| one audit row a commit | without, per s | p50 ms | p95 ms | with, per s | p50 ms | p95 ms |"
        " p50 ratio | per s ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, case in found["commits"].items():
        cells = [case[side][figure] for side in ("without", "with") for figure in ("per_s", "p50", "p95")]
        cells += [case["ratio_p50"], case["ratio_per_s"]]
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keys = KeyRing(bytes(32))
    with tempfile.TemporaryDirectory(prefix="vb-audit-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data") as server:
            ensure_schema(server.url)
            found: dict[str, Any] = {
                "commits": asyncio.run(
                    measure(server.url, keys, seconds=options.seconds, rounds=options.rounds)
                )
            }
            began = time.perf_counter()
            verdict = verify(server.url, keys)
            took = time.perf_counter() - began
    rows = sum(verdict.links.values())
    found["verify"] = {"rows": rows, "seconds": round(took, 2), "rows_per_s": round(rows / took)}
    found["unchained_rows_found"] = [str(bad.what) for bad in verdict.bad]
    print(json.dumps(found, indent=2) if options.json else table(found) + f"\n\n{found['verify']}")


if __name__ == "__main__":
    main()
