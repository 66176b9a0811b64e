"""Keeps a node's idea of how long callers wait for a person."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from voicebot.core.store import presence as desks
from voicebot.core.store.database import Database
from voicebot.handoff.people import People
from voicebot.handoff.presence import Presence
from voicebot.handoff.waits import waits

EVERY_S = 5.0


async def watch_waits(database: Database, people: People, presence: Presence) -> None:
    """Looks until cancelled.

    Raises:
        DatabaseDown: Postgres does not answer; what was known last stays.
    """
    while True:
        async with database.reading() as tx:
            there = await desks.takes_callers(tx)
            presence.learn(await waits(tx, people, datetime.now(UTC)), there)
        await asyncio.sleep(EVERY_S)
