"""Windows of a node's calls are judged together and come out as they would alone, in order, within a tick."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.audio.hearing.vad import WINDOW, shared_silero
from voicebot.audio.hearing.windows import MANY_CALLS, MOST, OwnSense, Together, TogetherSense, Window

CHANCE = np.random.default_rng(7)


def line(windows: int, level: float = 2000.0, offset: int = 0) -> list[bytes]:
    """Mu-law windows of a noisy line."""
    pcm = (CHANCE.normal(0, level, windows * WINDOW) + offset).clip(-32000, 32000).astype(np.int16)
    ulaw = mulaw.encode(pcm)
    return [ulaw[at : at + WINDOW] for at in range(0, len(ulaw), WINDOW)]


def alone(ulaws: list[bytes]) -> list[Window]:
    """What a call on its own is told."""
    told: list[Window] = []
    sense = OwnSense(shared_silero().voice())
    for n, ulaw in enumerate(ulaws):
        sense.take(ulaw, n * 32, told.append)
    return told


async def together(lines: list[list[bytes]], node: Together) -> list[list[Window]]:
    """The same of calls of one node, whose windows come at the same time."""
    told: list[list[Window]] = [[] for _ in lines]
    senses = [node.sense() for _ in lines]
    for n in range(max(len(ulaws) for ulaws in lines)):
        for sense, ulaws, heard in zip(senses, lines, told, strict=True):
            if n < len(ulaws):
                sense.take(ulaws[n], n * 32, heard.append)
        if n % 3:  # every third window waits for the next one
            await asyncio.sleep(0.002)
    async with asyncio.timeout(30):
        while sum(map(len, told)) < sum(map(len, lines)):
            await asyncio.sleep(0.001)
    return told


def same(one: Window, other: Window) -> None:
    assert (one.pcm == other.pcm).all()
    assert one.at_ms == other.at_ms
    assert one.level_dbfs == pytest.approx(other.level_dbfs, abs=1e-4)
    assert one.probability == pytest.approx(other.probability, abs=1e-4)


async def test_calls_that_are_judged_together_hear_what_each_would_alone() -> None:
    """Silence, noise, a line with a constant voltage, one that ends early: none is mistaken for another's."""
    silent = [bytes([mulaw.SILENCE]) * WINDOW] * 70  # long enough to begin anew in quiet
    lines = [line(70), silent, line(70, 300.0, offset=900), line(9), line(70, 12000.0)]
    told = await together(lines, Together(shared_silero(), tick_s=0.001))
    for ulaws, heard in zip(lines, told, strict=True):
        expected = alone(ulaws)
        assert len(heard) == len(expected)
        for one, other in zip(heard, expected, strict=True):
            same(one, other)


async def test_a_burst_of_one_call_comes_out_in_its_order() -> None:
    """A stalled socket gives many windows at once; nothing of another call is held up by them."""
    node = Together(shared_silero(), tick_s=0.001)
    burst, other, _third = (node.sense() for _ in range(3))
    ulaws = line(2 * MOST + 3)
    told: list[int] = []
    first: list[int] = []
    for n, ulaw in enumerate(ulaws):
        burst.take(ulaw, n, lambda window: told.append(window.at_ms))
    other.take(ulaws[0], 1, lambda window: first.append(len(told)))
    async with asyncio.timeout(30):
        while len(told) < len(ulaws):
            await asyncio.sleep(0.001)
    assert told == list(range(len(ulaws)))
    assert first == [1]


async def test_with_one_or_two_calls_none_waits() -> None:
    """There is nobody to wait for."""
    node = Together(shared_silero(), tick_s=3600.0)
    senses = [node.sense(), node.sense()]
    told: list[Window] = []
    for sense in senses:
        sense.take(line(1)[0], 0, told.append)
    assert len(told) == 2
    third = node.sense()
    third.take(line(1)[0], 0, told.append)
    assert len(told) == 2  # now it is worth it
    del third, senses


async def test_windows_of_many_calls_wait_longer() -> None:
    """So that more of them are judged at once."""
    loop, waits = asyncio.get_running_loop(), list[float]()
    node = Together(shared_silero(), tick_s=3600.0)
    senses = [node.sense() for _ in range(MANY_CALLS - 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "call_later", lambda delay, *_: waits.append(delay))
        senses[0].take(line(1)[0], 0, lambda window: None)
        senses.append(node.sense())
        senses[0].take(line(1)[0], 32, lambda window: None)
    assert waits == [3600.0, 7200.0]


async def test_a_call_that_is_over_leaves_its_place_clean() -> None:
    """The next call in its place begins with a fresh state, and counts as one call."""
    node = Together(shared_silero(), tick_s=3600.0)
    loud = node.sense()
    for ulaw in line(5, 9000.0):
        loud.take(ulaw, 0, lambda window: None)
    place = loud.slot
    del loud
    gc.collect()
    ulaws = line(4)
    told: list[Window] = []
    fresh: TogetherSense = node.sense()
    assert fresh.slot == place
    for n, ulaw in enumerate(ulaws):
        fresh.take(ulaw, n * 32, told.append)
    for one, other in zip(told, alone(ulaws), strict=True):
        same(one, other)


def test_half_a_window_is_refused() -> None:
    """It would shift every other call's samples."""
    with pytest.raises(ValueError, match="256"):
        Together(shared_silero()).sense().take(b"\xff" * 160, 0, lambda window: None)


async def test_there_is_room_for_many_calls() -> None:
    """More than there were places at first; each has its own."""
    node = Together(shared_silero(), tick_s=0.001)
    senses = [node.sense() for _ in range(40)]
    assert len({sense.slot for sense in senses}) == 40
    told: list[int] = []
    for n, sense in enumerate(senses):
        sense.take(line(1)[0], n, lambda window: told.append(window.at_ms))
    async with asyncio.timeout(30):
        while len(told) < 40:
            await asyncio.sleep(0.001)
    assert sorted(told) == list(range(40))
