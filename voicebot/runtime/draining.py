"""A node that stops waits for the callers who are between the bot and a person.

Their call has no socket here while somebody's phone rings, and without a server they would wait in a silent
room for nobody: Twilio asks for the next hold sound, and nothing answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

LOOK_S = 0.5


async def put_through(
    under_way: Callable[[], Awaitable[frozenset[str]]],
    talking: Callable[[], bool],
    *,
    until_s: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Until nobody of those who wait now waits any more. Returns how many still do at ``until_s``.

    Args:
        under_way: ids of the transfers in which a caller waits, on whatever node.
        talking: whether a call is with the bot on this node: it may come to wait as well.
        until_s: by ``clock``.
        clock: seconds.
        pause: waits so many seconds.
    """
    waiting = await under_way()
    while (waiting or talking()) and clock() < until_s:
        await pause(LOOK_S)
        now = await under_way()
        waiting = now if talking() else waiting & now  # who begins to wait elsewhere has a node there
    return len(waiting)
