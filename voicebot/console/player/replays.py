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
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
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
_PIECE = 1 << 16
_LAST_LINES = 50
"""Of what it says beside its progress: why it failed stands at the end."""
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
    _minding: asyncio.Task[None] | None = field(default=None, init=False)

    def check(self) -> None:
        """Whether one may begin now.

        Raises:
            ReplayBusy: no, and why.
        """
        if self._minding is not None:
            raise ReplayBusy("a replay is running already on this node: wait for it, or cancel it")
        if self.busy():
            raise ReplayBusy("this machine's calls need all of it: try again in a quieter moment")

    async def run(
        self, path: Path, key: bytes, engines: Engines
    ) -> AsyncGenerator[Progress | Report | Failed]:
        """Tells of its progress, then its report or why there is none. Left early, the process is ended.

        The process is minded by a task of its own: whoever leaves, however often they are cancelled, it is
        told to end, killed if it does not, and the next one begins when it is gone.

        Args:
            path: a folder of a call's recordings, absolute.
            key: theirs; it goes to the process by a pipe and is written nowhere.
            engines: as `voicebot.proof.replay.run.Options`.

        Raises:
            ReplayBusy: as `check`; nothing was started.
        """
        self.check()
        child = _Child(self.longest_s)
        self._minding = asyncio.create_task(self._mind(child, self._command(path, engines), key))
        try:
            yield Progress(None, None)
            async for told in child.told():
                yield told
        finally:
            child.left.set()

    def _command(self, path: Path, engines: Engines) -> list[str]:
        asked = ("replay", str(path), "--json", "--progress", "--engines", engines, "--key", "/dev/stdin")
        return [*self.program, *asked]

    async def _mind(self, child: _Child, command: Sequence[str], key: bytes) -> None:
        try:
            await child.live(command, {**os.environ, **self.environment}, key)
        except Exception:
            log.exception("replay.not_minded")
        finally:
            child.gone.set()
            self._minding = None


class _Child:
    """One process, from its start until it is gone."""

    def __init__(self, longest_s: float) -> None:
        self.left = asyncio.Event()
        """Nobody waits for it any more."""
        self.gone = asyncio.Event()
        """Another one may begin."""
        self._longest_s = longest_s
        self._late = False
        self._started: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

    async def live(self, command: Sequence[str], environ: dict[str, str], key: bytes) -> None:
        """Starts it, waits until it or whoever waits for it is gone, and ends it."""
        try:
            process = await _start(command, environ, key)
        except OSError as error:
            log.error("replay.not_started", error=type(error).__name__)
            return
        else:
            self._started.set_result(process)
        finally:
            if not self._started.done():  # whatever kept it from starting, nobody waits for it
                self._started.cancel()
        over, left = asyncio.ensure_future(process.wait()), asyncio.ensure_future(self.left.wait())
        try:
            done, _ = await asyncio.wait(
                {over, left}, timeout=self._longest_s, return_when=asyncio.FIRST_COMPLETED
            )
            self._late = not done
        finally:
            left.cancel()
            await _end(process, over)

    async def told(self) -> AsyncGenerator[Progress | Report | Failed]:
        """What it says, until it is over."""
        try:
            process = await asyncio.shield(self._started)
        except asyncio.CancelledError:
            if not self._started.cancelled():
                raise
            yield Failed("it could not be started: see the node's log")
            return
        assert process.stdout is not None
        assert process.stderr is not None
        report = asyncio.ensure_future(_whole(process.stdout))
        said: deque[str] = deque(maxlen=_LAST_LINES)
        last = Progress(None, None)
        try:
            async for line in _lines(process.stderr):
                progress = last if line is None else _progress(line)
                if progress is not None:
                    last = progress
                    yield progress
                elif line is not None:
                    said.append(line.decode(errors="replace").strip())
            made, status = await report, await process.wait()
            await self.gone.wait()
        finally:
            report.cancel()
        if self._late:
            yield Failed(f"it was ended after {self._longest_s / 60:.0f} min")
        elif made is None:
            yield Failed(f"its report has more than {_MOST_BYTES >> 20} MB")
        else:
            yield _outcome(made, said, status)


async def _start(command: Sequence[str], environ: dict[str, str], key: bytes) -> asyncio.subprocess.Process:
    stdin = _read_once(base64.b64encode(key))
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            start_new_session=True,  # a ctrl-c at the server is not its matter
        )
    finally:
        os.close(stdin)


async def _whole(stream: asyncio.StreamReader) -> bytes | None:
    """All of it; None: there is too much. It is read to its end all the same, so that nobody waits."""
    found, size = list[bytes](), 0
    while data := await stream.read(_PIECE):
        size += len(data)
        if size <= _MOST_BYTES:
            found.append(data)
        else:
            found.clear()
    return b"".join(found) if size <= _MOST_BYTES else None


async def _lines(stream: asyncio.StreamReader) -> AsyncGenerator[bytes | None]:
    """Its lines; None whenever it is quiet, so that who listens knows that it goes on."""
    line = asyncio.ensure_future(_line(stream))
    try:
        while True:
            done, _ = await asyncio.wait({line}, timeout=_SIGN_OF_LIFE_S)
            if not done:
                yield None
                continue
            if not (data := line.result()):
                return
            yield data
            line = asyncio.ensure_future(_line(stream))
    finally:
        line.cancel()


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; b"": there is none."""
    while True:
        try:
            return await stream.readline()
        except ValueError:  # longer than any that we print: what was read of it is dropped
            continue


def _read_once(data: bytes) -> int:
    """A pipe's end that gives these few bytes (asyncio's own is a socket, which ``/dev/stdin`` cannot be)."""
    reads, writes = os.pipe()
    os.write(writes, data)
    os.close(writes)
    return reads


async def _end(process: asyncio.subprocess.Process, over: asyncio.Future[int]) -> None:
    """As Ctrl-C does: it puts away its database. Who does not hear that is killed, with all it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if over.done():
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
        await asyncio.wait({over}, timeout=_ENDS_WITHIN_S)
    if not over.done():
        log.warning("replay.process_stays", pid=process.pid)
        await over


def _progress(line: bytes) -> Progress | None:
    try:
        made = json.loads(line)
        return Progress(int(made["replayed_ms"]), int(made["of_ms"]))
    except (ValueError, KeyError, TypeError):
        return None


def _outcome(report: bytes, said: Iterable[str], status: int) -> Report | Failed:
    try:
        made: dict[str, Any] = json.loads(report)
    except ValueError:
        return Failed(_why(said, status))
    for why in made["not_replayed"].values():
        return Failed(str(why))
    return Report(made["calls"][0]) if made["calls"] else Failed("there was nothing to be run")


def _why(said: Iterable[str], status: int) -> str:
    """The program's own last word. A traceback is nothing to show: what a caller said may stand in it."""
    whole = " ".join(filter(None, said))
    _, found, why = whole.partition("voicebot: ")
    if found:
        return why[:_WHY_CHARS]
    log.error("replay.failed", status=status)
    return f"it failed (status {status}); run `voicebot replay` with the conversation's id to see how"
