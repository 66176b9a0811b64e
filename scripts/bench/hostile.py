"""Whether calls notice that somebody attacks the port: the same callers, quiet and under attack, in turns.

    .venv/bin/python -m scripts.bench.hostile [--calls 4] [--hold 60] [--rounds 3] [--apart] [--quick]
                                              [--cost] [--json]

The attack, from a process of its own, goes on all the time: 200 connections that say nothing, 200 upgrades
without a signature at a time, 100 sockets with a good one that never start, 40 clients that read or send a
byte now and then, forged webhooks and broken requests, one after the other as fast as they are answered. The
server checks signatures, as in the field. The ratio is to be 1.1 at most. ``--apart``: the server with all
its processes has one core, callers and attackers the other (and callers come first there); else all share
what there is. ``--quick`` takes less than three minutes. ``--cost`` measures only the node's CPU for a
thousand unsigned upgrades: from an address that has shown a good signature, which are refused, and from one
that has not, which are soon not listened to. That holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from scripts.bench import report
from scripts.bench.cores import on_core, two_cores
from scripts.bench.servers import ROOT, data_directory, voicebot
from voicebot.proof.loadtest import front
from voicebot.proof.loadtest.figures import Spread, StepFigures
from voicebot.proof.loadtest.mix import read_mix
from voicebot.proof.loadtest.plan import LoadStep
from voicebot.proof.loadtest.run import Beat, LoadRun, run
from voicebot.proof.simulation.signing import HEADER, signature

SILENT = 200
UPGRADES = 200
UNSTARTED = 100
SLOW = 20
FLOOD = 1000
FROM = ("127.0.0.2", 0)
"""Not the callers' own address: Twilio's is never turned away."""
SIGNED_FROM = ("127.0.0.3", 0)
"""Nor is this one, once it has signed."""
HEAD = ("", "turns", "p50", "p95", "barge-in p95", "holes", "refused", "valid steps")


@contextlib.contextmanager
def attack(url: str, token: str, *, gives_way: bool) -> Iterator[None]:
    """Attacks until the block ends."""
    process = multiprocessing.get_context("spawn").Process(
        target=_attack, args=(url, token, gives_way), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _attack(url: str, token: str, gives_way: bool) -> None:  # a process's arguments
    if gives_way:  # on the callers' core it must not be what makes them late
        os.nice(10)
    asyncio.run(_everything(url, token))


async def _everything(url: str, token: str) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    await asyncio.gather(
        *(_silent(host, port) for _ in range(SILENT)),
        _upgrades(host, port),
        *(_never_starts(url, token) for _ in range(UNSTARTED)),
        *(_reads_slowly(host, port) for _ in range(SLOW)),
        *(_sends_slowly(host, port) for _ in range(SLOW)),
        *(_forged(url) for _ in range(4)),
        *(_broken(host, port) for _ in range(4)),
    )


def cost(rounds: int) -> dict[str, list[float]]:
    """The node's CPU for one unsigned upgrade, ms: from an address it listens to, and from another."""
    found: dict[str, list[float]] = {"refused": [], "not listened to": []}
    token = secrets.token_hex(16)
    with data_directory() as data, voicebot(data, signed=True, **_settings(token)) as bot:
        children = psutil.Process(bot.pid).children(recursive=True)
        node = next(child for child in children if "voicebot.runtime.node" in " ".join(child.cmdline()))
        asyncio.run(front.look(bot.url, None, token))
        for _ in range(rounds):
            before, began = _spent_s(node), time.monotonic()
            time.sleep(3)
            idle = (_spent_s(node) - before) / (time.monotonic() - began)
            for name, address in (("refused", "127.0.0.1"), ("not listened to", FROM[0])):
                before, began = _spent_s(node), time.monotonic()
                asyncio.run(_flood(bot.url, address))
                spent = _spent_s(node) - before - idle * (time.monotonic() - began)
                found[name].append(round(spent * 1000 / FLOOD, 3))
    return found


def _settings(token: str) -> dict[str, str]:
    return {"TWILIO_AUTH_TOKEN": token, "VOICEBOT_API_TOKEN": secrets.token_hex(16)}


def _spent_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _flood(url: str, address: str) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    for _ in range(FLOOD // 50):
        await asyncio.gather(*(_ask(host, port, _upgrade(host, port), (address, 0)) for _ in range(50)))


async def _silent(host: str, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=FROM)
            await reader.read()  # until we are shown the door
            writer.close()
        await asyncio.sleep(0.1)


async def _never_starts(url: str, token: str) -> None:
    signed = signature(token, f"{url.replace('http', 'ws', 1)}/twilio/media", {})
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with connect(
                f"{url.replace('http', 'ws', 1)}/twilio/media",
                additional_headers={HEADER: signed},
                local_addr=SIGNED_FROM,
                compression=None,
                proxy=None,
            ) as socket:
                await socket.wait_closed()
        await asyncio.sleep(0.5)


async def _reads_slowly(host: str, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=FROM, limit=1024)
            writer.write(f"GET /twilio/hold.wav HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while await reader.read(64):  # noqa: ASYNC110  # the pace is what it is about
                await asyncio.sleep(1)
            writer.close()
        await asyncio.sleep(0.5)


async def _sends_slowly(host: str, port: int) -> None:
    head = f"POST /twilio/voice HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000\r\n\r\n"
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port, local_addr=FROM)
            writer.write(head.encode())
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()
        await asyncio.sleep(0.5)


async def _upgrades(host: str, port: int) -> None:
    asked = _upgrade(host, port)
    while True:
        await asyncio.gather(*(_ask(host, port, asked) for _ in range(UPGRADES)))
        await asyncio.sleep(0.5)


def _upgrade(host: str, port: int) -> bytes:
    return (
        f"GET /twilio/media HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def _forged(url: str) -> None:
    transport = httpx.AsyncHTTPTransport(local_address=FROM[0])
    async with httpx.AsyncClient(transport=transport, timeout=20) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await client.post(
                    f"{url}/twilio/voice",
                    data={"CallSid": "CA" + secrets.token_hex(16), "From": "x" * 500},
                    headers={"X-Twilio-Signature": "forged"},
                )
            await asyncio.sleep(0.02)


async def _broken(host: str, port: int) -> None:
    while True:
        await _ask(host, port, secrets.token_bytes(4000))
        await asyncio.sleep(0.02)


async def _ask(host: str, port: int, data: bytes, source: tuple[str, int] | None = None) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(host, port, local_addr=source or FROM)
            writer.write(data)
            await reader.read()
            writer.close()


class _Quiet:
    def says(self, text: str) -> None:
        print(text, file=sys.stderr)

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        """Nothing."""

    def step(self, figures: StepFigures) -> None:
        print(f"p50 {figures.latency.p50}, p95 {figures.latency.p95}", file=sys.stderr)


def measure(calls: int, hold_s: float, rounds: int, *, apart: bool) -> dict[str, list[StepFigures]]:
    """Steps of both kinds, taking turns.

    Raises:
        BenchError: ``apart``, and there is one core only.
    """
    found: dict[str, list[StepFigures]] = {"quiet": [], "attacked": []}
    token = secrets.token_hex(16)
    kinds = [
        k
        for k in read_mix(ROOT / "recordings" / "load" / "mix.yaml")
        if k.name in {"questions", "interrupts"}
    ]
    with contextlib.ExitStack() as stack:
        cache, data = (
            stack.enter_context(tempfile.TemporaryDirectory()),
            stack.enter_context(data_directory()),
        )
        server, others = two_cores() if apart else (None, None)
        with contextlib.nullcontext() if server is None else on_core(server):
            bot = stack.enter_context(voicebot(data, signed=True, **_settings(token)))
        if others is not None:
            stack.enter_context(on_core(others))
        load = LoadRun(
            url=bot.url,
            steps=[LoadStep(calls, hold_s)],
            kinds=kinds,
            lines=ROOT / "recordings" / "lines",
            cache=Path(cache),
            auth_token=token,
        )
        for n in range(rounds):
            for name in ("quiet", "attacked") if n % 2 == 0 else ("attacked", "quiet"):
                with (
                    attack(bot.url, token, gives_way=apart)
                    if name == "attacked"
                    else contextlib.nullcontext()
                ):
                    found[name] += asyncio.run(run(load, _Quiet()))
        print(f"refused: {refusals(bot.url)}", file=sys.stderr)
    return found


def refusals(url: str) -> dict[str, int]:
    """What the server has refused so far, by reason."""
    text = httpx.get(f"{url}/metrics", timeout=20, trust_env=False).text
    found = re.findall(r'^voicebot_refusals_total\{reason="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {reason: int(float(count)) for reason, count in found}


def row(name: str, steps: list[StepFigures]) -> list[str]:
    """One kind for the table; latencies over all its steps."""
    latency = Spread.of(ms for step in steps for _, ms in step.turns_seen)
    barge = max((step.barge_in.p95 or 0.0 for step in steps), default=0.0)
    return [
        name,
        str(latency.count),
        report.show(latency.p50),
        report.show(latency.p95),
        report.show(barge),
        str(sum(step.gaps.count for step in steps)),
        str(sum(step.refused for step in steps)),
        f"{sum(step.valid for step in steps)} of {len(steps)}",
    ]


def ratio(found: dict[str, list[StepFigures]]) -> list[str]:
    """Attacked by quiet, for the table."""
    quiet, attacked = (
        Spread.of(ms for step in found[name] for _, ms in step.turns_seen) for name in ("quiet", "attacked")
    )
    shares = [
        f"{after / before:.2f}" if before and after else "–"
        for before, after in ((quiet.p50, attacked.p50), (quiet.p95, attacked.p95))
    ]
    return ["attacked / quiet", "", *shares, *[""] * (len(HEAD) - 4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--hold", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--apart", action="store_true", help="the server has a core to itself")
    parser.add_argument("--quick", action="store_true", help="one round of 20 s")
    parser.add_argument("--cost", action="store_true", help="only what refusing costs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.cost:
        print(json.dumps(cost(options.rounds)))
        return
    hold_s, rounds = (20.0, 1) if options.quick else (options.hold, options.rounds)
    found = measure(options.calls, hold_s, rounds, apart=options.apart)
    if options.json:
        print(json.dumps({name: [step.as_dict() for step in steps] for name, steps in found.items()}))
    else:
        rows = [row(*item) for item in found.items()]
        report.print_table("Calls while the port is attacked", HEAD, [*rows, ratio(found)])


if __name__ == "__main__":
    main()
