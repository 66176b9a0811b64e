"""What the server's processes use while it is phoned, when they run here, and what it says of itself.

Memory is PSS: a page that n processes share counts a n-th for each, so the sum is what would be freed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil

from voicebot.proof.simulation.webhooks import is_loopback

_EVERY_S = 1.0
_MEMORY_EVERY = 5  # looks at CPU: reading PSS walks a process's pages
_LAG = re.compile(r"^voicebot_loop_lag_seconds(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)
_ENGINE = re.compile(r'^voicebot_engine_load\{engine="stt"\} ([0-9.e+-]+)$', re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """One look. ``at_s`` monotonic; ``cores``: CPU used since the last look, in cores."""

    at_s: float
    cores: float | None = None
    pss_mb: float | None = None
    loop_lag_ms: float | None = None
    engine_load: float | None = None


@dataclass(frozen=True)
class ServerLoad:
    """What the server used in one step; None: could not be read (another machine, another user).

    Attributes:
        cores: mean CPU in cores, over all its processes. ``by_part``: of its processes by kind.
        pss_mb: at the end of the step; ``by_part_mb`` likewise.
        loop_lag_ms: the worst that any of its nodes told.
        engine_load: the highest share of the recogniser's threads that was busy.
    """

    cores: float | None = None
    pss_mb: float | None = None
    processes: int = 0
    loop_lag_ms: float | None = None
    engine_load: float | None = None
    by_part: dict[str, float] = field(default_factory=dict[str, float])
    by_part_mb: dict[str, float] = field(default_factory=dict[str, float])
    over_time: tuple[tuple[float, float | None, float | None], ...] = field(default=(), repr=False)
    """(seconds into the step, cores, worst loop lag in ms), for the plot."""


class ServerWatch:
    """Looks at a server once a second, from ``run`` until it is cancelled.

    Args:
        url: of the server; on another machine only what it says of itself is read.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.processes = server_processes(url) if is_loopback(urlsplit(url).hostname) else []
        self.samples: list[Sample] = []
        self._spent = {process.pid: _spent_s(process) for process in self.processes}
        self._began_spent: dict[int, float] = {}
        self._pss: dict[int, float] = {}

    async def run(self) -> None:
        """Looks until cancelled."""
        last_s = time.monotonic()
        for n in range(10**9):
            due_s = last_s + _EVERY_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_s = time.monotonic()
            lag, engine = await self._told()
            cores = self._cores(now_s - last_s)
            pss = await asyncio.to_thread(self._weigh) if n % _MEMORY_EVERY == 0 else None
            self.samples.append(Sample(now_s, cores, pss, lag, engine))
            last_s = now_s

    def begin(self) -> None:
        """A step begins: what was used until now is none of it."""
        self.samples.clear()
        self._again()
        self._began_spent = {process.pid: _spent_s(process) for process in self.processes}
        self._began_s = time.monotonic()

    def end(self) -> ServerLoad:
        """The step is over."""
        wall_s = max(1e-3, time.monotonic() - self._began_s)
        self._again()
        lags = [s.loop_lag_ms for s in self.samples if s.loop_lag_ms is not None]
        loads = [s.engine_load for s in self.samples if s.engine_load is not None]
        lag, load = max(lags, default=None), max(loads, default=None)
        seen = tuple(
            (
                round(s.at_s - self._began_s, 1),
                None if s.cores is None else round(s.cores, 3),
                s.loop_lag_ms,
            )
            for s in self.samples
        )
        if not self.processes:
            return ServerLoad(loop_lag_ms=lag, engine_load=load, over_time=seen)
        spent: dict[str, float] = {}
        for process in self.processes:
            used = _spent_s(process) - self._began_spent.get(process.pid, 0.0)
            part = _part(process)
            spent[part] = spent.get(part, 0.0) + max(0.0, used) / wall_s
        total = self._weigh()
        weight: dict[str, float] = {}
        for process in self.processes:
            part = _part(process)
            weight[part] = weight.get(part, 0.0) + self._pss.get(process.pid, 0.0)
        return ServerLoad(
            cores=round(sum(spent.values()), 3),
            pss_mb=None if total is None else round(total, 1),
            processes=len(self.processes),
            loop_lag_ms=lag,
            engine_load=load,
            by_part={part: round(cores, 3) for part, cores in sorted(spent.items())},
            by_part_mb={} if total is None else {part: round(mb, 1) for part, mb in sorted(weight.items())},
            over_time=seen,
        )

    def _again(self) -> None:
        """Processes come and go: a node that died has a successor."""
        if self.processes:
            known = {process.pid for process in self.processes}
            self.processes = [p for p in _family(self.processes[0]) if p.is_running()]
            for process in self.processes:
                if process.pid not in known:
                    self._began_spent.setdefault(process.pid, 0.0)

    def _cores(self, wall_s: float) -> float | None:
        if not self.processes:
            return None
        used = 0.0
        for process in self.processes:
            now_s = _spent_s(process)
            used += max(0.0, now_s - self._spent.get(process.pid, now_s))
            self._spent[process.pid] = now_s
        return used / wall_s

    def _weigh(self) -> float | None:
        """PSS of all, in MB; None: another user's, and we may not look."""
        for process in self.processes:
            try:
                self._pss[process.pid] = process.memory_full_info().pss / 1e6
            except psutil.NoSuchProcess:
                self._pss.pop(process.pid, None)
            except psutil.AccessDenied:
                return None
        return sum(self._pss.get(process.pid, 0.0) for process in self.processes) if self.processes else None

    async def _told(self) -> tuple[float | None, float | None]:
        """Loop lag in ms and load of the recogniser, of whichever node answers."""
        try:  # a connection of its own each time: another node may take it
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                text = (await client.get(f"{self._url}/metrics")).text
        except httpx.HTTPError:
            return None, None
        lag, engine = _LAG.search(text), _ENGINE.search(text)
        return (
            None if lag is None else round(float(lag[1]) * 1000, 1),
            None if engine is None else round(float(engine[1]), 3),
        )


def server_processes(url: str) -> list[psutil.Process]:
    """The processes of the server that listens at ``url`` on this machine, the topmost first.

    That is whoever listens there, those who started them as part of the same server, and all that they
    started. Empty when nobody's can be seen.
    """
    port = urlsplit(url).port or 80
    try:
        listening = {
            c.pid
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
        }
    except psutil.AccessDenied:
        return []
    if not listening:
        return []
    top = psutil.Process(min(listening))
    try:
        parent = top.parent()
        if parent is not None and _part(top) == "call node" and "voicebot" in " ".join(parent.cmdline()):
            top = parent
        return _family(top)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _family(top: psutil.Process) -> list[psutil.Process]:
    try:
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _spent_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return times.user + times.system


def _part(process: psutil.Process) -> str:
    """What a process is, from its command line."""
    try:
        command = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return "other"
    return part_of(command)


def part_of(command: Iterable[str]) -> str:
    """Which part of a server has this command line."""
    line = " ".join(command)
    if "postgres" in line:
        return "Postgres"
    if (host := re.search(r"voicebot\.audio\.engines\.host\s+(\w+)", line)) is not None:
        return f"engine {host[1]}"
    if "voicebot.runtime.node" in line:
        return "call node"
    if "voicebot.runtime.desk" in line:
        return "desk"
    return "supervisor" if "serve" in line else "server"
