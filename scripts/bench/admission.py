"""What past a machine's capacity becomes of callers: those who are taken, and those who are not.

    .venv/bin/python -m scripts.bench.admission [--stt ...] [--when busy|queue] [--hold 60] [--rounds 2]
                                                [--quick] [--json] [--out FILE]

One server, on a core of its own with all its processes, that is told no number of calls: it learns from a
few what it holds (``voicebot_machine_places``). Then callers on another core phone it in turns with as many
lines as it holds (100 %) and half as many again (150 %); whoever is refused phones again after 5 s.
Compared are the turn latencies of the calls that were taken, and how soon the others got their answer.
Everything is from the sound and the clock at the callers' end; steps in which the callers themselves were
late say so and are left out (all of them, when none is left). ``--quick`` takes less than three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.bench import report
from scripts.bench.cores import on_core, two_cores
from scripts.bench.servers import ROOT, BenchError, data_directory, voicebot
from voicebot.proof.loadtest.figures import Spread, StepFigures
from voicebot.proof.loadtest.mix import read_mix
from voicebot.proof.loadtest.plan import LoadStep
from voicebot.proof.loadtest.run import Beat, LoadRun, run

LEARNS_FROM = 8
PLACES = 200
"""Configured, far more than a machine here holds: what counts is what was learned."""

STEADY_KINDS = ("questions", "questions in noise", "interrupts", "keypad")
HEAD = (
    "offered", "lines", "turns", "p50", "p95", "cut off", "unanswered", "refused or on hold",
    "told in p50", "told in p95", "on hold, longest s", "overtaken", "callers late p99", "valid steps",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """Of the command line."""

    stt: str
    when: str
    hold_s: float
    rounds: int
    learn_s: float
    most: int
    log: bool


class _Progress:
    def says(self, text: str) -> None:
        print(text, file=sys.stderr)

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        """Nothing."""

    def step(self, figures: StepFigures) -> None:
        got = figures.latency
        print(
            f"  {figures.calls} lines: p50 {got.p50}, p95 {got.p95}, {figures.outcomes}, told in p95 "
            f"{figures.refused_in.p95} ms{'' if figures.valid else ', NOT VALID'}",
            file=sys.stderr,
        )


def measure(asked: Asked) -> dict[str, Any]:
    """Everything, with a server of its own.

    Raises:
        BenchError, LoadError: it cannot be measured.
    """
    settings = {
        "VOICEBOT_STT": asked.stt,
        "VOICEBOT_ADMISSION": "learned",
        "VOICEBOT_WHEN_FULL": asked.when,
        "VOICEBOT_MAX_CALLS": str(PLACES),
        "VOICEBOT_LOG_LEVEL": "INFO" if asked.log else "WARNING",
    }
    kinds = [k for k in read_mix(ROOT / "recordings" / "load" / "mix.yaml") if k.name in STEADY_KINDS]
    found: dict[str, list[StepFigures]] = {"100 %": [], "150 %": []}
    server, others = two_cores()
    with ExitStack() as stack:
        data = stack.enter_context(data_directory())
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        with on_core(server):
            bot = stack.enter_context(voicebot(data, **settings))
        stack.enter_context(on_core(others))

        def phoned(calls: int, hold_s: float) -> StepFigures:
            load = LoadRun(
                url=bot.url,
                steps=[LoadStep(calls, hold_s)],
                kinds=kinds,
                lines=ROOT / "recordings" / "lines",
                cache=Path(cache),
                seed=int(time.monotonic()),
            )
            return asyncio.run(run(load, _Progress()))[0]

        holds = places(bot.url)
        for _ in range(3):  # from a few calls, then from as many as those let expect
            phoned(min(LEARNS_FROM if holds >= PLACES // 2 else holds, asked.most), asked.learn_s)
            holds = min(places(bot.url), asked.most)
        for n in range(asked.rounds):
            for name in ("100 %", "150 %") if n % 2 == 0 else ("150 %", "100 %"):
                lines = holds if name == "100 %" else -(-holds * 3 // 2)
                found[name].append(phoned(lines, asked.hold_s))
        return {"holds": holds, "when": asked.when, "stt": asked.stt, "places after": places(bot.url)} | {
            name: _figures(steps) for name, steps in found.items()
        }


def places(url: str) -> int:
    """Calls that the server's machine takes by now."""
    text = httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text
    told = re.search(r"^voicebot_machine_places (\S+)$", text, re.MULTILINE)
    if told is None:
        raise BenchError(f"{url}/metrics says nothing of voicebot_machine_places")
    return max(1, int(float(told[1])))


def _figures(steps: Sequence[StepFigures]) -> dict[str, Any]:
    """Of all valid steps of one kind together; of all steps where none is valid."""
    valid = [step for step in steps if step.valid]
    used = valid or steps
    latency = Spread.of(ms for step in used for _, ms in step.turns_seen)
    return {
        "lines": used[0].calls,
        "turns": latency.count,
        "p50": latency.p50,
        "p95": latency.p95,
        "cut_offs": sum(step.cut_offs for step in used),
        "unanswered": sum(step.unanswered for step in used),
        "refused": sum(step.refused_in.count for step in used),
        "told_in_p50": report.median([step.refused_in.p50 for step in used]),
        "told_in_p95": max((step.refused_in.p95 or 0.0 for step in used), default=0.0),
        "told_in_worst": max((step.refused_in.worst or 0.0 for step in used), default=0.0),
        "on_hold_longest_s": max((step.waited.worst or 0.0 for step in used), default=0.0) / 1000,
        "overtaken": sum(step.overtaken for step in used),
        "late_p99_ms": max(step.generator["late_p99_ms"] for step in used),
        "valid": len(valid),
        "steps": len(steps),
    }


def rows(result: dict[str, Any]) -> list[list[str]]:
    """For the table, and the ratio."""
    found = [(name, result[name]) for name in ("100 %", "150 %")]
    made = [
        [
            name,
            str(f["lines"]),
            str(f["turns"]),
            report.show(f["p50"]),
            report.show(f["p95"]),
            str(f["cut_offs"]),
            str(f["unanswered"]),
            str(f["refused"]),
            report.show(f["told_in_p50"]),
            report.show(f["told_in_p95"] or None),
            report.show(f["on_hold_longest_s"] or None, 1),
            str(f["overtaken"]),
            report.show(f["late_p99_ms"], 1),
            f"{f['valid']} of {f['steps']}",
        ]
        for name, f in found
    ]
    full, past = result["100 %"], result["150 %"]
    ratio = ["150 % / 100 %", *[""] * (len(HEAD) - 1)]
    for at, key in ((3, "p50"), (4, "p95")):
        ratio[at] = f"{past[key] / full[key]:.2f}" if past[key] and full[key] else "–"
    return [*made, ratio]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stt", default="whisper:models/demo-whisper")
    parser.add_argument("--when", choices=("busy", "queue"), default="busy")
    parser.add_argument("--hold", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most", type=int, default=40, help="lines at 100 %%: the callers need a core, too")
    parser.add_argument("--quick", action="store_true", help="one round of 25 s")
    parser.add_argument("--log", action="store_true", help="the server logs every call")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    hold_s, rounds, learn_s = (25.0, 1, 15.0) if o.quick else (o.hold, o.rounds, 30.0)
    result = measure(Asked(o.stt, o.when, hold_s, rounds, learn_s, o.most, o.log))
    report.finish(result, as_json=o.json, out=o.out)
    if not o.json:
        title = f"{result['holds']} calls as learned; {result['when']} past them; ms unless it says otherwise"
        report.print_table(title, HEAD, rows(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
