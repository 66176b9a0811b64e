"""Appends a transaction's audit rows to the chain, as the last thing before it commits.

The head rows of the shards concerned are locked, in the order of their names, read, and held until the
commit: a lock on the last link would not keep out a writer who appends after it. Since they are locked last
and in order, no transaction waits for anything while it holds one. What is hashed is read back from the
database; what a savepoint took back is not there and is not linked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, LiteralString, cast

from voicebot.core.store.chain.form import FORM, TIERS, content_of, genesis_of, link_of
from voicebot.core.store.chain.sealing import SealKey, SealKeys
from voicebot.core.store.database import Due, Transaction
from voicebot.core.store.keys import KeyRing


class Linker:
    """Links what is due; one per process. Give it to `Database.open` as ``at_commit``."""

    def __init__(self, keys: KeyRing) -> None:
        self.seals = SealKeys(keys)

    async def __call__(self, tx: Transaction, due: Sequence[Due]) -> None:
        """Links ``due`` in its order, tier by tier."""
        for tier, rows in groupby(sorted(due, key=lambda one: one.tier), key=lambda one: one.tier):
            await self._link(tx, tier, list(rows))

    async def _link(self, tx: Transaction, tier: int, due: Sequence[Due]) -> None:
        rows = await self._locked(tx, tier, due)
        if any(row["head_seq"] is None for row in rows):
            await self._begin(tx, {row["shard"] for row in rows if row["head_seq"] is None})
            rows = await self._locked(tx, tier, due)
        if not rows:
            return
        first = rows[0]
        key = await self.seals.make(tx) if first["id"] is None else self.seals.of(first)
        await self._write(tx, *_linked(rows, tier, key))

    async def _locked(self, tx: Transaction, tier: int, due: Sequence[Due]) -> list[dict[str, Any]]:
        """The rows as stored, each with the head of its shard (locked) and the key in force."""
        cursor = await tx.execute(
            _LOCK[tier],
            {
                "shards": sorted({one.shard for one in due}),
                "records": [one.record for one in due],
                "in": [one.shard for one in due],
            },
        )
        return await cursor.fetchall()

    async def _begin(self, tx: Transaction, shards: Iterable[str]) -> None:
        """Heads that are missing: the migration makes all, a database that was emptied has none."""
        row = await (await tx.execute("SELECT chain_id FROM audit_chain")).fetchone()
        if row is None:
            raise LookupError("audit_chain is empty: this database was tampered with; restore a backup")
        for shard in sorted(shards):
            await tx.execute(
                "INSERT INTO audit_heads (shard, seq, hash) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING",
                (shard, genesis_of(row["chain_id"], shard)),
            )

    async def _write(
        self, tx: Transaction, links: list[tuple[Any, ...]], heads: list[tuple[Any, ...]]
    ) -> None:
        if len(links) == 1:  # nearly always; scalars cost the client half of what arrays do
            await tx.execute(_WRITE_ONE, dict(zip(_NAMES, links[0], strict=True)) | {"form": FORM})
            return
        shard, seq, tier, record, content, prev, hashes, key, seal = map(list, zip(*links, strict=True))
        await tx.execute(
            _WRITE,
            {
                "shard": shard, "seq": seq, "tier": tier, "record": record, "form": FORM, "content": content,
                "prev": prev, "hash": hashes, "key": key, "seal": seal,
                "h_shard": [head[0] for head in heads], "h_seq": [head[1] for head in heads],
                "h_hash": [head[2] for head in heads], "h_key": [head[3] for head in heads],
                "h_seal": [head[4] for head in heads],
            },
        )  # fmt: skip


def _linked(
    rows: Sequence[dict[str, Any]], tier: int, key: SealKey
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The links of ``rows`` and the heads after them."""
    at: dict[str, tuple[int, bytes]] = {}
    links: list[tuple[Any, ...]] = []
    for row in rows:
        shard, record = row["shard"], row["record"]
        last, prev = at.get(shard) or (row["head_seq"], bytes(row["head_hash"]))
        seq, content = last + 1, content_of(row["columns"])
        digest = link_of(prev, shard=shard, seq=seq, tier=tier, record=record, form=FORM, content=content)
        links.append((shard, seq, tier, record, content, prev, digest, key.id, key.seal("link", digest)))
        at[shard] = seq, digest
    heads = [
        (shard, seq, digest, key.id, key.seal("link", digest)) for shard, (seq, digest) in sorted(at.items())
    ]
    return links, heads


def _lock_statement(tier: int) -> LiteralString:
    chained = TIERS[tier]
    return cast(
        "LiteralString",
        "WITH heads AS MATERIALIZED (SELECT shard, seq, hash FROM audit_heads"  # noqa: S608  # constants
        "  WHERE shard = ANY(%(shards)s) ORDER BY shard FOR UPDATE),"
        " active AS (SELECT id, master_id, wrapped_key FROM audit_keys WHERE retired_at IS NULL"
        "  ORDER BY created_at DESC, id LIMIT 1)"
        f" SELECT due.shard, due.record, h.seq AS head_seq, h.hash AS head_hash,"
        f" {chained.select('a')} AS columns,"
        " k.id, k.master_id, k.wrapped_key"
        " FROM unnest(%(records)s::bigint[], %(in)s::text[]) WITH ORDINALITY AS due (record, shard, place)"
        f" JOIN {chained.table} a ON a.seq = due.record"
        " LEFT JOIN heads h ON h.shard = due.shard LEFT JOIN active k ON true ORDER BY due.place",
    )


_LOCK: dict[int, LiteralString] = {tier: _lock_statement(tier) for tier in TIERS}

_NAMES = ("shard", "seq", "tier", "record", "content", "prev", "hash", "key", "seal")

_WRITE_ONE: LiteralString = (
    "WITH linked AS (INSERT INTO audit_links"
    "  (shard, seq, tier, record, form, content, prev, hash, key_id, seal) VALUES (%(shard)s, %(seq)s,"
    "  %(tier)s, %(record)s, %(form)s, %(content)s, %(prev)s, %(hash)s, %(key)s, %(seal)s))"
    " UPDATE audit_heads SET seq = %(seq)s, hash = %(hash)s, key_id = %(key)s, seal = %(seal)s"
    " WHERE shard = %(shard)s"
)

_WRITE: LiteralString = (
    "WITH linked AS (INSERT INTO audit_links"
    "  (shard, seq, tier, record, form, content, prev, hash, key_id, seal)"
    "  SELECT u.shard, u.seq, u.tier, u.record, %(form)s, u.content, u.prev, u.hash, u.key_id, u.seal"
    "  FROM unnest(%(shard)s::text[], %(seq)s::bigint[], %(tier)s::smallint[], %(record)s::bigint[],"
    "   %(content)s::bytea[], %(prev)s::bytea[], %(hash)s::bytea[], %(key)s::text[], %(seal)s::bytea[])"
    "  AS u (shard, seq, tier, record, content, prev, hash, key_id, seal))"
    " UPDATE audit_heads h SET seq = u.seq, hash = u.hash, key_id = u.key_id, seal = u.seal"
    " FROM unnest(%(h_shard)s::text[], %(h_seq)s::bigint[], %(h_hash)s::bytea[], %(h_key)s::text[],"
    "  %(h_seal)s::bytea[]) AS u (shard, seq, hash, key_id, seal) WHERE h.shard = u.shard"
)
