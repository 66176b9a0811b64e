"""Every bench, one after the other, into the tables of docs/benchmarks.md.

    .venv/bin/python -m scripts.bench.all [--only call --only start] [--fresh] [--rounds 4]

Wants a machine that does nothing else, for about half an hour. The prose of the page stays as it is; the
tables between its markers are replaced, with date and machine. `--fresh` also times a fresh clone, which
downloads every package again.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path
from typing import Any

from scripts.bench import call, fresh, lines, memory, report, start
from scripts.bench.servers import ROOT, BenchError

PAGE = ROOT / "docs" / "benchmarks.md"
ORDER = ("start", "call", "memory", "lines", "fresh")


def run(name: str, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """One bench: its result, and its table in Markdown."""
    match name:
        case "start":
            result = start.measure(options.starts)
            return result, report.markdown_table(start.HEAD, start.rows(result))
        case "call":
            result = call.measure(options.rounds, progress=True)
            return result, report.markdown_table(call.HEAD, call.rows(result))
        case "memory":
            result = memory.measure(options.weighings, {"voicebot", "stock"})
            return result, report.markdown_table(memory.HEAD, memory.rows(result))
        case "lines":
            result = asyncio.run(lines.measure("sphinx", lines.recorded(set())))
            return result, report.markdown_table(lines.HEAD, lines.rows(result))
        case _:
            result = fresh.measure(cached=False)
            return result, report.markdown_table(fresh.HEAD, fresh.rows(result))


def insert(page: str, name: str, table: str) -> str:
    """The page with one table, its date and machine between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        BenchError: the page has no such markers.
    """
    body = f"<!-- {name} -->\n{table}\n\n*{report.today()}, {report.machine()}*\n<!-- /{name} -->"
    done, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: body, page, flags=re.DOTALL)
    if not count:
        raise BenchError(f"{PAGE.name} has no <!-- {name} --> ... <!-- /{name} -->: put the markers back")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=ORDER, help="default: all but fresh")
    parser.add_argument("--fresh", action="store_true", help="also a fresh clone with all its downloads")
    parser.add_argument("--rounds", type=int, default=4, help="of calls")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--weighings", type=int, default=3)
    parser.add_argument("--results", type=Path, help="folder that keeps each result as JSON")
    options = parser.parse_args()
    chosen = options.only or [n for n in ORDER if n != "fresh" or options.fresh]
    failed = False
    for name in (n for n in ORDER if n in chosen):
        print(f"bench {name} ...", file=sys.stderr)
        try:
            result, table = run(name, options)
            PAGE.write_text(insert(PAGE.read_text(), name, table))
        except BenchError as error:
            print(f"bench {name}: {error}", file=sys.stderr)
            failed = True
            continue
        print(table)
        if options.results is not None:
            report.finish(result, as_json=False, out=options.results / f"{name}.json")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
