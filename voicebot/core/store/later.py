"""Chains what waits in the audit's outbox: tier 2, at least once, each id once, in batches.

The rows were committed with what they tell of. A relay moves them into ``access_log`` and links them in one
transaction: a crash in between leaves them in the outbox. Any node's relay takes any rows; what another
holds is skipped.
"""

from __future__ import annotations

import asyncio

import structlog

from voicebot.core.store.chain.form import ACCESSES, shard_of
from voicebot.core.store.database import Database, DatabaseDown, Due, due_at_commit

log = structlog.get_logger(__name__)

POLL_S = 1.0
BATCH = 500

_MOVE = (
    "WITH taken AS (DELETE FROM audit_outbox WHERE id IN"
    "  (SELECT id FROM audit_outbox ORDER BY place LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING *),"
    " moved AS (INSERT INTO access_log"
    "  (id, entry, actor, resource, fields, purpose, conversation_id, turn, discarded, at)"
    "  SELECT id, entry, actor, resource, fields, purpose, conversation_id, turn, discarded, at"
    "  FROM taken ORDER BY place ON CONFLICT (id) DO NOTHING RETURNING seq, conversation_id)"
    " SELECT (SELECT count(*) FROM taken) AS taken, seq, conversation_id"
    " FROM (SELECT 1) one LEFT JOIN moved ON true ORDER BY seq"
)


class LaterRelay:
    """Moves tier-2 rows into the chain. The database must have been opened with a `Linker`."""

    def __init__(self, database: Database, *, poll_s: float = POLL_S) -> None:
        self._database = database
        self._poll_s = poll_s

    async def run(self) -> None:
        """Until cancelled. While the database is down it waits: nothing is lost, it stands in the outbox."""
        while True:
            try:
                moved = await self.deliver()
            except DatabaseDown as error:
                log.warning("audit.later_database_down", error=str(error))
                moved = 0
            if moved < BATCH:
                await asyncio.sleep(self._poll_s)

    async def deliver(self) -> int:
        """Chains what waits now, at most `BATCH` rows; returns how many it took out of the outbox."""
        async with self._database.transaction() as tx:
            rows = await (await tx.execute(_MOVE, (BATCH,))).fetchall()
            due_at_commit(tx).extend(
                Due(ACCESSES, row["seq"], shard_of(ACCESSES, row["conversation_id"]))
                for row in rows
                if row["seq"] is not None
            )
        return rows[0]["taken"]

    async def drain(self) -> None:
        """Chains all that waits; at a node's end."""
        while await self.deliver() == BATCH:
            pass
