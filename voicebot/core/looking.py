"""Looking again and again, and at once when somebody says that there is something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def look_when_woken(look: Callable[[], Awaitable[None]], woken: asyncio.Event, every_s: float) -> None:
    """Looks until cancelled; what ``look`` raises ends it.

    Args:
        look: one look; what wakes while it lasts causes another.
        woken: set by whoever has something; cleared here.
        every_s: seconds after which it looks all the same, since a word may be lost.
    """
    while True:
        woken.clear()
        await look()
        try:
            async with asyncio.timeout(every_s):
                await woken.wait()
        except TimeoutError:
            continue
