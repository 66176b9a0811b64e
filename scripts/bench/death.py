"""How long a caller hears nothing when the node of their call is killed: kill -9 to the bot's next sound.

    .venv/bin/python -m scripts.bench.death [--kills 6] [--calls 4] [--nodes 2] [--quick] [--json]
                                            [--out FILE]

Nodes on one Postgres; callers phone through the local Twilio, hear the greeting out and are silent. Then one
node, in turns, is killed. Measured for each of its calls: from the kill to the first sound heard at the
phone; and whether the conversation went on (a second ``call_started`` that says it is a resumed one). Both
fates of a broken socket, by turns: Twilio goes on with the next verb, or does nothing and has to be told by
REST. Calls of the other nodes must not break. Six kills take about three minutes, ``--quick`` (two) one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
import psutil

from scripts.bench import report
from scripts.bench.servers import BenchError, Bot, data_directory, voicebot
from voicebot.proof.simulation import LocalCall, LocalTwilio
from voicebot.proof.simulation.meter import VoiceMeter
from voicebot.proof.simulation.webhooks import Routes

PUBLIC = "https://voice.example.com"
FATES: tuple[Literal["next_verb", "hang"], ...] = ("next_verb", "hang")
HEAD = ("broken socket", "calls", "p50", "p95", "longest", "within 5 s", "with history", "others broken")
GIVES_UP_S = 40.0
NODE_S = 90.0
GREETED_S = 60.0
STARTS_S = 10.0
"""A node that was started again takes calls by then; the places of the dead one count for a while."""


class Ear:
    """Says nothing; knows when something was heard, on the call's clock."""

    def __init__(self) -> None:
        self._meter = VoiceMeter()
        self.last_ms = 0
        self.first_ms: int | None = None
        self._since_ms = 0

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """See `Ear`."""
        if self._meter.loud(frame):
            self.last_ms = at_ms
            if self.first_ms is None and at_ms >= self._since_ms:
                self.first_ms = at_ms

    def next_frame(self, at_ms: int) -> bytes | None:
        """See `Ear`."""
        return None

    def listen_from(self, at_ms: int) -> None:
        """From now on the next sound counts."""
        self._since_ms, self.first_ms = at_ms, None


@dataclass
class Found:
    """Of one fate of the broken socket. Times in ms."""

    silent: list[float] = field(default_factory=list[float])
    lost: int = 0
    with_history: int = 0
    others_broken: int = 0


async def measure(kills: int, calls: int, nodes: int) -> dict[str, Any]:
    """Kills nodes one after the other.

    Raises:
        BenchError: a server does not come up, or callers are not greeted.
    """
    found = {fate: Found() for fate in FATES}
    token = secrets.token_hex(16)
    async with LocalTwilio() as twilio:
        account = {
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "VOICEBOT_PUBLIC_URL": PUBLIC,
            "VOICEBOT_API_TOKEN": token,
            "VOICEBOT_ADMISSION": "configured",  # its places say how many nodes are up
        }
        with (
            data_directory() as data,
            voicebot(data, "--workers", str(nodes), signed=True, **account) as bot,
        ):
            twilio.routes = Routes({PUBLIC: bot.url})
            for nth in range(kills):
                twilio.options.broken_socket = fate = FATES[nth % 2]
                await _all_up(bot, nodes)
                one = await kill(twilio, bot, nodes, nth, calls, token)
                told = found[fate]
                told.silent += one.silent
                told.lost += one.lost
                told.with_history += one.with_history
                told.others_broken += one.others_broken
                print(f"kill {nth + 1} ({fate}): {[round(ms) for ms in one.silent]} ms", file=sys.stderr)
            for call in twilio.calls:  # while the server can still be told
                await call.settle()
    return {"nodes": nodes, "kills": kills, "fates": {fate: vars(one) for fate, one in found.items()}}


async def kill(twilio: LocalTwilio, bot: Bot, nodes: int, nth: int, count: int, token: str) -> Found:
    """Phones, kills a node, listens, hangs up. Where the node had no call, another round is made."""
    while True:
        ears = [Ear() for _ in range(count)]
        calls = [
            await twilio.phone(
                f"{PUBLIC}/twilio/voice",
                ear=ear,
                status_callback=f"{PUBLIC}/twilio/status",
                fallback_url=f"{PUBLIC}/twilio/resume",  # as `voicebot twilio connect` sets it
            )
            for ear in ears
        ]
        try:
            await until(partial(_all_greeted, calls, ears), GREETED_S, "greetings")
            victim = _nodes(bot, nodes)[nth % nodes]
            for call, ear in zip(calls, ears, strict=True):
                ear.listen_from(call.line.now_ms())
            at = [call.line.now_ms() for call in calls]
            streams = [call.stream for call in calls]
            victim.kill()
            await asyncio.sleep(0.5)  # by then a call may have its next stream
            hit = [n for n, stream in enumerate(streams) if stream is None or not stream.live]
            if hit:
                return await _heard(bot, calls, ears, at, hit, token)
        finally:
            for call in calls:
                call.hang_up()
            for call in calls:
                await call.wait_ended()
                await call.settle()
                twilio.forget(call)
        await _all_up(bot, nodes)


async def _all_up(bot: Bot, nodes: int) -> None:
    await until(lambda: len(_running(bot)) == nodes, NODE_S, "all nodes run")
    await asyncio.sleep(STARTS_S)
    await until(lambda: places(bot.url) >= nodes * 40, NODE_S, "all nodes take calls")


async def _heard(
    bot: Bot, calls: list[LocalCall], ears: list[Ear], at: list[float], hit: list[int], token: str
) -> Found:
    found = Found()
    with contextlib.suppress(BenchError):
        await until(lambda: all(ears[n].first_ms is not None for n in hit), GIVES_UP_S, "the bot's sound")
    for n in hit:
        first_ms = ears[n].first_ms
        if first_ms is None:
            found.lost += 1
        else:
            found.silent.append(first_ms - at[n])
    starts = [len(call.log.of("stream", event="start")) for call in calls]
    found.others_broken = sum(starts[n] != 1 for n in range(len(calls)) if n not in hit)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=bot.url, headers=headers, timeout=20, trust_env=False) as api:
        rows = {row["call_sid"]: row["id"] for row in (await api.get("/api/conversations")).json()}
        for n in hit:
            name = rows[calls[n].call_sid]
            with contextlib.suppress(BenchError):
                await until(partial(_resumed, api, name), GIVES_UP_S, "the conversation goes on")
                found.with_history += 1
    return found


async def _resumed(api: httpx.AsyncClient, conversation: str) -> bool:
    told = (await api.get(f"/api/conversations/{conversation}")).json()
    began = [turn["input"] for turn in told["turns"] if turn["input"]["kind"] == "call_started"]
    return [one["resumed"] for one in began] == [False, True]


def _all_greeted(calls: list[LocalCall], ears: list[Ear]) -> bool:
    return all(_greeted(call, ear) for call, ear in zip(calls, ears, strict=True))


def _greeted(call: LocalCall, ear: Ear) -> bool:
    """It was greeted and a second has passed since."""
    return ear.last_ms > 0 and call.line.now_ms() - ear.last_ms > 1000


def _nodes(bot: Bot, count: int) -> list[psutil.Process]:
    nodes = _running(bot)
    if len(nodes) != count:
        raise BenchError(f"{len(nodes)} of {count} nodes run")
    return sorted(nodes, key=lambda p: p.pid)


def _running(bot: Bot) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process(bot.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "voicebot.runtime.node" in " ".join(process.cmdline()):
                found.append(process)
    return found


def places(url: str) -> float:
    """Calls that all nodes take together; 0: nobody says."""
    try:
        text = httpx.get(f"{url}/metrics", timeout=5, trust_env=False).text
    except httpx.HTTPError:
        return 0.0
    told = [line.split()[1] for line in text.splitlines() if line.startswith("voicebot_machine_places ")]
    return float(told[0]) if told else 0.0


async def until(true: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
    """Looks ten times a second.

    Raises:
        BenchError: not in time.
    """
    end_s = time.monotonic() + within_s
    while True:
        found = true()
        if await found if isinstance(found, Awaitable) else found:
            return
        if time.monotonic() > end_s:
            raise BenchError(f"after {within_s:.0f} s still waiting for: {what}")
        await asyncio.sleep(0.1)


def rows(result: dict[str, Any]) -> list[list[str]]:
    """For the table; the last row is of both fates."""
    fates = dict(result["fates"])
    fates["both"] = {
        key: sum((fates[f][key] for f in FATES), type(fates["hang"][key])()) for key in fates["hang"]
    }
    return [
        [
            name,
            str(len(one["silent"]) + one["lost"]),
            report.show(report.quantile(one["silent"], 0.5)),
            report.show(report.quantile(one["silent"], 0.95)),
            "never" if one["lost"] else report.show(max(one["silent"], default=None)),
            f"{sum(ms <= 5000 for ms in one['silent'])}",
            str(one["with_history"]),
            str(one["others_broken"]),
        ]
        for name, one in fates.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two kills")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    kills = 2 if options.quick else options.kills
    result = asyncio.run(measure(kills, options.calls, options.nodes))
    report.finish(result, as_json=options.json, out=options.out)
    if not options.json:
        report.print_table("From kill -9 of a node to the bot's next sound, ms", HEAD, rows(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
