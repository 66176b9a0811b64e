"""What waits for people's approval, and what became of it, for Prometheus. Nothing personal: counts and ages.

Every node shows the same, since all read one database: take the ``max`` over nodes, never the sum.
"""

from __future__ import annotations

import asyncio

from voicebot.core import metrics
from voicebot.core.store import drafts
from voicebot.core.store.database import Database

EVERY_S = 5.0
"""A draft waits for a minute: an alarm on the oldest has to come well before."""


async def look(database: Database) -> None:
    """Counts and shows.

    Raises:
        DatabaseDown: Postgres does not answer; what was shown last stays.
    """
    async with database.transaction() as tx:
        found = await drafts.figures(tx)
    metrics.drafts_waiting.set(found.waiting)
    metrics.drafts_oldest_s.set(found.oldest_s)
    metrics.drafts_day.clear()
    for (kind, outcome), count in found.day.items():
        metrics.drafts_day.labels(kind, outcome).set(count)


async def watch(database: Database) -> None:
    """Looks until cancelled."""
    while True:
        await look(database)
        await asyncio.sleep(EVERY_S)
