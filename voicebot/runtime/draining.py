"""A node that stops waits for the callers who are being put through, or were.

Their call has no socket of the bot's here, and without a server they would wait in a silent room for nobody,
and hear an error of Twilio's when the person leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

LOOK_S = 0.5


async def put_through(
    under_way: Callable[[], Awaitable[frozenset[str]]],
    talking: Callable[[], bool],
    *,
    until_s: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Until none of those who are put through now is any more. Returns how many still are at ``until_s``.

    Args:
        under_way: ids of the transfers that are not over, on whatever node.
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


async def before(hurried: asyncio.Event, patience: Coroutine[Any, Any, None]) -> None:
    """Waits for ``patience`` to end, or for ``hurried``: then it is cancelled."""
    patient, hurry = asyncio.create_task(patience), asyncio.create_task(hurried.wait())
    try:
        await asyncio.wait({patient, hurry}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (patient, hurry):
            task.cancel()
        await asyncio.gather(patient, hurry, return_exceptions=True)
    if not patient.cancelled():
        patient.result()
