"""How late the event loop is: what callers hear as gaps begins here."""

from __future__ import annotations

import asyncio

from voicebot.core import metrics

_TICK_S = 0.1
_WINDOW_TICKS = 50


async def watch_loop_lag() -> None:
    """Publishes the worst lateness of a 100 ms timer over the last five seconds; runs until cancelled."""
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
            worst = 0.0
