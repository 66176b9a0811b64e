"""The figures for Prometheus: of today and of 30 days, with cases and alarms. No caller is in a label.

Every node shows the same, since all read one database: take the ``max`` over nodes, never the sum.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from voicebot.console.figures import Figure, figures
from voicebot.console.kpis import Measures
from voicebot.core import metrics
from voicebot.core.store import kpis

WINDOWS = {"1d": 1, "30d": 30}
"""Whole days up to today, by the label that stands for them."""
EVERY_S = 60.0


def show(window: str, found: Mapping[str, Figure]) -> None:
    """Sets the gauges of one window. A figure without a case is NaN: 0 would be one."""
    for name, figure in found.items():
        metrics.kpi.labels(name, window).set(math.nan if figure.value is None else figure.value)
        metrics.kpi_cases.labels(name, window).set(figure.of)
        for side in ("low", "high"):
            metrics.kpi_alarm.labels(name, window, side).set(figure.alarm == side)


async def look(measures: Measures) -> None:
    """Works the figures out and shows them.

    Raises:
        DatabaseDown: Postgres does not answer; what was shown last stays.
    """
    for window, days in WINDOWS.items():
        first, last = measures.span(None, None, days)
        zone = measures.people.time_zone
        async with measures.database.transaction() as tx:
            whole, _, _ = await kpis.counted(tx, first=first, last=last, zone=zone, by=())
        show(window, await asyncio.to_thread(figures, whole, measures.targets))


async def watch(measures: Measures) -> None:
    """Looks until cancelled."""
    while True:
        await look(measures)
        await asyncio.sleep(EVERY_S)
