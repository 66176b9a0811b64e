"""From `voicebot serve` to `/readyz`: the first start on an empty folder, and later ones.

    .venv/bin/python -m scripts.bench.start [--runs 5] [--json]

Time runs from starting the process to the first 200 of `/readyz`, asked every 10 ms. By then every
engine is loaded and warm. The stock bot is timed to its listening socket, with the same engines.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.bench.servers import BenchError, data_directory, stock, voicebot


def measure(runs: int) -> dict[str, Any]:
    """Seconds of every start, in the order they were made; the two bots take turns."""
    first: list[float] = []
    again: list[float] = []
    other: list[float] = []
    for _ in range(runs):
        with data_directory() as data:
            with voicebot(data) as bot:
                first.append(bot.ready_s)
            with voicebot(data) as bot:
                again.append(bot.ready_s)
        with stock() as bot:
            other.append(bot.ready_s)
    return {"bench": "start", "first_s": first, "again_s": again, "stock_s": other}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per kind of start: median, fastest, slowest."""
    names = {
        "first_s": "voicebot, empty data directory",
        "again_s": "voicebot, later start",
        "stock_s": "stock bot",
    }
    return [
        [
            name,
            report.show(report.median(result[key]), 2),
            f"{min(result[key]):.2f}",
            f"{max(result[key]):.2f}",
        ]
        for key, name in names.items()
    ]


HEAD = ["start to ready, s", "median", "fastest", "slowest"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    try:
        result = measure(options.runs)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not options.json:
        report.print_table("Start", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
