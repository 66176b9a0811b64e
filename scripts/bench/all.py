"""The benches that want an hour at most, one after the other, into the tables of docs/benchmarks.md.

    .venv/bin/python -m scripts.bench.all [--only call --only start] [--fresh] [--rounds 4]

Wants a machine that does nothing else, for more than half an hour. Those that take long themselves or want
both cores for themselves (turns, density, admission, growth, hostile, death, desk) are run by their own
commands. The prose of the page stays as it is; the tables between its markers are replaced, with date and
machine. `--fresh` also times a fresh clone, which downloads every package again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.bench import (
    call,
    chat,
    eager,
    fresh,
    lines,
    live,
    memory,
    overlap,
    plan,
    policy,
    report,
    retrieval,
    sentences,
    start,
    stt,
)
from scripts.bench.servers import ROOT, BenchError

WHISPER_LINES = 14
DEMO_WHISPER = "whisper:models/demo-whisper"
PAGE = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Bench:
    """A bench: how it is run, and its table."""

    measure: Callable[[argparse.Namespace], dict[str, Any]]
    head: list[str]
    rows: Callable[[dict[str, Any]], list[list[str]]]


MONITOR_HEAD = ["", "value"]


@cache
def found() -> dict[str, Any]:
    """What the search finds and what it costs: two tables, measured once."""
    return retrieval.measure(retrieval.BENCH / "retrieval_questions.yaml", ())


def heard() -> dict[str, Any]:
    """The monitor's figures, from a process of its own: its bench holds numpy to one core.

    Raises:
        BenchError: it could not be measured.
    """
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "monitor.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{command[-1]}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def monitor_rows(result: dict[str, Any]) -> list[list[str]]:
    """For `MONITOR_HEAD`: each figure under what it is of."""
    kinds: dict[str, dict[str, float]] = {
        **result["held-out phrasings"],
        **{name: result[name] for name in result if name.startswith("ms ")},
    }
    return [[f"{kind}: {name}", f"{value:g}"] for kind, one in kinds.items() for name, value in one.items()]


BY_THEMSELVES = {"turns", "turns tiny", "turns base", "density"}
"""Tables of `scripts.bench.turns --docs`, which takes an hour, keeps what it has and goes on from there, and
of `scripts.bench.density --docs`, which wants the machine for itself."""

BENCHES = {
    "start": Bench(lambda o: start.measure(o.starts), start.HEAD, start.rows),
    "call": Bench(lambda o: call.measure(o.rounds, progress=True), call.HEAD, call.rows),
    "eager": Bench(lambda _: eager.measure(2, stt=DEMO_WHISPER), eager.HEAD, eager.rows),
    "eager-sphinx": Bench(lambda _: eager.measure(2), eager.HEAD, eager.rows),
    "overlap": Bench(lambda _: overlap.measure(), overlap.HEAD, overlap.rows),
    "overlap-sphinx": Bench(lambda _: overlap.measure("sphinx"), overlap.HEAD, overlap.rows),
    "eager-written": Bench(lambda _: eager.measure(2, model=True), eager.HEAD, eager.rows),
    "memory": Bench(lambda o: memory.measure(o.weighings, {"voicebot", "stock"}), memory.HEAD, memory.rows),
    "lines": Bench(
        lambda _: asyncio.run(lines.measure("sphinx", lines.recorded(set()))), lines.HEAD, lines.rows
    ),
    "whisper": Bench(lambda _: stt.compare(stt.DEMO, stt.recorded(WHISPER_LINES)), list(stt.HEAD), stt.rows),
    "whisper sizes": Bench(
        lambda _: {"sizes": stt.sizes()}, list(stt.SIZE_HEAD), lambda result: stt.size_rows(result["sizes"])
    ),
    "live": Bench(lambda _: live.of_calls(2), live.HEAD, live.rows),
    "policy": Bench(lambda _: policy.measure(20), policy.HEAD, policy.rows),
    "monitor": Bench(lambda _: heard(), MONITOR_HEAD, monitor_rows),
    "plan": Bench(lambda _: plan.measure(400), plan.HEAD, plan.rows),
    "retrieval-quality": Bench(lambda _: found(), retrieval.QUALITY_HEAD, retrieval.quality_rows),
    "retrieval-cost": Bench(lambda _: found(), retrieval.COST_HEAD, retrieval.cost_rows),
    "retrieval-growth": Bench(
        lambda _: {"growth": retrieval.growth((*retrieval.SIZES, retrieval.LARGE))},
        retrieval.GROWTH_HEAD,
        retrieval.growth_rows,
    ),
    "sentences": Bench(lambda _: sentences.measure(), sentences.HEAD, sentences.rows),
    "chat": Bench(lambda _: chat.measure(60), chat.HEAD, chat.rows),
    "fresh": Bench(lambda _: fresh.measure(cached=False), fresh.HEAD, fresh.rows),
}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A bench's result with its date and machine: read from ``--reuse``, else measured and kept.

    Raises:
        BenchError: it could not be measured.
    """
    if options.reuse is not None:
        return json.loads((options.reuse / f"{name}.json").read_text())
    result = {"machine": report.machine(), "date": report.today(), **BENCHES[name].measure(options)}
    if options.results is not None:
        report.finish(result, as_json=False, out=options.results / f"{name}.json")
    return result


def insert(page: str, name: str, result: dict[str, Any], table: str) -> str:
    """The page with one table, its date and machine between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        BenchError: the page has no such markers.
    """
    body = f"<!-- {name} -->\n{table}\n\n*{result['date']}, {result['machine']}*\n<!-- /{name} -->"
    done, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: body, page, flags=re.DOTALL)
    if not count:
        raise BenchError(f"{PAGE.name} has no <!-- {name} --> ... <!-- /{name} -->: put the markers back")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=tuple(BENCHES), help="default: all but fresh")
    parser.add_argument("--fresh", action="store_true", help="also a fresh clone with all its downloads")
    parser.add_argument("--rounds", type=int, default=4, help="of calls")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--weighings", type=int, default=3)
    parser.add_argument("--results", type=Path, help="folder that keeps each result as JSON")
    parser.add_argument("--reuse", type=Path, help="measure nothing, take the results kept in this folder")
    options = parser.parse_args()
    chosen = options.only or [n for n in BENCHES if n != "fresh" or options.fresh]
    failed = False
    for name in (n for n in BENCHES if n in chosen):
        print(f"bench {name} ...", file=sys.stderr)
        try:
            result = measured(name, options)
            table = report.markdown_table(BENCHES[name].head, BENCHES[name].rows(result))
            PAGE.write_text(insert(PAGE.read_text(), name, result, table))
        except BenchError as error:
            print(f"bench {name}: {error}", file=sys.stderr)
            failed = True
            continue
        print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
