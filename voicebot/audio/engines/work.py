"""Bounded work for engines: a few threads, a bounded line in front of them, and a watch on both.

Engine code blocks, so it never runs on a host's event loop. A ``Workshop`` runs it on its own threads,
refuses when the line is too long, and knows how long its oldest job has been running, which is what
tells a wedged engine from a busy one.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from voicebot.core.clock import Clock, monotonic

P = ParamSpec("P")
T = TypeVar("T")


_LOAD_S = 5.0
"""Over about so long the busy share of the threads is told."""


class PlacesTaken(Exception):  # a state of the host, turned into RESOURCE_EXHAUSTED
    """Every place is taken; the message says which bound was reached."""


class Workshop:
    """Runs blocking engine calls on ``threads`` threads, at most ``line`` of them waiting.

    Args:
        name: of the threads, for a stack dump.
        threads: how many calls run at once; 1 serialises an engine that is not thread safe.
        line: how many may wait before ``run`` raises ``PlacesTaken``.
        clock: seconds, for ``stuck_s``.
    """

    def __init__(self, name: str, threads: int, line: int, clock: Clock = monotonic) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._bound = threads + line
        self._jobs = 0
        self._lock = threading.Lock()
        self._clock = clock
        self._started: dict[int, float] = {}
        self._ids = itertools.count()
        self._busy = 0.0
        self._busy_at = clock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Awaits ``work(*args)`` on one of the threads; its exception comes through.

        Raises:
            PlacesTaken: the line is full.
        """
        with self._lock:
            if self._jobs >= self._bound:
                raise PlacesTaken(f"{self._bound} engine calls are under way or waiting")
            self._jobs += 1
        job = next(self._ids)

        def timed() -> T:
            self._started[job] = self._clock()
            try:
                return work(*args, **kwargs)
            finally:
                self._worked(self._clock() - self._started.pop(job))

        future = self._executor.submit(timed)
        future.add_done_callback(lambda _: self._left())
        return await asyncio.wrap_future(future)

    def stuck_s(self) -> float:
        """Seconds that the oldest running job has been running; 0 when idle."""
        started = list(self._started.values())
        return self._clock() - min(started) if started else 0.0

    def load(self) -> float:
        """Busy share of the threads over the last seconds: 0 idle, 1 full. Jobs count when they end."""
        with self._lock:
            return min(1.0, self._decayed(self._clock()))

    def waiting(self) -> int:
        """Jobs that wait for a thread."""
        return max(0, self._jobs - self._threads)

    def close(self) -> None:
        """Takes no more work; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _worked(self, seconds: float) -> None:
        with self._lock:
            now = self._clock()
            self._busy = self._decayed(now) + seconds / (_LOAD_S * self._threads)
            self._busy_at = now

    def _decayed(self, now: float) -> float:
        return self._busy * math.exp(-max(0.0, now - self._busy_at) / _LOAD_S)

    def _left(self) -> None:
        # From a worker thread, or from the loop when the job was cancelled in the line.
        with self._lock:
            self._jobs -= 1
