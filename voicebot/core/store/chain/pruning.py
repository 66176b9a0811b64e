"""Deletes what is older than its tier may become, oldest first, and signs for it: the rest still verifies."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, cast

import structlog

from voicebot.core.store import audit
from voicebot.core.store.chain.adopting import lock
from voicebot.core.store.chain.form import TIERS, Tier, genesis_of, prune_of
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.chain.sealing import Proofs
from voicebot.core.store.chain.walking import Bad, Link, Walk
from voicebot.core.store.database import Database, Transaction

log = structlog.get_logger(__name__)

BATCH = 2_000


class ChainBroken(Exception):
    """What should be deleted does not verify: it stays, as evidence. ``voicebot audit verify`` shows all."""

    def __init__(self, bad: Bad) -> None:
        self.bad = bad
        super().__init__(f"nothing was deleted: {bad}. Run `voicebot audit verify`")


async def prune(database: Database, linker: Linker, tier: int, before: datetime) -> int:
    """Deletes the rows of a tier from before ``before``, as far as they stand at the beginning of a shard.

    In short transactions; each leaves a signed record of where the shard now begins, and a row of the audit.

    Returns:
        How many rows went.

    Raises:
        ChainBroken: they do not verify.
    """
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT shard FROM audit_heads WHERE shard LIKE %s ORDER BY shard", (f"{tier}-%",)
        )
        shards = [row["shard"] for row in await cursor.fetchall()]
    gone = 0
    for shard in shards:
        while True:
            async with database.transaction() as tx:
                count = await _prune(tx, linker, TIERS[tier], shard, before) if await lock(tx) else 0
            gone += count
            if count < BATCH:
                break
    if gone:
        log.info("audit.pruned", tier=tier, rows=gone)
    return gone


async def _prune(tx: Transaction, linker: Linker, tier: Tier, shard: str, before: datetime) -> int:
    links = await _due(tx, tier, shard, before)
    if not links:
        return 0
    start = await _start(tx, shard)
    proofs = Proofs({key.id: key for key in [linker.seals.of(row) for row in await _keys(tx)]})
    walk = Walk(shard, tier.table, seq=start[0], prev=start[1], proofs=proofs, elsewhere=lambda _: None)
    for link in links:
        bad = walk.step(link)
        if bad is not None:
            raise ChainBroken(bad)
    rows = start[2] + len(links)
    before_s: Any = await (
        await tx.execute("SELECT extract(epoch FROM %s::timestamptz)::text AS s", (before,))
    ).fetchone()
    key = await linker.seals.active(tx)
    digest = prune_of(start[3], shard=shard, up_to=walk.seq, hash=walk.hash, rows=rows, before=before_s["s"])
    await tx.execute(
        "INSERT INTO audit_prunes (shard, up_to, hash, rows, before, key_id, seal)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (shard) DO UPDATE SET up_to = excluded.up_to,"
        " hash = excluded.hash, rows = excluded.rows, before = excluded.before, at = clock_timestamp(),"
        " key_id = excluded.key_id, seal = excluded.seal",
        (shard, walk.seq, walk.hash, rows, before, key.id, key.seal("prune", digest)),
    )
    delete = f"DELETE FROM {tier.table} WHERE seq = ANY(%s)"  # noqa: S608  # a constant
    await tx.execute(cast("LiteralString", delete), ([link.record for link in links],))
    await tx.execute("DELETE FROM audit_links WHERE shard = %s AND seq <= %s", (shard, walk.seq))
    facts = {"shard": shard, "up_to": walk.seq, "rows": len(links)}
    await audit.record(tx, action="audit.pruned", actor="server", facts=facts)
    return len(links)


async def _due(tx: Transaction, tier: Tier, shard: str, before: datetime) -> list[Link]:
    statement = (
        "SELECT l.*, a.at < %s AS due,"  # noqa: S608  # constants
        f" CASE WHEN a.seq IS NOT NULL THEN {tier.select('a')} END AS columns"
        f" FROM audit_links l LEFT JOIN {tier.table} a ON a.seq = l.record"
        " WHERE l.shard = %s ORDER BY l.seq LIMIT %s"
    )
    cursor = await tx.execute(cast("LiteralString", statement), (before, shard, BATCH))
    links: list[Link] = []
    for row in await cursor.fetchall():
        if row["due"] is False:
            break
        columns = None if row["columns"] is None else tuple(row["columns"])
        names = ("content", "prev", "hash", "seal")
        content, prev, digest, seal = (bytes(row[name]) for name in names)
        links.append(
            Link(
                row["seq"], row["tier"], row["record"], row["form"],
                content, prev, digest, row["key_id"], seal, columns,
            )
        )  # fmt: skip
    return links


async def _start(tx: Transaction, shard: str) -> tuple[int, bytes, int, str]:
    """Where the shard begins (seq, hash), how many rows went before, and the chain's id."""
    row: Any = await (
        await tx.execute(
            "SELECT c.chain_id, p.up_to, p.hash, p.rows FROM audit_chain c"
            " LEFT JOIN audit_prunes p ON p.shard = %s",
            (shard,),
        )
    ).fetchone()
    if row["up_to"] is None:
        return 0, genesis_of(row["chain_id"], shard), 0, row["chain_id"]
    return row["up_to"], bytes(row["hash"]), row["rows"], row["chain_id"]


async def _keys(tx: Transaction) -> list[dict[str, Any]]:
    return await (await tx.execute("SELECT id, master_id, wrapped_key FROM audit_keys")).fetchall()
