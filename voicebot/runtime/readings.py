"""What a machine says of itself, once a second: lateness, cores, memory. Reads, decides nothing."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable
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


class Cores:
    """How many cores there are for this process, and how many anybody used since it was last asked.

    In a control group with a quota that is scarcer: of the group. What runs with a lower priority gives way,
    and is not counted.

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

    def since_last(self) -> tuple[float, float] | None:
        """(used, there are); None: this machine does not say."""
        before, self._last = self._last, self._read()
        if before is None or self._last is None:
            return None
        busy_s, used_s, wall_s = (now - then for now, then in zip(self._last, before, strict=True))
        if wall_s <= 0:
            return None
        there_are = self.there_are
        return (used_s if there_are < len(self._cores) else busy_s) / wall_s, there_are

    @property
    def there_are(self) -> float:
        """Cores for this process: what its group's quota leaves of them."""
        quota, number = self._quota(), float(len(self._cores))
        return number if quota is None else min(number, quota)

    def _read(self) -> tuple[float, float, float] | None:
        """Seconds: the cores' busy ones, those of our group, and the time."""
        try:
            lines = self._stat.read_text().splitlines()
        except OSError:
            return None
        busy = 0
        for line in lines:
            name, *spent = line.split()
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in self._cores:
                user, _nice, system, _idle, _disk, irq, softirq, steal = (int(one) for one in spent[:8])
                busy += user + system + irq + softirq + steal
        return busy / _TICKS_A_S, self._used_s(), self._clock()

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


class Spending:
    """CPU of some processes, in cores, since it was last asked of them. One that is not ours counts nothing.

    Args:
        ours: a word in the command lines of the processes that count: a process's number may be of another
            machine.
        proc: for tests.
        clock: seconds.
    """

    def __init__(self, ours: str, proc: Path = Path("/proc"), clock: Clock = monotonic) -> None:
        self._ours = ours.encode()
        self._proc = proc
        self._clock = clock
        self._last: dict[int, float] = {}
        self._at_s = clock()

    def since_last(self, pids: Iterable[int]) -> float:
        """Cores; a process that is seen for the first time counts from the next time on."""
        now_s = self._clock()
        spent = {pid: s for pid in pids if (s := self._spent_s(pid)) is not None}
        used = sum(max(0.0, s - self._last.get(pid, s)) for pid, s in spent.items())
        wall_s, self._last, self._at_s = now_s - self._at_s, spent, now_s
        return used / wall_s if wall_s > 0 else 0.0

    def _spent_s(self, pid: int) -> float | None:
        try:
            if self._ours not in (self._proc / str(pid) / "cmdline").read_bytes():
                return None
            fields = (self._proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_S  # utime, stime


def cores_load(ours: float, used: float, there_are: float) -> float:
    """Busy share of what is ours of the cores: what others leave, and half in any case. Pure.

    What others use is no reason to take fewer and fewer calls: the fewer there are, the less it is our calls
    that make the cores scarce.
    """
    others = max(0.0, used - ours)
    return ours / max(there_are / 2, there_are - others)
