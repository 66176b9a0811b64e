"""Memory per call: the slope of the proportional set size over all processes at 1, 4 and 8 calls.

    .venv/bin/python -m scripts.bench.memory [--runs 3] [--json]

Each number of calls gets a fresh server, warmed by one call that has ended. The callers ask two
questions; memory is read every half second while all are on the line, the highest reading counts.
Engines, Postgres and supervisor are in the sum; the local Twilio and the callers are not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.bench.servers import ROOT, BenchError, Bot, data_directory, stock, voicebot
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.ear import Timeline
from voicebot.proof.simulation.exchange import LocalTwilio

CALLS = (1, 4, 8)
QUESTIONS = ((9_000, "rms/opening_hours"), (20_000, "rms/returns_b"))
READ_FROM_S, READ_UNTIL_S = 12.0, 26.0
STAGGER_S = 0.3


async def place(twilio: LocalTwilio, bot: Bot, seconds: float, ask: bool = True) -> None:
    """One call that asks its questions and is hung up after ``seconds``."""
    clips = [(at_ms, read_wav(ROOT / "recordings" / "lines" / f"{name}.wav")) for at_ms, name in QUESTIONS]
    ear = Timeline(clips if ask else clips[:1])
    call = await twilio.phone(bot.voice_url, ear=ear, status_callback=bot.status_url)
    try:
        async with asyncio.timeout(seconds):
            await call.wait_ended()
        raise BenchError(f"{bot.name} ended the call on its own, see its log: {call.notifications}")
    except TimeoutError:
        call.hang_up()
        await call.wait_ended()


async def weigh(bot: Bot, calls: int) -> dict[str, float]:
    """MB by part of the bot while ``calls`` calls were on, at the moment when the sum was highest."""
    async with LocalTwilio() as twilio:
        await place(twilio, bot, READ_FROM_S, ask=False)
        await asyncio.sleep(1)
        tasks = []
        for _ in range(calls):
            tasks.append(asyncio.create_task(place(twilio, bot, READ_UNTIL_S + 1)))
            await asyncio.sleep(STAGGER_S)
        highest: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_UNTIL_S - calls * STAGGER_S
        await asyncio.sleep(READ_FROM_S)
        while loop.time() < until:
            seen = await asyncio.to_thread(bot.pss_mb)
            highest = max(highest, seen, key=lambda parts: sum(parts.values()))
            await asyncio.sleep(0.5)
        await asyncio.gather(*tasks)
    return highest


def measure(runs: int, who: set[str]) -> dict[str, Any]:
    """MB by bot and number of calls, every run; the slope of each run."""
    result: dict[str, Any] = {"bench": "memory", "calls": list(CALLS), "bots": {}}
    with data_directory() as folder:
        starters: dict[str, Callable[[], AbstractContextManager[Bot]]] = {
            "voicebot": lambda: voicebot(folder),
            "stock": stock,
        }
        for _ in range(runs):
            for name, start in starters.items():
                if name not in who:
                    continue
                weights = []
                for calls in CALLS:
                    with start() as bot:
                        weights.append(asyncio.run(weigh(bot, calls)))
                found = result["bots"].setdefault(name, {"mb": [], "mb_per_call": [], "by_part": []})
                sums = [sum(parts.values()) for parts in weights]
                found["mb"].append(sums)
                found["mb_per_call"].append(report.slope(list(zip(CALLS, sums, strict=True))))
                found["by_part"].append(
                    {
                        part: report.slope(
                            [(n, w.get(part, 0.0)) for n, w in zip(CALLS, weights, strict=True)]
                        )
                        for part in sorted({part for w in weights for part in w})
                    }
                )
    return result


HEAD = ["memory (PSS, MB)", "1 call", "4 calls", "8 calls", "per call (slope)"]


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per bot and, for the slope, one per part of it; medians over the runs."""
    table = []
    for name, found in result["bots"].items():
        at = [report.show(report.median(list(column))) for column in zip(*found["mb"], strict=True)]
        table.append([name, *at, report.show(report.median(found["mb_per_call"]), 1)])
        for part in sorted({part for run in found["by_part"] for part in run}):
            slopes = [run.get(part) for run in found["by_part"]]
            table.append([f"of that, {part}", "", "", "", report.show(report.median(slopes), 1)])
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bot", action="append", choices=["voicebot", "stock"], help="default: both")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    try:
        result = measure(options.runs, set(options.bot or ["voicebot", "stock"]))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not options.json:
        report.print_table("Memory", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
