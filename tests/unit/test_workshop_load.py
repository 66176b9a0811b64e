"""An engine's threads tell how busy they have been: admission takes no caller for whom they have no time."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import serving_engine

from voicebot.audio.engines.client import Deadlines, GrpcTurnJudge
from voicebot.audio.engines.work import Workshop


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def took(clock: Clock, seconds: float) -> None:
    clock.now_s += seconds


@pytest.mark.parametrize(("threads", "jobs", "share"), [(1, 1, 0.2), (2, 1, 0.1), (1, 10, 1.0), (1, 0, 0.0)])
async def test_what_ran_counts_over_some_seconds(threads: int, jobs: int, share: float) -> None:
    clock = Clock()
    workshop = Workshop("engine", threads, 8, clock)
    for _ in range(jobs):
        await workshop.run(took, clock, 1.0)
    assert workshop.load() == pytest.approx(share, rel=0.15)
    clock.now_s += 30
    assert workshop.load() == pytest.approx(0.0, abs=0.01)
    workshop.close()


async def test_who_waits_for_a_thread_is_counted() -> None:
    workshop = Workshop("engine", 1, 8)
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def holds() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(30)

    jobs = [asyncio.create_task(workshop.run(holds)) for _ in range(3)]
    await asyncio.sleep(0)
    assert workshop.waiting() == 2
    release.set()
    await asyncio.gather(*jobs)
    assert workshop.waiting() == 0
    workshop.close()


class Judge:
    """Takes two seconds for a verdict."""

    threads, model = 1, "made up"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def probability(self, audio: bytes) -> float:
        took(self._clock, 2.0)
        return 0.5


async def test_every_host_tells_it() -> None:
    """Not the recogniser alone: a turn judge or a voice may be the first that is full."""
    clock = Clock()
    async with serving_engine(Judge(clock), clock=clock) as target:
        judge = GrpcTurnJudge(target, deadlines=Deadlines(connect_s=20, open_s=20, judge_s=20))
        assert (await judge.describe()).load == 0.0
        await judge.probability("CA1", bytes(320))
        assert (await judge.describe()).load == pytest.approx(0.4, rel=0.15)
        await judge.close()
