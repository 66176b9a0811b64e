"""A node that stops waits for the callers who wait for a person, and for nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from voicebot.runtime.draining import before, put_through

A, B = "tr_a", "tr_b"


class Looks:
    """What each look finds, the last for ever; a clock that the pauses move."""

    def __init__(self, waiting: Sequence[set[str]], talking: Sequence[bool] = (False,)) -> None:
        self.now_s = 100.0
        self.waiting = [*waiting]
        self._talking = [*talking]

    async def under_way(self) -> frozenset[str]:
        return frozenset(self.waiting.pop(0) if len(self.waiting) > 1 else self.waiting[0])

    def talking(self) -> bool:
        return self._talking.pop(0) if len(self._talking) > 1 else self._talking[0]

    async def pause(self, seconds: float) -> None:
        self.now_s += seconds

    async def drain(self, seconds: float = 60.0) -> tuple[int, float]:
        """How many were left, and after how many seconds."""
        began_s = self.now_s
        left = await put_through(
            self.under_way,
            self.talking,
            until_s=began_s + seconds,
            clock=lambda: self.now_s,
            pause=self.pause,
        )
        return left, self.now_s - began_s


async def test_nobody_waits() -> None:
    assert await Looks([set()]).drain() == (0, 0.0)


async def test_who_waits_is_waited_for() -> None:
    assert await Looks([{A, B}, {A, B}, {B}, set()]).drain() == (0, 1.5)


async def test_who_begins_to_wait_elsewhere_is_not() -> None:
    """Else a node of a busy service would never end."""
    assert await Looks([{A}, {A, B}, {B}]).drain() == (0, 1.0)


async def test_a_caller_who_is_back_may_be_put_through_again() -> None:
    looks = Looks([{A}, set(), {B}, {B}, set()], [True, True, True, True, True, False])
    left, _ = await looks.drain()
    assert left == 0
    assert looks.waiting == [set()], "it looked until nobody waited"


async def test_not_for_ever() -> None:
    assert await Looks([{A}]).drain(5.0) == (1, 5.0)
    assert (await Looks([set()], [True]).drain(5.0)) == (0, 5.0)


async def test_who_hurries_ends_the_waiting_and_not_what_comes_after() -> None:
    hurried, ended = asyncio.Event(), asyncio.Event()

    async def patience() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    waiting = asyncio.create_task(before(hurried, patience()))
    await asyncio.sleep(0)
    assert not waiting.done()
    hurried.set()
    await waiting
    assert ended.is_set()


async def test_waiting_that_is_over_or_fails_needs_no_hurry() -> None:
    async def done() -> None:
        return

    async def fails() -> None:
        raise OSError("the database")

    await before(asyncio.Event(), done())
    with pytest.raises(OSError, match="the database"):
        await before(asyncio.Event(), fails())
