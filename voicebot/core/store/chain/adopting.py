"""Takes in the rows that are older than the chain: sealed as they are, once."""

from __future__ import annotations

from typing import Any, LiteralString, cast

import structlog

from voicebot.core.store import audit
from voicebot.core.store.chain.form import TIERS, Tier, old_shard
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database, Due, Transaction

log = structlog.get_logger(__name__)

_LOCK = 0x61756474  # "audt": pg_advisory_xact_lock key of whoever adopts or prunes
_BATCH = 2_000


async def adopt(database: Database, linker: Linker) -> dict[str, int] | None:
    """Chains all rows up to where the chain began, in a shard of their own per tier, and records it.

    From then on a row outside the chain is an insertion. One process does it, others go on.

    Returns:
        Rows by table; None if it was done before, or is being done.
    """
    async with database.transaction() as tx:
        if not await _ours_to_do(tx):
            return None
        chain: Any = await (await tx.execute("SELECT old_audit, old_access FROM audit_chain")).fetchone()
        taken = {
            tier.table: await _take(tx, tier, chain["old_audit" if number == 1 else "old_access"], linker)
            for number, tier in TIERS.items()
        }
        await tx.execute("UPDATE audit_chain SET adopted_at = clock_timestamp()")
        await audit.record(tx, action="audit.adopted", actor="server", facts=dict(taken))
    log.info("audit.adopted", **taken)
    return taken


async def lock(tx: Transaction) -> bool:
    """Whether this transaction may adopt or prune: one at a time does."""
    row: Any = await (await tx.execute("SELECT pg_try_advisory_xact_lock(%s) AS mine", (_LOCK,))).fetchone()
    return row["mine"]


async def _ours_to_do(tx: Transaction) -> bool:
    if not await lock(tx):
        return False
    cursor = await tx.execute(
        "SELECT adopted_at IS NULL AND NOT EXISTS (SELECT 1 FROM audit WHERE what = 'audit.adopted') AS due"
        " FROM audit_chain"
    )
    row = await cursor.fetchone()
    return row is not None and row["due"]


async def _take(tx: Transaction, tier: Tier, up_to: int, linker: Linker) -> int:
    statement = cast(
        "LiteralString",
        f"SELECT seq FROM {tier.table} a WHERE seq > %s AND seq <= %s AND NOT EXISTS"  # noqa: S608  # constants
        " (SELECT 1 FROM audit_links l WHERE l.tier = %s AND l.record = a.seq) ORDER BY seq LIMIT %s",
    )
    taken, last = 0, 0
    while True:
        rows = await (await tx.execute(statement, (last, up_to, tier.number, _BATCH))).fetchall()
        if not rows:
            return taken
        shard = old_shard(tier.number)
        await linker(tx, [Due(tier.number, row["seq"], shard) for row in rows])
        taken, last = taken + len(rows), rows[-1]["seq"]
