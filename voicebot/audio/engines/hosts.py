"""Starts the engine hosts, watches them, and puts new ones in the place of dead and hung ones.

One process per engine, whatever the number of calls. A host is replaced when its process ends, or when
it has not answered a health ping for ``WatchPolicy.hung_after_s``; its address stays the same, so that
clients find the new one by themselves. Restarts back off, and begin anew once a host has been well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

import voicebot
from voicebot.audio.engines.choice import EngineChoice, EngineSpec, Role
from voicebot.audio.engines.client import EngineClient
from voicebot.audio.engines.rpc import CANNOT_START, MAX_UNIX_PATH
from voicebot.audio.engines.types import EngineUnavailable
from voicebot.core.clock import Clock, monotonic

log = structlog.get_logger(__name__)

_OURS = frozenset(
    {"VOICEBOT_MASTER_KEY", "VOICEBOT_API_TOKEN", "VOICEBOT_NATS_URL", "TWILIO_AUTH_TOKEN", "DATABASE_URL"}
)
"""What no engine has any business to know."""

_KEY = re.compile(r"(_API_KEY|_SECRET_ACCESS_KEY|_ACCESS_KEY_ID|_SESSION_TOKEN|_CREDENTIALS)$")
"""Names of credentials for cloud services."""


@dataclass(frozen=True)
class Targets:
    """Where the engines answer, for the clients."""

    stt: str
    tts: str
    turn: str


@dataclass(frozen=True)
class WatchPolicy:
    """When a host counts as dead, in seconds.

    ``hung_after_s`` is generous beside the deadlines of requests (a call falls back long before), since a
    machine under load answers late and a restart costs every call that uses the engine.
    """

    ping_every_s: float = 0.5
    ping_deadline_s: float = 1.0
    hung_after_s: float = 3.0
    start_within_s: float = 60.0
    load_within_s: float = 1800.0
    """For Whisper, Piper and cloud services, which may have to be downloaded first."""
    tries_at_start: int = 3
    backoff_s: tuple[float, ...] = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    well_after_s: float = 30.0
    stop_within_s: float = 3.0

    def pause_s(self, failures: int) -> float:
        """How long to wait before start number ``failures`` in a row (from 1)."""
        return self.backoff_s[min(failures, len(self.backoff_s)) - 1]

    def start_deadline_s(self, kind: str) -> float:
        """How long a host of this kind may take until it is warm."""
        return self.load_within_s if kind in {"whisper", "piper", "pipecat"} else self.start_within_s


class EngineHosts:
    """All engine hosts of a server.

    ::

        hosts = EngineHosts(choose(settings), socket_dir, phrases=deployment / "business/phrases.yaml")
        await hosts.start()          # returns when every engine is warm
        transcriber = GrpcTranscriber(hosts.targets.stt)
        await hosts.stop()

    Args:
        choice: which engines.
        socket_dir: for their sockets; a short one of our own is used when its path is too long for Linux.
        phrases: the deployment's phrases file.
        models: where a model that is asked for by name is kept.
        mirror: the hub that it is fetched from, when not the usual one.
        policy: when a host counts as dead.
    """

    def __init__(
        self,
        choice: EngineChoice,
        socket_dir: Path,
        *,
        phrases: Path | None = None,
        models: Path | None = None,
        mirror: str | None = None,
        policy: WatchPolicy | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.choice = choice
        self._own_dir: tempfile.TemporaryDirectory[str] | None = None
        if len(str(socket_dir.resolve() / "turn.sock").encode()) > MAX_UNIX_PATH:
            self._own_dir = tempfile.TemporaryDirectory(prefix="voicebot-")
            socket_dir = Path(self._own_dir.name)
        self._socket_dir = socket_dir.resolve()
        self._hosts: dict[Role, _Host] = {}
        for spec in choice.specs():
            path = self._socket_dir / f"{spec.role}.sock"
            arguments = ["--phrases", str(phrases)] if phrases and spec.kind == "sphinx" else []
            arguments += ["--language", spec.language] if spec.kind in {"whisper", "pipecat"} else []
            arguments += ["--models", str(models)] if models else []
            self._hosts[spec.role] = _Host(spec, path, arguments, mirror, policy or WatchPolicy(), clock)

    @property
    def targets(self) -> Targets:
        """Where the engines answer; the same before, during and after a restart."""
        return Targets(*(f"unix:{self._hosts[spec.role].path}" for spec in self.choice.specs()))

    @property
    def voice_id(self) -> str:
        """The voice, for ``GrpcSpeech``."""
        return self.choice.tts.voice_id

    @property
    def ready(self) -> bool:
        """Every engine is warm and answers."""
        return bool(self._hosts) and all(host.serving for host in self._hosts.values())

    def down(self) -> tuple[Role, ...]:
        """The engines that do not answer just now."""
        return tuple(role for role, host in self._hosts.items() if not host.serving)

    def pids(self) -> dict[str, int]:
        """Process ids of the hosts that run, by role."""
        return {role: host.pid for role, host in self._hosts.items() if host.pid is not None}

    def restarts(self) -> dict[str, int]:
        """How often each host had to be replaced."""
        return {role: host.restarts for role, host in self._hosts.items()}

    async def start(self) -> None:
        """Starts all hosts side by side; returns when every one is loaded and warm.

        Raises:
            EngineUnavailable: one cannot be started; the message is the host's own. None is left running.
        """
        try:
            self._socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EngineUnavailable(
                f"sockets cannot lie in {self._socket_dir}: {error.strerror}; give another folder"
            ) from error
        try:
            async with asyncio.TaskGroup() as starting:
                for host in self._hosts.values():
                    starting.create_task(host.start())
        except* EngineUnavailable as failures:
            await self.stop()
            raise failures.exceptions[0] from None
        except* asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends all hosts, politely at first, and waits until they are gone."""
        await asyncio.gather(*(host.stop() for host in self._hosts.values()))
        if self._own_dir is not None:
            self._own_dir.cleanup()
            self._own_dir = None


class _Host:
    """One host's process, past and present."""

    def __init__(
        self,
        spec: EngineSpec,
        path: Path,
        arguments: list[str],
        mirror: str | None,
        policy: WatchPolicy,
        clock: Clock,
    ) -> None:
        self.path = path
        self.serving = False
        self.restarts = 0
        self._spec = spec
        self._arguments = arguments
        self._mirror = mirror
        self._policy = policy
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._relay: asyncio.Task[None] | None = None
        self._last_lines: deque[str] = deque(maxlen=5)
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Until it serves.

        Raises:
            EngineUnavailable: it says that it cannot be started, or died ``tries_at_start`` times.
        """
        for attempt in range(1, self._policy.tries_at_start + 1):
            await asyncio.sleep(self._policy.pause_s(attempt))
            await self._spawn()
            if await self._becomes_ready():
                self._watch = asyncio.create_task(self._keep())
                return
            if self._process is not None and self._process.returncode == CANNOT_START:
                break
        raise EngineUnavailable(self._why())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        self.serving = False
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self._policy.stop_within_s):
                    await process.wait()
            except TimeoutError:
                await self._kill()
        if self._relay is not None:
            await self._relay
        self.path.unlink(missing_ok=True)

    async def _keep(self) -> None:
        """Watches for ever; puts a new process in the place of each that fails."""
        failures = 0
        while True:
            since = self._clock()
            reason = await self._until_it_fails()
            self.serving = False
            failures = 1 if self._clock() - since > self._policy.well_after_s else failures + 1
            while True:
                await self._kill()
                pause_s = self._policy.pause_s(failures)
                log.error(
                    "engine_restarting",
                    engine=self._spec.kind,
                    role=self._spec.role,
                    reason=reason,
                    in_s=pause_s,
                )
                await asyncio.sleep(pause_s)
                self.restarts += 1
                await self._spawn()
                if await self._becomes_ready():
                    break
                failures += 1
                reason = self._why()
            log.info("engine_back", engine=self._spec.kind, role=self._spec.role, restarts=self.restarts)

    async def _until_it_fails(self) -> str:
        assert self._process is not None
        gone = asyncio.create_task(self._process.wait())
        client = EngineClient(f"unix:{self.path}", self._spec.role)
        last_answer = self._clock()
        try:
            while True:
                done, _ = await asyncio.wait({gone}, timeout=self._policy.ping_every_s)
                if done:
                    return f"process ended with status {gone.result()}"
                if await client.healthy(self._policy.ping_deadline_s):
                    last_answer = self._clock()
                    self.serving = True
                elif self._clock() - last_answer > self._policy.hung_after_s:
                    return f"no answer to health pings for {self._policy.hung_after_s} s"
        finally:
            gone.cancel()
            await client.close()

    async def _spawn(self) -> None:
        command = [sys.executable, "-m", "voicebot.audio.engines.host", self._spec.kind]
        command += ["--listen", f"unix:{self.path}", "--parent", str(os.getpid()), *self._arguments]
        command += ["--model", self._spec.model] if self._spec.model else []
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment_of(self._spec, os.environ, self._mirror),
            # A terminal's Ctrl-C is for the server, which then stops its hosts in order.
            start_new_session=True,
        )
        self._last_lines.clear()
        self._relay = asyncio.create_task(self._pass_on(self._process))

    async def _becomes_ready(self) -> bool:
        assert self._process is not None
        gone = asyncio.create_task(self._process.wait())
        client = EngineClient(f"unix:{self.path}", self._spec.role)
        deadline = self._clock() + self._policy.start_deadline_s(self._spec.kind)
        try:
            while self._clock() < deadline and not gone.done():
                if await client.healthy(self._policy.ping_deadline_s):
                    self.serving = True
                    return True
                await asyncio.wait({gone}, timeout=0.02)
            if not gone.done():
                self._last_lines.append("it did not become ready in time")
                await self._kill()
            return False
        finally:
            gone.cancel()
            await client.close()
            if self._process.returncode is not None and self._relay is not None:
                await self._relay

    async def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        """The host's log lines, to our own standard error; the last are kept for ``_why``."""
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self._last_lines.append(line)
            print(line, file=sys.stderr)  # noqa: T201  # already a log line of its own

    def _why(self) -> str:
        last = next((line for line in reversed(self._last_lines) if line.strip()), "it said nothing")
        return last if last.startswith("engine ") else f"engine {self._spec.kind} cannot be started: {last}"


def environment_of(spec: EngineSpec, environ: Mapping[str, str], mirror: str | None = None) -> dict[str, str]:
    """The environment of a host: without the server's secrets, and without anybody's keys but its own.

    A cloud service's host keeps the names that begin with the service's (``DEEPGRAM_API_KEY``); a service of
    one's own (``MODULE:CLASS``) keeps every key, since nobody knows which it needs. ``mirror`` comes from the
    server's settings, which read ``.env`` too.
    """
    cloud = spec.model if spec.kind == "pipecat" and spec.model else ""
    own = "" if ":" in cloud else f"{cloud.partition('.')[0].upper()}_"

    def kept(name: str) -> bool:
        return name not in _OURS and (not _KEY.search(name) or (bool(cloud) and name.startswith(own)))

    environment = {name: value for name, value in environ.items() if kept(name)}
    if mirror is not None:
        environment["VOICEBOT_MODELS_MIRROR"] = mirror
    # The package may run from a checkout that is not installed.
    root = str(Path(voicebot.__file__).resolve().parent.parent)
    paths = [root, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return environment | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "OMP_NUM_THREADS": "1"}
