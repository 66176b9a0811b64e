"""``voicebot serve``: starts Postgres, the engine hosts and the nodes; watches, drains, restarts.

One per machine. Everything it starts dies with it, ``kill -9`` included.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import structlog

from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.channels.machine import Machine
from voicebot.core.settings import Settings
from voicebot.core.store.chain.adopting import adopt
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.choice import ConnectionUnusable, started
from voicebot.dialogue.deployment import Deployment
from voicebot.handoff import whole
from voicebot.runtime.boot import DeskBoot, EngineTargets, NodeBoot
from voicebot.runtime.engines import engine_hosts
from voicebot.runtime.server import shared_socket

log = structlog.get_logger(__name__)

_READY_S = 180.0
"""A start takes 5-12 s of a processor; on a machine that is busy with other things, many times as long."""
_RESTART_FIRST_S = 0.2
_RESTART_MOST_S = 10.0
_STEADY_S = 60.0
_DESK_END_S = 3.0
_DATABASE_LOOK_S = 0.5
_DATABASE_RESTART_S = 3.0


class ServeError(Exception):
    """The server cannot start; the message says what to do."""


class Supervisor:
    """Runs one server until a signal or ``stop()``.

    Args:
        settings: as read; ``overrides`` are those of them that came from the command line.
        host, port: where nodes listen; port 0 takes a free one (see ``url``).
        workers: number of nodes.
        insecure_local: accept unsigned webhooks from loopback.
        desk_port: where the agents' desk listens, 0 for a free one; None: it runs elsewhere, or not at all.
        on_ready: called once with this supervisor when calls are taken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        host: str,
        port: int,
        workers: int = 1,
        insecure_local: bool = False,
        desk_port: int | None = None,
        overrides: dict[str, Any] | None = None,
        on_ready: Callable[[Supervisor], None] | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._port = port
        self._workers = workers
        self._insecure_local = insecure_local
        self._overrides = overrides or {}
        self._desk_port = desk_port
        self._desk: asyncio.subprocess.Process | None = None
        self._machine: Path | None = None
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._nodes: dict[int, asyncio.subprocess.Process] = {}
        self._postgres: EmbeddedPostgres | None = None
        self.new_key: str | None = None
        self.notes: tuple[str, ...] = ()
        self.database_dir: Path | None = None
        self.started_s = 0.0

    @property
    def url(self) -> str:
        """Where this server answers, once ``run`` has bound its port."""
        return f"http://{self._host}:{self._port}"

    def stop(self) -> None:
        """Begins the drain; ``run`` returns when everything has ended.

        Again: callers are put through now. A third time: the nodes end at once.
        """
        if self._stopping.is_set():
            log.warning("server.stop_hurried")
            self._tell_nodes()
        self._stopping.set()

    def _tell_nodes(self) -> None:
        for process in self._nodes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)

    async def run(self) -> None:
        """Starts everything, waits for ``stop`` or SIGTERM/SIGINT, drains, ends everything.

        Raises:
            ServeError: something cannot start.
        """
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with AsyncExitStack() as stack:
            try:
                reserved = shared_socket(self._host, self._port, listen=False)
            except OSError as error:
                raise ServeError(
                    f"cannot listen on {self._host}:{self._port}: {error.strerror}. "
                    "Stop what uses the port, or give another with --port"
                ) from error
            stack.callback(reserved.close)
            self._port = reserved.getsockname()[1]
            self._refuse_if_taken()
            self._place_desk(stack)
            deployment = Deployment.load(self._settings.deployment)
            whole.check(self._settings)
            keys = KeyRing.from_settings(self._settings)
            if keys.generated:
                self.new_key = keys.source
            database_url = self._database(stack)
            await _verify(keys, database_url)
            await deployment.prepare(database_url, self._settings.embedding)
            shop = started(deployment.connection, deployment.folder / "business" / "shop", database_url)
            try:
                await asyncio.to_thread(stack.enter_context, shop)
            except ConnectionUnusable as error:
                raise ServeError(str(error)) from error
            hosts = await self._engines(stack)
            targets = EngineTargets(
                stt=hosts.targets.stt,
                tts=hosts.targets.tts,
                turn=hosts.targets.turn,
                voice_id=hosts.voice_id,
            )
            stack.push_async_callback(self._end_nodes)
            watchers = [
                asyncio.create_task(self._keep_node(index, database_url, targets))
                for index in range(self._workers)
            ]
            database = asyncio.create_task(self._keep_database())
            try:
                await self._until_ready(watchers)
                self.started_s = time.monotonic() - began
                if self._desk_port is not None:
                    desk = asyncio.create_task(self._keep_desk(self._desk_port))
                    stack.callback(desk.cancel)
                    stack.push_async_callback(self._end_desk)
                if self._on_ready is not None and not self._stopping.is_set():
                    self._on_ready(self)
                stop = asyncio.create_task(self._stopping.wait())
                await asyncio.wait([stop, *watchers], return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
                for watcher in watchers:
                    if watcher.done() and not self._stopping.is_set():
                        watcher.result()
            finally:
                self._stopping.set()
                await self._drain(watchers)
                database.cancel()

    @property
    def desk_url(self) -> str | None:
        """Where the desk answers, once ``run`` has begun."""
        return self._overrides.get("desk_url") or self._settings.desk_url

    def _place_desk(self, stack: AsyncExitStack) -> None:
        """Finds the desk's port before the nodes start: they send people there."""
        if self._desk_port is None:
            return
        try:
            place = shared_socket(self._host, self._desk_port, listen=False)
        except OSError as error:
            raise ServeError(
                f"cannot listen on {self._host}:{self._desk_port} for the desk: {error.strerror}. "
                "Stop what uses the port, or give another with --desk-port"
            ) from error
        with place:
            self._desk_port = place.getsockname()[1]
        if self._settings.desk_url is None:
            host = self.local_url.rpartition(":")[0]
            self._overrides = {**self._overrides, "desk_url": f"{host}:{self._desk_port}"}

    async def _keep_desk(self, port: int) -> None:
        """Starts the desk, and again when it has died. Calls do not need it."""
        pause_s = _RESTART_FIRST_S
        while not self._stopping.is_set():
            boot = DeskBoot(
                parent_pid=os.getpid(),
                host=self._host,
                port=port,
                api_url=self.local_url,
                insecure_local=self._insecure_local,
                overrides=self._overrides,
            )
            self._desk = process = await _child("voicebot.runtime.desk", boot.model_dump_json())
            code = await process.wait()
            if code == os.EX_CONFIG or self._stopping.is_set():
                return  # why stands in its log
            log.error("desk.died", code=code, restart_in_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RESTART_MOST_S)

    async def _end_desk(self) -> None:
        process = self._desk
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_DESK_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _refuse_if_taken(self) -> None:
        """A plain listener without SO_REUSEPORT makes bind fail; another voicebot would not."""
        import socket

        with socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET) as probe:
            probe.settimeout(0.5)
            target = "127.0.0.1" if self._host == "0.0.0.0" else self._host  # noqa: S104  # compared, not bound
            if probe.connect_ex((target, self._port)) == 0:
                raise ServeError(
                    f"another server answers on {self._host}:{self._port}. Stop it, or give another --port"
                )

    def _database(self, stack: AsyncExitStack) -> str:
        if self._settings.database_url is not None:
            url = self._settings.database_url.get_secret_value()
        else:
            self._postgres = EmbeddedPostgres.start(self._settings.data_dir)
            stack.callback(lambda: self._postgres and self._postgres.stop())
            self.database_dir = self._postgres.data_dir
            url = self._postgres.url
        ensure_schema(url)
        return url

    async def _keep_database(self) -> None:
        """Starts the embedded Postgres again when it has died; calls meanwhile go to people."""
        while self._postgres is not None:
            await asyncio.sleep(_DATABASE_LOOK_S)
            if self._postgres.alive():
                continue
            log.error("database.died", restart_in_s=_DATABASE_RESTART_S)
            await asyncio.sleep(_DATABASE_RESTART_S)
            try:
                self._postgres = await asyncio.to_thread(EmbeddedPostgres.start, self._settings.data_dir)
            except EmbeddedPostgresError as error:
                log.error("database.not_restarted", reason=str(error))

    async def _engines(self, stack: AsyncExitStack) -> EngineHosts:
        choice = choose(self._settings)
        self.notes = choice.notes
        sockets = tempfile.mkdtemp(prefix="voicebot-")
        stack.callback(_remove_sockets, Path(sockets))
        self._machine = Machine.file(Path(sockets) / "calls", self._workers)
        hosts = engine_hosts(self._settings, choice, Path(sockets))
        await hosts.start()
        stack.push_async_callback(hosts.stop)
        return hosts

    async def _start_node(
        self, index: int, database_url: str, targets: EngineTargets
    ) -> asyncio.subprocess.Process:
        boot = NodeBoot(
            node_id=f"node-{index}-{secrets.token_hex(4)}",
            parent_pid=os.getpid(),
            host=self._host,
            port=self._port,
            insecure_local=self._insecure_local,
            index=index,
            nodes=self._workers,
            machine=str(self._machine) if self._machine is not None else None,
            database_url=database_url,
            engines=targets,
            overrides=self._overrides,
        )
        return await _child("voicebot.runtime.node", boot.model_dump_json())

    async def _keep_node(self, index: int, database_url: str, targets: EngineTargets) -> None:
        pause_s = _RESTART_FIRST_S
        while not self._stopping.is_set():
            began = time.monotonic()
            process = await self._start_node(index, database_url, targets)
            self._nodes[index] = process
            code = await process.wait()
            if self._stopping.is_set():
                return
            if self.started_s == 0:
                raise ServeError(f"a node ended at start (exit status {code}); its message stands above")
            log.error("node.died", index=index, code=code, restart_in_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)
            steady = time.monotonic() - began > _STEADY_S
            pause_s = _RESTART_FIRST_S if steady else min(pause_s * 2, _RESTART_MOST_S)

    async def _until_ready(self, watchers: list[asyncio.Task[None]]) -> None:
        wrong = "no answer yet"
        deadline = time.monotonic() + _READY_S
        async with httpx.AsyncClient(timeout=2.0) as client:
            while time.monotonic() < deadline and not self._stopping.is_set():
                for watcher in watchers:
                    if watcher.done():
                        watcher.result()
                try:
                    answer = await client.get(f"{self.local_url}/readyz")
                    if answer.is_success:
                        return
                    wrong = answer.text
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        if not self._stopping.is_set():
            raise ServeError(f"not ready after {_READY_S:.0f} s: {wrong}. See the log lines above")

    @property
    def local_url(self) -> str:
        """How this machine reaches the server, also when it listens on all addresses."""
        host = "127.0.0.1" if self._host in {"0.0.0.0", "::"} else self._host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    async def _drain(self, watchers: list[asyncio.Task[None]]) -> None:
        self._tell_nodes()
        grace_s = self._settings.drain_s + 15.0
        _, late = await asyncio.wait(watchers, timeout=grace_s)
        for watcher in late:
            watcher.cancel()

    async def _end_nodes(self) -> None:
        for process in self._nodes.values():
            if process.returncode is None:
                log.error("node.killed", reason="did not end within the drain time")
                process.kill()
                await process.wait()


async def _child(module: str, boot: str) -> asyncio.subprocess.Process:
    """Starts a process of ours and tells it on standard input what it needs to know."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        # numpy's threads would fight the engines for the cores (a MiniLM question: 300 ms instead of 14).
        # Pipecat logs before we can lead it into ours.
        env={"OPENBLAS_NUM_THREADS": "1", **os.environ, "LOGURU_AUTOINIT": "False"},
        start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor only, which drains
    )
    assert process.stdin is not None
    process.stdin.write(boot.encode() + b"\n")
    await process.stdin.drain()
    process.stdin.close()
    return process


_ADOPT_S = 30.0
"""Once in a database's life, rows that are older than the audit's chain are sealed."""


async def _verify(keys: KeyRing, database_url: str) -> None:
    """Before anything else starts: that this database was written with this master key."""
    linker = Linker(keys)
    database = await Database.open(database_url, max_size=1, timeout_s=_ADOPT_S, at_commit=linker)
    try:
        async with database.transaction() as tx:
            await keys.verify(tx)
        await adopt(database, linker)
    finally:
        await database.close()


def _remove_sockets(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
