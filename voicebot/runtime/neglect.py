"""Says in the log when nobody picks up a critical handoff: the one thing that can wait for no report."""

from __future__ import annotations

import asyncio

import structlog

from voicebot.core.store import handoffs
from voicebot.core.store.database import Database

log = structlog.get_logger(__name__)

SAID_AFTER_S = (60.0, 600.0, 3600.0)
"""Waits after which it is said; each node says it, once each."""
_EVERY_S = 20.0


def said_by(waited_s: float) -> int:
    """How often it should have been said by now."""
    return sum(waited_s >= after_s for after_s in SAID_AFTER_S)


class Neglect:
    """Remembers what it has said. One per node."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._said: dict[str, int] = {}

    async def look(self) -> None:
        """One look at the queue.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            found = await handoffs.neglected(tx, SAID_AFTER_S[0])
        self._said = {row["id"]: self._said.get(row["id"], 0) for row in found}
        for row in found:
            times = said_by(row["waited_s"])
            if times > self._said[row["id"]]:
                self._said[row["id"]] = times
                log.warning(
                    "handoff.not_picked_up",
                    handoff=row["id"],
                    conversation=row["conversation_id"],
                    channel=row["channel"],
                    trigger=row["trigger"],
                    waited_s=round(row["waited_s"]),
                )


async def watch_neglect(database: Database) -> None:
    """Looks until cancelled."""
    neglect = Neglect(database)
    while True:
        await neglect.look()
        await asyncio.sleep(_EVERY_S)
