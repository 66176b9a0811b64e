"""Runs a recording through today's code while somebody waits for it: in a process of its own, one at a time.

The process is ``voicebot replay`` itself, nicer than anything that serves calls. It lives as long as whoever
asked for it listens: when they leave it is told to end, and cleans up behind itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog

log = structlog.get_logger(__name__)

Engines = Literal["local", "recorded"]

LONGEST_S = 600.0
NICE = 15
_ENDS_WITHIN_S = 10.0
_SIGN_OF_LIFE_S = 10.0
"""A quarter of the time after which the desk gives a stream up."""
_MOST_BYTES = 32 << 20
"""Of a report: a call of an hour has less than 2 MB."""
_WHY_CHARS = 600
_NICED = (
    "import os, runpy, signal, sys; os.nice({nice}); sys.argv[0] = 'voicebot'; "
    "from voicebot.core.process import die_with_parent; die_with_parent(os.getppid(), signal.SIGINT); "
    "runpy.run_module('voicebot.cli', run_name='__main__')"
)
"""Nicer before anything is imported, and what it starts inherits that; a node that dies ends it."""


class ReplayBusy(Exception):
    """Somebody's replay runs already, or calls need the machine."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: ``at_ms`` of ``of_ms`` of the call; None: it is being prepared."""

    at_ms: int | None
    of_ms: int | None


@dataclass(frozen=True)
class Report:
    """What ``voicebot replay --json`` said of the call."""

    call: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be run, and why."""

    why: str


@dataclass
class Replays:
    """One per node.

    Args:
        environment: of the process, for the deployment, the data directory and models to be the node's.
        busy: whether calls need the machine.
        longest_s: after that it is ended.
    """

    environment: dict[str, str]
    busy: Callable[[], bool] = lambda: False
    longest_s: float = LONGEST_S
    program: Sequence[str] = (sys.executable, "-c", _NICED.format(nice=NICE))
    _running: bool = field(default=False, init=False)

    async def run(
        self, path: Path, key: bytes, engines: Engines
    ) -> AsyncGenerator[Progress | Report | Failed]:
        """Tells of its progress, then its report or why there is none. Closed early, the process is ended.

        Args:
            path: a folder of a call's recordings, absolute.
            key: theirs; it goes to the process by a pipe and is written nowhere.
            engines: as `voicebot.proof.replay.run.Options`.

        Raises:
            ReplayBusy: at once, nothing was started.
        """
        if self._running:
            raise ReplayBusy("a replay is running already on this node: wait for it, or cancel it")
        if self.busy():
            raise ReplayBusy("this machine's calls need all of it: try again in a quieter moment")
        self._running = True
        try:
            async for told in self._run(path, key, engines):
                yield told
        finally:
            self._running = False

    async def _run(
        self, path: Path, key: bytes, engines: Engines
    ) -> AsyncGenerator[Progress | Report | Failed]:
        stdin = _read_once(base64.b64encode(key))
        try:
            process = await asyncio.create_subprocess_exec(
                *self.program,
                *("replay", str(path), "--json", "--progress"),
                *("--engines", engines, "--key", "/dev/stdin"),
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **self.environment},
                limit=_MOST_BYTES,
                start_new_session=True,  # a ctrl-c at the server is not its matter
            )
        finally:
            os.close(stdin)
        assert process.stdout is not None
        assert process.stderr is not None
        report = asyncio.ensure_future(process.stdout.read())
        late = asyncio.get_running_loop().call_later(self.longest_s, _interrupt, process)
        began_s = asyncio.get_running_loop().time()
        said: list[str] = []
        try:
            yield Progress(None, None)
            last = Progress(None, None)
            async for line in _lines(process.stderr):
                progress = last if line is None else _progress(line)
                if progress is not None:
                    last = progress
                    yield progress
                elif line is not None:
                    said.append(line.decode(errors="replace").strip())
            status = await process.wait()
            if asyncio.get_running_loop().time() - began_s >= self.longest_s:
                yield Failed(f"it was ended after {self.longest_s / 60:.0f} min")
            else:
                yield _outcome(await report, said, status)
        finally:
            late.cancel()
            report.cancel()
            await _end(process)


async def _lines(stream: asyncio.StreamReader) -> AsyncGenerator[bytes | None]:
    """Its lines; None whenever it is quiet, so that who listens knows that it goes on."""
    line = asyncio.ensure_future(stream.readline())
    try:
        while True:
            done, _ = await asyncio.wait({line}, timeout=_SIGN_OF_LIFE_S)
            if not done:
                yield None
                continue
            if not (data := line.result()):
                return
            yield data
            line = asyncio.ensure_future(stream.readline())
    finally:
        line.cancel()


def _read_once(data: bytes) -> int:
    """A pipe's end that gives these few bytes (asyncio's own is a socket, which ``/dev/stdin`` cannot be)."""
    reads, writes = os.pipe()
    os.write(writes, data)
    os.close(writes)
    return reads


def _interrupt(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)


async def _end(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C does: it puts away its database. Who does not hear that is killed, with all it started."""
    if process.returncode is not None:
        return
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await process.wait()
                return
    log.warning("replay.process_stays", pid=process.pid)


def _progress(line: bytes) -> Progress | None:
    try:
        made = json.loads(line)
        return Progress(int(made["replayed_ms"]), int(made["of_ms"]))
    except (ValueError, KeyError, TypeError):
        return None


def _outcome(report: bytes, said: Sequence[str], status: int) -> Report | Failed:
    try:
        made: dict[str, Any] = json.loads(report)
    except ValueError:
        return Failed(_why(said, status))
    for why in made["not_replayed"].values():
        return Failed(str(why))
    return Report(made["calls"][0]) if made["calls"] else Failed("there was nothing to be run")


def _why(said: Sequence[str], status: int) -> str:
    """The program's own last word. A traceback is nothing to show: what a caller said may stand in it."""
    whole = " ".join(filter(None, said))
    _, found, why = whole.partition("voicebot: ")
    if found:
        return why[:_WHY_CHARS]
    log.error("replay.failed", status=status, lines=len(said))
    return f"it failed (status {status}); run `voicebot replay` with the conversation's id to see how"
