"""A look follows each word at once, also one that comes during a look, and the time when no word came."""

from __future__ import annotations

import asyncio

import pytest

from voicebot.core.looking import look_when_woken


async def test_a_word_during_a_look_causes_another() -> None:
    woken, looks, seen = asyncio.Event(), 0, asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            woken.set()
        if looks == 3:
            seen.set()
        await asyncio.sleep(0)

    looking = asyncio.create_task(look_when_woken(look, woken, 3600))
    while looks < 2:
        await asyncio.sleep(0)
    woken.set()
    async with asyncio.timeout(30):
        await seen.wait()
    looking.cancel()


async def test_without_a_word_it_looks_all_the_same_and_its_failure_ends_it() -> None:
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise LookupError

    with pytest.raises(LookupError):
        await look_when_woken(look, asyncio.Event(), 0.001)
