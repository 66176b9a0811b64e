"""What a server has more of after many short calls: memory, files, tasks, threads, connections.

    .venv/bin/python -m scripts.bench.growth [--calls 2000] [--at-once 10] [--quick] [--json] [--out FILE]

Callers phone through the local Twilio and hang up after two to four seconds: some in the greeting, some after
a line or a key said over it, some with a socket that breaks. The server is looked at when nobody has called
for a while: after the first tenth of the calls, by which every part has done everything once, then in the
middle, and at the end. Memory is the PSS of each part; temporary files are counted in a folder that only this
server has; connections are Postgres's own processes. There ought to be no more of anything.
2,000 calls take about ten minutes, ``--quick`` (300) two.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from scripts.bench import report
from scripts.bench.servers import ROOT, Bot, data_directory, voicebot
from voicebot.proof.simulation import LocalTwilio, Quiet, Timeline
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.ear import Ear

SETTLES_S = 40.0
"""Past a call that gives no word (30 s), leases and connections that are kept alive."""

HEAD = ("", "after the first tenth", "in the middle", "at the end", "since the first tenth")
LINE = ROOT / "recordings" / "lines" / "slt" / "opening_hours.wav"


@dataclass(frozen=True)
class Look:
    """What a server had when nobody called. ``files``, ``threads``: of all its processes."""

    calls: int
    pss_mb: dict[str, float]
    files: int
    threads: int
    processes: int
    tasks: int
    connections: int
    temporary: int


async def measure(calls: int, at_once: int) -> dict[str, Any]:
    """Three looks at one server."""
    looks: list[Look] = []
    failed = 0
    async with LocalTwilio() as twilio:
        account = {
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
        }
        with data_directory() as data:
            temporary = data / "tmp"
            temporary.mkdir()
            temporary.chmod(0o777)
            with voicebot(data / "server", TMPDIR=str(temporary), **account) as bot:
                done = 0
                for upto in (calls // 10, calls * 11 // 20, calls):
                    failed += await _phone(twilio, bot, done, upto, at_once)
                    done = upto
                    await asyncio.sleep(SETTLES_S)
                    looks.append(_look(bot, done, temporary))
                    print(f"{done} calls: {looks[-1]}", file=sys.stderr)
    return {"calls": calls, "at_once": at_once, "failed": failed, "looks": [asdict(look) for look in looks]}


async def _phone(twilio: LocalTwilio, bot: Bot, first: int, upto: int, at_once: int) -> int:
    """Calls ``first`` up to ``upto``; returns how many got no media."""
    numbers = iter(range(first, upto))
    failed = 0
    line = read_wav(LINE)

    async def one_after_the_other() -> None:
        nonlocal failed
        for nth in numbers:
            ear: Ear = Timeline([(600, line)]) if nth % 3 == 1 else Quiet()
            call = await twilio.phone(bot.voice_url, ear=ear, status_callback=bot.status_url)
            try:
                async with asyncio.timeout(20):
                    await call.log.wait("stream", event="start")
                await asyncio.sleep(2.0 + nth % 5 * 0.5)
                if nth % 3 == 2:
                    call.press_key("1")
                if nth % 20 == 0:
                    call.break_socket()
                    await asyncio.sleep(0.5)
            except TimeoutError:
                failed += 1
            call.hang_up()
            await call.wait_ended()
            await call.settle()
            twilio.forget(call)

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return failed


def _look(bot: Bot, calls: int, temporary: Path) -> Look:
    top = psutil.Process(bot.pid)
    family = [top, *top.children(recursive=True)]
    text = httpx.get(f"{bot.url}/metrics", timeout=20, trust_env=False).text
    tasks = re.search(r"^voicebot_tasks (\S+)$", text, re.MULTILINE)
    ours = [p for p in family if "postgres" not in p.name()]
    backends = [
        p for p in family if re.match(r"postgres: \S+ \S+ (\[local\]|[\d.]+\()", " ".join(p.cmdline()))
    ]
    return Look(
        calls=calls,
        pss_mb={part: round(mb, 1) for part, mb in bot.pss_mb().items()},
        files=sum(p.num_fds() for p in ours),
        threads=sum(p.num_threads() for p in ours),
        processes=len(ours),
        tasks=int(float(tasks[1])) if tasks is not None else -1,
        connections=len(backends),
        temporary=sum(1 for _ in temporary.rglob("*")),
    )


def rows(result: dict[str, Any]) -> list[list[str]]:
    """For the table."""
    looks = result["looks"]
    made: list[list[str]] = []
    for part in sorted({part for look in looks for part in look["pss_mb"]}):
        values = [look["pss_mb"].get(part, 0.0) for look in looks]
        made.append([f"{part}, MB", *(f"{v:.1f}" for v in values), f"{values[-1] - values[0]:+.1f}"])
    for name in ("files", "threads", "processes", "tasks", "connections", "temporary"):
        values = [look[name] for look in looks]
        made.append([name, *map(str, values), f"{values[-1] - values[0]:+d}"])
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="300 calls")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    result = uvloop.run(measure(300 if options.quick else options.calls, options.at_once))
    result["seconds"] = round(time.monotonic() - began)
    report.finish(result, as_json=options.json, out=options.out)
    if not options.json:
        title = f"{result['calls']} short calls, {result['at_once']} at once; {result['failed']} had no media"
        report.print_table(title, HEAD, rows(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
