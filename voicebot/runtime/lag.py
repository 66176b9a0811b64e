"""How late the event loop is: what callers hear as gaps begins here."""

from __future__ import annotations

import asyncio

from voicebot.core import metrics

_TICK_S = 0.1
_WINDOW_TICKS = 50


async def watch_loop_lag() -> None:
    """Publishes every five seconds the worst lateness of a 100 ms timer, and how many tasks there are.

    Runs until cancelled.
    """
    loop = asyncio.get_running_loop()
    worst = 0.0
    tick = 0
    while True:
        due = loop.time() + _TICK_S
        await asyncio.sleep(_TICK_S)
        worst = max(worst, loop.time() - due)
        tick += 1
        if tick % _WINDOW_TICKS == 0:
            metrics.loop_lag_s.set(worst)
            metrics.tasks.set(len(asyncio.all_tasks()))
            worst = 0.0
