"""What a machine says of itself, once a second: lateness, cores, memory. Reads, decides nothing."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from statistics import median

import psutil

from voicebot.core.clock import Clock, monotonic

_TICK_S = 0.05
_CGROUP = Path("/sys/fs/cgroup")
_STAT = Path("/proc/stat")
_TICKS_A_S = os.sysconf("SC_CLK_TCK")


async def typical_lateness_s(seconds: float, tick_s: float = _TICK_S) -> float:
    """Looks for so long how late a short timer is; returns the median, which one long slice does not move."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    late: list[float] = []
    while loop.time() < end_s:
        due_s = loop.time() + tick_s
        await asyncio.sleep(tick_s)
        late.append(loop.time() - due_s)
    return median(late)


def free_memory_mb(group: Path = _CGROUP) -> float:
    """What the machine, or the control group that holds us, has left."""
    free = psutil.virtual_memory().available
    try:
        most, used = (group / "memory.max").read_text(), int((group / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no such group: the machine's memory is ours
        return free / 1e6
    if most.strip().isdigit():
        free = min(free, int(most) - used + (int(cached[1]) if cached is not None else 0))
    return free / 1e6


class LoopShare:
    """Of a core, what the thread that asks (that of the event loop) used since it asked last."""

    def __init__(self) -> None:
        self._spent_s, self._at_s = time.thread_time(), time.monotonic()

    def since_last(self) -> float:
        """0..1."""
        spent_s, at_s = time.thread_time(), time.monotonic()
        share = (spent_s - self._spent_s) / max(1e-3, at_s - self._at_s)
        self._spent_s, self._at_s = spent_s, at_s
        return min(1.0, share)


class CoresShare:
    """Of the cores that this process may use, what anybody used since it was last asked.

    In a control group with a quota: of that, if it is the scarcer one.

    Args:
        group, stat: for tests.
        cores: numbers of the cores; None: those of this process.
        clock: seconds.
    """

    def __init__(
        self,
        group: Path = _CGROUP,
        stat: Path = _STAT,
        cores: frozenset[int] | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self._group, self._stat, self._clock = group, stat, clock
        self._cores = frozenset(os.sched_getaffinity(0)) if cores is None else cores
        self._last = self._read()

    def since_last(self) -> float | None:
        """0..1; None: this machine does not say."""
        before, self._last = self._last, self._read()
        if before is None or self._last is None:
            return None
        busy, all_, used_s, at_s = (now - then for now, then in zip(self._last, before, strict=True))
        share = busy / all_ if all_ > 0 else 0.0
        quota = self._quota()
        if quota is not None and at_s > 0:
            share = max(share, used_s / (quota * at_s))
        return min(1.0, max(0.0, share))

    def _read(self) -> tuple[float, float, float, float] | None:
        """Seconds: the cores' busy ones and all, those of our group, and the time."""
        try:
            lines = self._stat.read_text().splitlines()
        except OSError:
            return None
        busy = all_ = 0.0
        for line in lines:
            name, *spent = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in self._cores:
                ticks = [int(one) for one in spent[:8]]  # guests' time stands in the first ones already
                all_ += sum(ticks)
                busy += sum(ticks) - ticks[3] - ticks[4]  # idle, waiting for a disk
        return busy / _TICKS_A_S, all_ / _TICKS_A_S, self._used_s(), self._clock()

    def _used_s(self) -> float:
        try:
            found = re.search(r"^usage_usec (\d+)$", (self._group / "cpu.stat").read_text(), re.MULTILINE)
        except OSError:
            return 0.0
        return int(found[1]) / 1e6 if found is not None else 0.0

    def _quota(self) -> float | None:
        """Cores that our group may use; None: all."""
        try:
            most, period = (self._group / "cpu.max").read_text().split()
            return int(most) / int(period)
        except (OSError, ValueError):
            return None
