"""What planning early is worth: each hop of a turn with speculation on and off, and what it throws away.

    .venv/bin/python -m scripts.bench.eager [--rounds 2] [--stt NAME] [--model] [--json]

Two voicebots run on this machine, alike but for ``VOICEBOT_SPECULATION``. In each round a caller phones
both through the local Twilio, with the same lines; the order is swapped in the next. The hops are the
server's own waterfall, on the call's media clock; "heard" is where the first mark came back. With
``--model`` the demo's Whisper listens and a canned language model writes most answers, 250 ms to its
first token (the bots of ``scripts.bench.turns``).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.bench import report
from scripts.bench.servers import ROOT, Bot, data_directory, voicebot
from scripts.bench.turns import DEMO
from scripts.bench.turns import bots as written_bots
from voicebot.core.conversation import TurnTimings
from voicebot.core.waterfall import hops, waited_ms
from voicebot.proof.simulation.phonecall import CallResult, run_call
from voicebot.proof.simulation.script import CallScript, Step

LINES = {
    "rms": ("where_is_order_b", "order_427103", "postcode_94107"),
    "awb": ("where_is_order_b", "order_518264", "postcode_60614"),
}
COMMON = (
    *("opening_hours", "shipping", "returns", "hesitant_returns", "warranty"),
    *("opening_hours_b", "shipping_b", "hesitant_delivery", "returns_b"),
)
ARMS = ("on", "off")
HOPS = (
    "early_words",
    "early_plan",
    "early_sound",
    "seen",
    "end",
    "words",
    "plan",
    "commit",
    "clause",
    "sound",
    "line",
)
WASTE = {
    "offers in all": "voicebot_eager_offers_total",
    "offers while there was no time": 'voicebot_eager_offers_total{verdict="busy"}',
    "plans kept": 'voicebot_eager_plans_total{fate="kept"}',
    "plans dropped: went on": 'voicebot_eager_plans_total{fate="resumed"}',
    "plans dropped: other words": 'voicebot_eager_plans_total{fate="other_words"}',
    "plans dropped: stale": 'voicebot_eager_plans_total{fate="stale"}',
    "plans refused: a read that waits": 'voicebot_eager_plans_total{fate="refused"}',
    "planning thrown away, s": "voicebot_eager_wasted_seconds_total",
    "tokens thrown away": "voicebot_eager_wasted_tokens_total",
    "first clauses kept": 'voicebot_held_clauses_total{fate="kept"}',
    "first clauses dropped": 'voicebot_held_clauses_total{fate="dropped"}',
    "sound thrown away, s": "voicebot_held_wasted_seconds_total",
}
HEAD = ["hop, ms", "on p50", "on p95", "off p50", "off p95"]


def script(voice: str) -> CallScript:
    """One caller's lines, one after the other, whatever is answered; then they hang up."""
    said = [Step(say=(name,)) for name in (*COMMON, *LINES[voice])]
    return CallScript(voice=voice, steps=(*said, Step(hang_up=True)))


async def a_call(bot: Bot, voice: str) -> tuple[CallResult, list[TurnTimings]]:
    """One call, and the server's timings of the turns that the caller spoke."""
    result = await run_call(script(voice), lines=ROOT / "recordings" / "lines", url=bot.url)
    async with httpx.AsyncClient(base_url=bot.url, timeout=10) as api:
        newest = (await api.get("/api/conversations", params={"limit": 1})).json()[0]["id"]
        found = (await api.get(f"/api/conversations/{newest}")).json()
    spoken = [turn for turn in found["turns"] if turn["input"]["kind"] == "utterance" and turn["timings"]]
    return result, [TurnTimings.model_validate(turn["timings"]) for turn in spoken]


async def rounds(bots: dict[str, Bot], count: int) -> dict[str, list[TurnTimings]]:
    """All calls, one at a time, both arms in turn."""
    turns: dict[str, list[TurnTimings]] = {arm: [] for arm in bots}
    for nth in range(count):
        voice = list(LINES)[nth % len(LINES)]
        for arm in ARMS if nth % 2 == 0 else ARMS[::-1]:
            _, found = await a_call(bots[arm], voice)
            turns[arm] += found
            print(f"round {nth + 1} {voice} {arm}: {summary(found)['waited']}", file=sys.stderr)
    return turns


def summary(turns: Sequence[TurnTimings]) -> dict[str, Any]:
    """Quantiles of each hop, of the wait without ``end``'s silence, and of the whole wait, ms."""
    by_hop: dict[str, list[float]] = {name: [] for name in HOPS}
    after_end: list[float] = []
    for timings in turns:
        for hop in hops(timings):
            by_hop[hop.name].append(hop.ms)
        if timings.first_audio_ms is not None and timings.turn_ended_ms is not None:
            after_end.append(timings.first_audio_ms - timings.turn_ended_ms)
    waited = [ms for one in turns if (ms := waited_ms(one)) is not None]
    return {
        "turns": len(turns),
        "early": sum(bool(one.early) for one in turns),
        "hops": {name: _quantiles(values) for name, values in by_hop.items()},
        "end_to_sent": _quantiles(after_end),
        "waited": _quantiles(waited),
    }


def _quantiles(values: Sequence[float]) -> list[float | None]:
    return [report.quantile(values, 0.5), report.quantile(values, 0.95)]


def waste(bot: Bot) -> dict[str, float]:
    """What the server's counters say of early plans and held clauses."""
    text = httpx.get(f"{bot.url}/metrics", timeout=10).text
    found = dict(re.findall(r"^(\S+) ([0-9.e+-]+)$", text, re.MULTILINE))
    return {
        label: sum(float(value) for key, value in found.items() if key == name or key.startswith(name + "{"))
        for label, name in WASTE.items()
    }


def measure(count: int, *, stt: str | None = None, model: bool = False) -> dict[str, Any]:
    """Both arms. ``stt``: a recogniser's name as in ``VOICEBOT_STT``; ``model``: written answers."""
    with _written() if model else _plain(stt) as bots:
        turns = asyncio.run(rounds(bots, count))
        return {
            "stt": f"whisper:{DEMO.name}" if model else stt or "auto",
            "written": model,
            **{arm: summary(turns[arm]) for arm in ARMS},
            "waste": waste(bots["on"]),
        }


@contextmanager
def _plain(stt: str | None) -> Iterator[dict[str, Bot]]:
    settings = {"VOICEBOT_STT": stt} if stt else {}
    with ExitStack() as stack:
        bots: dict[str, Bot] = {}
        for arm in ARMS:
            folder = stack.enter_context(data_directory())
            bots[arm] = stack.enter_context(voicebot(folder, **settings, VOICEBOT_SPECULATION=arm))
        yield bots


@contextmanager
def _written() -> Iterator[dict[str, Bot]]:
    with written_bots(("voicebot", "no-speculation"), DEMO) as found:
        yield {"on": found["voicebot"], "off": found["no-speculation"]}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table: hops, then what was thrown away (in the first column of figures)."""
    on, off = result["on"], result["off"]
    lines = [["turns (of them planned early)", f"{on['turns']} ({on['early']})", "", f"{off['turns']}", ""]]
    named = {
        **{name: (on["hops"][name], off["hops"][name]) for name in HOPS},
        "end of turn to first sound sent": (on["end_to_sent"], off["end_to_sent"]),
        "last sound to first sound heard": (on["waited"], off["waited"]),
    }
    lines += [
        [name.replace("_", " "), *map(report.show, mine), *map(report.show, other)]
        for name, (mine, other) in named.items()
    ]
    lines += [
        [label, report.show(value, 2 if ", s" in label else 0), "", "", ""]
        for label, value in result["waste"].items()
    ]
    return lines


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stt")
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure(options.rounds, stt=options.stt, model=options.model)
    report.finish(result, as_json=options.json, out=options.out)
    if not options.json:
        report.print_table("Planning early", HEAD, rows(result))


if __name__ == "__main__":
    main()
