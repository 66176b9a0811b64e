"""Turn latency and barge-in as the caller hears them: voicebot beside a stock Pipecat bot.

    .venv/bin/python -m scripts.bench.call [--rounds 4] [--json]

Both bots run on this machine with the same engines. In each round the same caller phones one, then the
other, through the local Twilio; the first round's order is swapped in the next. Scores come from what
was said and heard on the phone. Turns, turns with a long pause inside, and interruptions are kept apart.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.bench.caller import BenchCaller, Step
from scripts.bench.score import CallScore, score
from scripts.bench.servers import ROOT, BenchError, Bot, data_directory, stock, voicebot
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.exchange import LocalTwilio

VOICES = ("rms", "awb")
DONE_MS = 1200  # quiet for this long after the bot was heard: it is the caller's turn
OVER_MS = 1500  # into an answer
# The hesitant ones last: a bot that answers half of such a line has a different conversation afterwards.
LINES = (
    ("opening_hours", "after"),
    ("shipping", "after"),
    ("interrupt_returns", "over"),
    ("warranty", "after"),
    ("returns", "after"),
    ("interrupt_delivery", "over"),
    ("opening_hours_b", "after"),
    ("returns_b", "after"),
    ("interrupt_stop", "over"),
    ("hesitant_returns", "after"),
    ("hesitant_delivery", "after"),
)
CALL_S = 240.0


def steps(voice: str, count: int) -> list[Step]:
    """The first lines of one caller."""
    folder = ROOT / "recordings" / "lines" / voice
    return [
        Step(name, read_wav(folder / f"{name}.wav"), kind, OVER_MS if kind == "over" else DONE_MS)
        for name, kind in LINES[:count]
    ]


async def one_call(twilio: LocalTwilio, bot: Bot, voice: str, lines: int = len(LINES)) -> CallScore:
    """One call from the first ring to the caller's hanging up."""
    over = asyncio.Event()
    caller = BenchCaller(steps(voice, lines), over.set)
    call = await twilio.phone(bot.voice_url, ear=caller, status_callback=bot.status_url)
    ended = asyncio.create_task(call.wait_ended())
    said_all = asyncio.create_task(over.wait())
    await asyncio.wait({ended, said_all}, timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        call.hang_up()
        await ended
    said_all.cancel()
    start = call.log.of("stream", event="start")
    if not start:
        raise BenchError(f"{bot.name}: no media stream: {[str(n) for n in call.notifications]}")
    if call.violations:
        raise BenchError(f"{bot.name} broke Twilio's rules: {[str(v) for v in call.violations]}")
    result = score(call.recording, caller.said, start[0].at_ms)
    result.voice = voice
    return result


async def rounds(bots: list[Bot], count: int, progress: bool) -> dict[str, list[CallScore]]:
    """All calls, interleaved; one short unscored call to each bot first."""
    scores: dict[str, list[CallScore]] = {bot.name: [] for bot in bots}
    async with LocalTwilio() as twilio:
        for bot in bots:
            await one_call(twilio, bot, VOICES[0], lines=2)
        for nth in range(count):
            for bot in bots if nth % 2 == 0 else reversed(bots):
                result = await one_call(twilio, bot, VOICES[nth % len(VOICES)])
                scores[bot.name].append(result)
                if progress:
                    print(f"round {nth + 1} {bot.name}: {summary([result])}", file=sys.stderr)
    return scores


def summary(calls: list[CallScore]) -> dict[str, float | int | None]:
    """The figures of one bot over some calls, ms."""
    turns = [turn for call in calls for turn in call.turns]
    plain = [t for t in turns if t.kind == "after" and not t.hesitant]
    hesitant = [t for t in turns if t.hesitant]
    over = [t for t in turns if t.kind == "over"]

    def latencies(some: list) -> list[float]:
        return [t.latency_ms for t in some if t.latency_ms is not None]

    silences = [t.silence_ms for t in over if t.silence_ms is not None]
    return {
        "turns": len(plain),
        "latency_p50": report.quantile(latencies(plain), 0.5),
        "latency_p95": report.quantile(latencies(plain), 0.95),
        "cut_offs": sum(t.cut_off for t in plain),
        "unanswered": sum(t.latency_ms is None and not t.cut_off for t in plain),
        "hesitant": len(hesitant),
        "hesitant_latency_p50": report.quantile(latencies(hesitant), 0.5),
        "hesitant_cut_offs": sum(t.cut_off for t in hesitant),
        "barge_ins": len(over),
        "barge_in_p50": report.quantile(silences, 0.5),
        "barge_in_p95": report.quantile(silences, 0.95),
        "not_over_speech": len(over) - len(silences),
        "after_barge_in_p50": report.quantile(latencies(over), 0.5),
        "greeting_p50": report.quantile([c.greeting_ms for c in calls if c.greeting_ms is not None], 0.5),
    }


RATIOS = (
    "latency_p50",
    "latency_p95",
    "hesitant_latency_p50",
    "barge_in_p50",
    "barge_in_p95",
    "after_barge_in_p50",
    "greeting_p50",
)


def ratios(pairs: list[tuple[CallScore, CallScore]]) -> dict[str, float | None]:
    """Of voicebot's share of the stock bot's time, round by round, the median."""
    rounds = [(summary([ours]), summary([theirs])) for ours, theirs in pairs]
    return {
        key: report.median([a[key] / b[key] if a[key] and b[key] else None for a, b in rounds])
        for key in RATIOS
    }


def compare(scores: dict[str, list[CallScore]]) -> dict[str, Any]:
    """Both bots over all rounds, and voice by voice."""
    pairs = list(zip(scores["voicebot"], scores["stock"], strict=True))
    return {
        "bench": "call",
        "bots": {name: summary(calls) for name, calls in scores.items()},
        "ratio": ratios(pairs),
        "voices": {
            voice: {
                "bots": {n: summary([c for c in calls if c.voice == voice]) for n, calls in scores.items()},
                "ratio": ratios([pair for pair in pairs if pair[0].voice == voice]),
            }
            for voice in VOICES
        },
        "calls": {name: [dataclasses.asdict(call) for call in calls] for name, calls in scores.items()},
    }


HEAD = ["as the caller heard it, ms", "voicebot", "stock", "median ratio"]
ROWS = (
    ("turns in all", "turns"),
    ("false cut-offs in them", "cut_offs"),
    ("turns without an answer", "unanswered"),
    ("turns with a long pause inside, p50", "hesitant_latency_p50"),
    ("such turns", "hesitant"),
    ("false cut-offs in them", "hesitant_cut_offs"),
    ("interruption to silence, p50", "barge_in_p50"),
    ("the same, p95", "barge_in_p95"),
    ("interruptions", "barge_ins"),
    ("interruptions that met silence", "not_over_speech"),
    ("end of an interruption to the answer, p50", "after_barge_in_p50"),
    ("stream start to the greeting, p50", "greeting_p50"),
)


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per figure."""
    ours, theirs = result["bots"]["voicebot"], result["bots"]["stock"]
    table = []
    for voice, found in result["voices"].items():
        for title, key in (("p50", "latency_p50"), ("p95", "latency_p95")):
            a, b = found["bots"]["voicebot"][key], found["bots"]["stock"][key]
            row = [f"caller {voice}: end of words to the answer, {title}", report.show(a), report.show(b)]
            table.append([*row, report.show(found["ratio"][key], 2)])
    for title, key in ROWS:
        ratio = report.show(result["ratio"][key], 2) if key in RATIOS else ""
        table.append([title, report.show(ours[key]), report.show(theirs[key]), ratio])
    return table


def measure(count: int, *, progress: bool) -> dict[str, Any]:
    """Starts both bots, makes all calls, compares."""
    with (
        data_directory() as folder,
        voicebot(folder) as ours,
        stock() as theirs,
    ):
        return compare(asyncio.run(rounds([ours, theirs], count, progress)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    try:
        result = measure(options.rounds, progress=not options.json)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not options.json:
        report.print_table("A call", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
