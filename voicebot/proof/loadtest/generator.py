"""``python -m voicebot.proof.loadtest.generator``: carries some of a run's calls, in a process of its own.

JSON lines. First ``Setup`` on stdin, answered by ``{"ready": true}``; then one ``StepOrder`` after the other.
During a step there is ``{"call": ...}`` for every call that is over, ``{"pulse": ...}`` every second, and at
its end ``{"done": ...}``. It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from pydantic import BaseModel, ConfigDict

from voicebot.core.process import die_with_parent
from voicebot.proof.simulation.exchange import LocalTwilio
from voicebot.proof.simulation.metronome import Metronome

from .hearing import HeardCall
from .line import PhoneLine
from .mix import CallerKind, order
from .preparing import Caller, of_file

_CALLS_AHEAD = 200
"""Calls of one line whose kinds are drawn; after them it begins again."""
_PULSE_S = 1.0
_GARBAGE_EVERY = 50_000
"""Objects between collections: what a frame leaves is freed by counting references."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Setup(_Strict):
    """What a process needs to know once. ``routes``: public origin -> where it is really served."""

    url: str
    routes: dict[str, str]
    account_sid: str
    auth_token: str
    callers: str
    """File of ``preparing.as_file``."""
    seed: int


class StepOrder(_Strict):
    """Lines ``first`` up to ``first + count`` of a step of all processes. Times are monotonic seconds."""

    first: int
    count: int
    every: float
    """Seconds from one line's first call to the next one's, over all processes."""
    begin_s: float
    from_s: float
    until_s: float


Write = Callable[[dict[str, Any]], None]


class Generator:
    """The process without its pipes."""

    def __init__(self, setup: Setup, callers: list[Caller], write: Write) -> None:
        self._setup = setup
        self._callers = callers
        self._write = write
        self._metronome = Metronome()
        self._latencies: list[float] = []
        base = next(iter(setup.routes), setup.url)
        self._voice_url, self._status_url = f"{base}/twilio/voice", f"{base}/twilio/status"

    async def serve(self, orders: Callable[[], Awaitable[StepOrder | None]]) -> None:
        """One step after the other, until there is none."""
        setup = self._setup
        exchange = LocalTwilio(
            routes=setup.routes,
            account_sid=setup.account_sid,
            auth_token=setup.auth_token,
            metronome=self._metronome,
        )
        clock = asyncio.create_task(self._metronome.run(), name="metronome")
        try:
            async with exchange:
                gc.collect()
                gc.freeze()
                gc.set_threshold(_GARBAGE_EVERY, 20, 50)
                self._write({"ready": True})
                while (step := await orders()) is not None:
                    await self._step(exchange, step)
        finally:
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)

    async def _step(self, exchange: LocalTwilio, step: StepOrder) -> None:
        over = asyncio.Event()
        failures = 0
        lines = [self._line(exchange, step.first + n) for n in range(step.count)]
        running = [
            asyncio.create_task(line.run(step.begin_s + step.every * (step.first + n), over))
            for n, line in enumerate(lines)
        ]
        pulse = asyncio.create_task(self._pulse(lines))
        try:
            await asyncio.sleep(max(0.0, step.from_s - time.monotonic()))
            self._metronome.take_lateness()
            spent, began = time.process_time(), time.monotonic()
            await asyncio.sleep(max(0.0, step.until_s - time.monotonic()))
            late = self._metronome.take_lateness()
            cores = (time.process_time() - spent) / max(1e-3, time.monotonic() - began)
        finally:
            over.set()
            ended = await asyncio.gather(*running, return_exceptions=True)
            pulse.cancel()
        problems = [str(error) or type(error).__name__ for error in ended if isinstance(error, BaseException)]
        problems += [repr(error) for error in self._metronome.failures]
        self._metronome.failures.clear()
        failures = len(problems)
        done = {"late": late.sparse(), "late_worst_ms": late.worst_ms, "cores": cores, "failures": failures}
        self._write({"done": done | {"problems": problems[:3]}})

    def _line(self, exchange: LocalTwilio, number: int) -> PhoneLine:
        kinds = [CallerKind(one.name, one.script, one.weight) for one in self._callers]
        return PhoneLine(
            exchange,
            voice_url=self._voice_url,
            status_url=self._status_url,
            callers=self._callers,
            turns_of=order(kinds, line=number, seed=self._setup.seed, count=_CALLS_AHEAD),
            number=f"+1415{5_550_000 + number}",
            tell=self._latencies.append,
            keep=self._keep,
        )

    def _keep(self, heard: HeardCall) -> None:
        self._write({"call": heard.as_dict()})

    async def _pulse(self, lines: list[PhoneLine]) -> None:
        while True:
            await asyncio.sleep(_PULSE_S)
            active = sum(line.call is not None and not line.call.ended for line in lines)
            heard, self._latencies[:] = list(self._latencies), []
            late = self._metronome.lateness.percentile_ms(99)
            self._write({"pulse": {"active": active, "latencies_ms": heard, "late_p99_ms": late}})


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    setup = Setup.model_validate_json(await reader.readline())

    async def orders() -> StepOrder | None:
        line = await reader.readline()
        return StepOrder.model_validate_json(line) if line else None

    await Generator(setup, of_file(Path(setup.callers)), _write).serve(orders)


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serves until stdin is over, or whoever started us is gone: then nobody would hang up."""
    die_with_parent(os.getppid(), signal.SIGTERM)
    uvloop.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
