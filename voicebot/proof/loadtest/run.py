"""A whole run: looks at the server, makes the callers' sound, starts the processes, goes step by step."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from voicebot.proof.simulation.formats import new_sid
from voicebot.proof.simulation.lateness import Lateness

from . import front, words
from .figures import StepFigures, step_figures
from .generator import Setup, StepOrder
from .hearing import HeardCall
from .mix import CallerKind
from .plan import LoadError, LoadStep, shares
from .preparing import as_file, prepare
from .validity import Generator
from .watching import ServerLoad, ServerWatch

CALLS_A_PROCESS = 50
_READY_S = 60.0
_END_S = 15.0
_LEAD_S = 0.5
_BETWEEN_STEPS_S = 2.0
_READ_CALLS = 40
"""Of a step, whose transcripts are read for the word error rate."""


@dataclass(frozen=True)
class LoadRun:
    """What is to be done.

    Attributes:
        url: the server. ``public_url``: what it is signed for, when that is another address.
        auth_token: signs webhooks; None: made up, which suits a server that takes unsigned ones.
        api_token: bearer token of the server's API, for the word error rate; None: tried without.
        kinds: who phones; ``lines``, ``texts``, ``cache``: see ``preparing.prepare``.
        processes: of callers; None: one per fifty calls, at most one per core.
    """

    url: str
    steps: Sequence[LoadStep]
    kinds: Sequence[CallerKind]
    lines: Path
    cache: Path
    texts: Path | None = None
    public_url: str | None = None
    account_sid: str | None = None
    auth_token: str | None = None
    api_token: str | None = None
    processes: int | None = None
    seed: int = 1


class Display(Protocol):
    """Watches a run; everything returns at once."""

    def says(self, text: str) -> None:
        """What is being done."""
        ...

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        """A second has passed in a step; ``seconds`` before (negative) or after its window began."""
        ...

    def step(self, figures: StepFigures) -> None:
        """A step is over."""
        ...


@dataclass
class Beat:
    """What is known of a step while it runs."""

    active: int = 0
    latencies_ms: list[float] = field(default_factory=list[float])
    over: int = 0
    refused: int = 0
    late_p99_ms: float = 0.0
    cores: float | None = None
    loop_lag_ms: float | None = None


async def run(load: LoadRun, display: Display) -> list[StepFigures]:
    """All steps.

    Raises:
        LoadError: the server cannot be phoned like this, takes no call, or a process of ours did not start.
        ScriptError: a script or line cannot be used.
    """
    token = load.auth_token or secrets.token_hex(16)
    display.says(f"looking at {load.url}")
    await front.look(load.url, load.public_url, token)
    display.says("preparing what the callers say")
    callers = await prepare(load.kinds, lines=load.lines, texts=load.texts, cache=load.cache)
    most = max(step.calls for step in load.steps)
    count = load.processes or max(1, min(os.cpu_count() or 1, -(-most // CALLS_A_PROCESS)))
    with tempfile.TemporaryDirectory(prefix="voicebot-load-") as folder:
        setup = Setup(
            url=load.url,
            routes={load.public_url: load.url} if load.public_url and load.public_url != load.url else {},
            account_sid=load.account_sid or new_sid("AC"),
            auth_token=token,
            callers=str(as_file(callers, Path(folder))),
            seed=load.seed,
        )
        display.says(f"starting {count} process{'es' if count > 1 else ''} of callers")
        async with _processes(setup, min(count, most)) as processes:
            watch = ServerWatch(load.url)
            looking = asyncio.create_task(watch.run(), name="load-watch")
            try:
                figures: list[StepFigures] = []
                for nth, step in enumerate(load.steps):
                    if nth:
                        await asyncio.sleep(_BETWEEN_STEPS_S)
                    figures.append(await _step(load, step, nth, processes, watch, display))
                    display.step(figures[-1])
                    if nth == 0:
                        _must_have_been_taken(figures[0])
                return figures
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)


def _must_have_been_taken(first: StepFigures) -> None:
    """Raises LoadError where a run's first step found nobody who takes calls: the others would not either."""
    if first.begun and first.refused == first.begun:
        how = ", ".join(f"{count} {outcome}" for outcome, count in first.outcomes.items())
        raise LoadError(
            f"the server took none of {first.begun} calls ({how}): is it off (voicebot on), full "
            "(voicebot_no_room at /metrics), or away from its database? See its log"
        )


class _Process:
    """One process of callers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._in = process.stdin
        self._out = process.stdout

    def order(self, message: Setup | StepOrder) -> None:
        """Sends it."""
        self._in.write(message.model_dump_json().encode() + b"\n")

    async def next(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            LoadError: it is over.
        """
        line = await self._out.readline()
        if not line:
            await self._process.wait()
            raise LoadError(
                f"a process of callers ended with status {self._process.returncode}; see above why"
            )
        return json.loads(line)

    async def end(self) -> None:
        """Lets it end, or ends it."""
        self._in.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def _processes(setup: Setup, count: int) -> AsyncGenerator[list[_Process]]:
    started: list[_Process] = []
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "voicebot.proof.loadtest.generator"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
                limit=32 * 1024 * 1024,
                start_new_session=True,  # Ctrl-C is ours: it ends them tidily
            )
            started.append(_Process(process))
            started[-1].order(setup)
        try:
            async with asyncio.timeout(_READY_S):
                for process in started:
                    await process.next()
        except TimeoutError as error:
            raise LoadError(f"the callers were not ready after {_READY_S:.0f} s") from error
        yield started
    finally:
        await asyncio.gather(*(process.end() for process in started))


async def _step(
    load: LoadRun, step: LoadStep, nth: int, processes: list[_Process], watch: ServerWatch, display: Display
) -> StepFigures:
    begin_s = time.monotonic() + _LEAD_S
    from_s = begin_s + step.settle_s
    until_s = from_s + step.hold_s
    calls: list[HeardCall] = []
    beat = Beat()
    done: list[dict[str, Any]] = []
    working: list[_Process] = []
    first = 0
    for process, count in zip(processes, shares(step.calls, len(processes)), strict=True):
        if count:
            process.order(
                StepOrder(
                    first=first,
                    count=count,
                    every=step.every_s,
                    begin_s=begin_s,
                    from_s=from_s,
                    until_s=until_s,
                )
            )
            working.append(process)
            first += count

    async def listen(process: _Process) -> None:
        active = 0
        while True:
            said = await process.next()
            if (call := said.get("call")) is not None:
                calls.append(HeardCall.of_dict(call))
                beat.over += 1
                beat.refused += calls[-1].outcome not in {"served", "handed_over"}
            elif (pulse := said.get("pulse")) is not None:
                beat.active += pulse["active"] - active
                active = pulse["active"]
                beat.latencies_ms += pulse["latencies_ms"]
                beat.late_p99_ms = max(beat.late_p99_ms, pulse["late_p99_ms"])
            else:
                done.append(said["done"])
                return

    server: ServerLoad | None = None

    async def tick() -> None:
        nonlocal server
        await asyncio.sleep(max(0.0, from_s - time.monotonic()))
        watch.begin()
        while (now_s := time.monotonic()) < until_s:
            await asyncio.sleep(min(1.0, until_s - now_s))
            if watch.samples:
                beat.cores, beat.loop_lag_ms = watch.samples[-1].cores, watch.samples[-1].loop_lag_ms
            display.pulse(step, nth, time.monotonic() - from_s, beat)
        server = await asyncio.to_thread(watch.end)

    ticking = asyncio.create_task(tick(), name="load-step")
    try:
        await asyncio.gather(*(listen(process) for process in working))
        await ticking
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    for problem in (problem for one in done for problem in one["problems"]):
        display.says(f"a caller broke down: {problem}")
    wer = await _wer(load, calls)
    return step_figures(step, calls, (from_s, until_s), _generator(step, done), server=server, wer=wer)


def _generator(step: LoadStep, done: Sequence[dict[str, Any]]) -> Generator:
    late = Lateness()
    for one in done:
        late.join(Lateness.of_sparse(one["late"], one["late_worst_ms"]))
    return Generator(
        late,
        busiest=max(one["cores"] for one in done),
        core_per_call=sum(one["cores"] for one in done) / step.calls,
        failures=sum(one["failures"] for one in done),
    )


async def _wer(load: LoadRun, calls: Sequence[HeardCall]) -> tuple[float | None, int]:
    """Word error rate of some of the calls, by the server's own transcripts; (None, 0) without them."""
    spoken = {call.call_sid: " ".join(call.said) for call in calls if call.said}
    headers = {"Authorization": f"Bearer {load.api_token}"} if load.api_token else {}
    pairs: list[tuple[str, str]] = []
    try:
        async with httpx.AsyncClient(
            base_url=load.url, headers=headers, timeout=10.0, trust_env=False
        ) as api:
            listed = await api.get("/api/conversations", params={"limit": 500})
            if not listed.is_success:
                return None, 0
            found = [row for row in listed.json() if row.get("call_sid") in spoken][:_READ_CALLS]
            for row in found:
                detail = await api.get(f"/api/conversations/{row['id']}")
                if detail.is_success:
                    pairs.append((spoken[row["call_sid"]], _read(detail.json())))
    except (httpx.HTTPError, ValueError):
        return None, 0
    return words.rate(pairs), len(pairs)


def _read(conversation: dict[str, Any]) -> str:
    """What the server read of the caller, turn by turn."""
    said: list[str] = []
    for turn in conversation.get("turns", ()):
        heard = turn.get("input") or {}
        if heard.get("kind") == "utterance":
            said.append(str(heard.get("text", "")))
    return " ".join(said)
