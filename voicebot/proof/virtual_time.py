"""An asyncio event loop whose clock jumps to the next timer as soon as nothing is left to do.

A call of five minutes runs in milliseconds, in the same order every time. The clock stands still while
work outside the loop is in flight, so that no timeout fires merely because a query or a thread took real
time:

* ``run_in_executor`` and ``asyncio.to_thread``, until the result is there;
* file descriptors registered through the public ``loop.add_reader``/``add_writer`` (psycopg does that while
  a query runs) and ``loop.sock_*`` calls, until they are removed;
* anything inside ``with outside_work():``, for what the loop cannot see (a thread of one's own, a process).

Sockets of asyncio's own transports (a server under test) are polled before each jump, which is enough where
both ends live on this loop. A library that keeps a reader registered for good (grpc.aio) says so with
``loop.background(fd)``. What stands still for more than ``stuck_s`` of real time fails, naming what it
waits for; so does a loop with nothing left that could ever wake it.

    run(coroutine)            # to its end; tests have a decorator for the same
    asyncio.get_running_loop().time    # the clock to pass to whatever takes one
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

START_S = 1000.0
"""The clock does not begin at 0, so that a missing time cannot pass for the beginning."""

_POLL_S = 0.02
_DEADLOCK_S = 1.0

T = TypeVar("T")


class VirtualTimeError(Exception):
    """The loop cannot go on; the message says what it waits for."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. Never beside a live call, not for uvloop."""

    def __init__(self, stuck_s: float = 20.0) -> None:
        self._now = START_S
        self.stuck_s = stuck_s
        self._outside = 0
        self._executing = 0
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        self._background: set[int] = set()
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    # --- what keeps the clock still -----------------------------------------------------

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """See asyncio."""
        future = super().run_in_executor(executor, func, *args)
        self._executing += 1

        def done(_: object) -> None:
            self._executing -= 1

        future.add_done_callback(done)
        return future

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """See asyncio."""
        super().add_reader(fd, callback, *args)
        self._readers.add(_number(fd))

    def remove_reader(self, fd: Any) -> bool:
        """See asyncio."""
        self._readers.discard(_number(fd))
        return super().remove_reader(fd)

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        """See asyncio."""
        super().add_writer(fd, callback, *args)
        self._writers.add(_number(fd))

    def remove_writer(self, fd: Any) -> bool:
        """See asyncio."""
        self._writers.discard(_number(fd))
        return super().remove_writer(fd)

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """See asyncio."""
        with self.outside_work():
            return await super().sock_recv(sock, n)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """See asyncio."""
        with self.outside_work():
            return await super().sock_sendall(sock, data)

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """See asyncio."""
        with self.outside_work():
            return await super().sock_connect(sock, address)

    def background(self, fd: Any) -> None:
        """``fd`` stays registered for good: it does not mean that work is in flight."""
        self._background.add(_number(fd))

    @contextmanager
    def outside_work(self) -> Generator[None]:
        """The clock stands still inside."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    # --- for the selector -----------------------------------------------------------------

    def waits_for(self) -> list[str]:
        """What is in flight, in words."""
        reasons: list[str] = []
        if self._executing:
            reasons.append(f"{self._executing} call(s) in an executor")
        if self._outside:
            reasons.append(f"{self._outside} block(s) of outside_work()")
        descriptors = sorted((self._readers | self._writers) - self._background)
        if descriptors:
            reasons.append(f"file descriptors {descriptors} (add_reader/add_writer)")
        return reasons

    def jump(self, seconds: float) -> None:
        """Moves the clock to the next timer."""
        self._now += seconds


class InlineLoop(VirtualTimeLoop):
    """The same, where work for other threads is done at once on this one: its order is then always the same.

    Nothing else goes on meanwhile, which in virtual time takes none.
    """

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """See asyncio."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    """Polls; where the loop would sleep, the clock jumps instead."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop
        self._polls = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            self._polls = 0
            return events
        reasons = self._loop.waits_for()
        if not reasons and timeout is not None:
            self._loop.jump(timeout)
            self._polls = 0
            return []
        if reasons:
            self._stand_still(self._loop.stuck_s, "; ".join(reasons))
        else:
            self._stand_still(_DEADLOCK_S, "nothing: no timer, no work in flight, no task can go on")
        return super().select(_POLL_S)

    def _stand_still(self, limit_s: float, reason: str) -> None:
        """Counted in polls: a process that was stopped meanwhile has not waited."""
        self._polls += 1
        if self._polls * _POLL_S > limit_s:
            raise VirtualTimeError(f"stood still for {limit_s:g} s of real time, waiting for {reason}")


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


def outside_work() -> Any:
    """The block of that name on the running loop; on one that keeps real time it does nothing."""
    loop = asyncio.get_running_loop()
    return loop.outside_work() if isinstance(loop, VirtualTimeLoop) else _nothing()


@contextmanager
def _nothing() -> Generator[None]:
    yield


def run(coroutine: Coroutine[Any, Any, T], *, stuck_s: float = 20.0, inline: bool = False) -> T:
    """Runs a coroutine to its end in virtual time; like ``asyncio.run``. ``inline``: on an `InlineLoop`."""
    made = InlineLoop if inline else VirtualTimeLoop
    with asyncio.Runner(loop_factory=lambda: made(stuck_s)) as runner:
        return runner.run(coroutine)
