"""What callers of a load test cost: share of a core per call, and how late they are, by calls in one process.

    .venv/bin/python -m scripts.bench.load_cost [--calls 10,25,50,100] [--hold 10] [--json]

One process of callers phones a bare server (``bare_server``) in a process of its own. On a machine that does
other things the latenesses say nothing, and the CPU too much: caches are cold at every frame.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bench import report
from scripts.bench.servers import ROOT, end, told_url
from voicebot.proof.loadtest.figures import StepFigures
from voicebot.proof.loadtest.mix import read_mix
from voicebot.proof.loadtest.plan import LoadStep
from voicebot.proof.loadtest.run import Beat, LoadRun, run

HEAD = (
    "calls",
    "core per call",
    "busiest core",
    "late p50",
    "late p99",
    "worst",
    "later than a frame",
    "turns",
)


class _Silent:
    def says(self, text: str) -> None:
        print(text, file=sys.stderr)

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        """Nothing."""

    def step(self, figures: StepFigures) -> None:
        print(f"{figures.calls}: {figures.generator}", file=sys.stderr)


def measure(calls: list[int], hold_s: float) -> list[StepFigures]:
    """One step for each number of calls."""
    command = [sys.executable, "-m", "scripts.bench.bare_server"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        url = told_url(process, "the bare server")
        with tempfile.TemporaryDirectory() as cache:
            load = LoadRun(
                url=url,
                steps=[LoadStep(count, hold_s) for count in calls],
                kinds=read_mix(ROOT / "recordings" / "load" / "mix.yaml"),
                lines=ROOT / "recordings" / "lines",
                cache=Path(cache),
                processes=1,
            )
            return asyncio.run(run(load, _Silent()))
    finally:
        end(process)


def row(step: StepFigures) -> list[str]:
    """A step for the table."""
    own = step.generator
    return [
        str(step.calls),
        f"{own['core_per_call']:.2%}",
        f"{own['busiest_core']:.0%}",
        *(f"{own[name]:.1f}" for name in ("late_p50_ms", "late_p99_ms", "late_worst_ms")),
        f"{own['later_than_a_frame']:.2%}",
        str(step.turns),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", default="10,25,50,100")
    parser.add_argument("--hold", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    steps = measure([int(n) for n in options.calls.split(",")], options.hold)
    if options.json:
        print(json.dumps([step.as_dict() for step in steps], indent=1))
    else:
        report.print_table("Callers in one process", HEAD, [row(step) for step in steps])


if __name__ == "__main__":
    main()
