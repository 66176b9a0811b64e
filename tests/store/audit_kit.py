"""A chained audit to tamper with: rows, SQL as a superuser would use it, a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from voicebot.core.store import audit
from voicebot.core.store.chain.anchors import Anchors, Heads
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.chain.verifying import Verdict, verify
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

MASTER = bytes(range(32))
CALL = "cv_" + "1" * 32


class Chain:
    """A database with a chained audit."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.keys = KeyRing(MASTER)
        self.linker = Linker(self.keys)
        self.file = folder / "data" / "audit" / "anchors.jsonl"

    async def act(self, count: int = 1, *, call: str | None = CALL, action: str = "order.cancel") -> None:
        """``count`` rows, each in a transaction of its own."""
        for n in range(count):
            async with self.database.transaction() as tx:
                await audit.record(
                    tx,
                    action=action,
                    actor="bot",
                    facts={"zeta": n, "amount": 1.50, "b": [1]},
                    conversation_id=call,
                )

    async def anchor(self, node: str = "node-0") -> str | None:
        """The heads as they are now, into the file."""
        async with self.database.transaction() as tx:
            cursor = await tx.execute("SELECT shard, seq, hash FROM audit_heads WHERE seq > 0")
            rows = await cursor.fetchall()
            heads: Heads = {row["shard"]: (row["seq"], bytes(row["hash"])) for row in rows}
            chain: Any = await (await tx.execute("SELECT chain_id FROM audit_chain")).fetchone()
            key = await self.linker.seals.active(tx)
        return Anchors(self.file).append(heads, chain_id=chain["chain_id"], node=node, key=key)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What somebody with the database's password does."""
        with psycopg.connect(self.database.url) as connection:
            connection.execute("SET session_replication_role = replica")
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def verdict(self, *, anchored: bool = False, quick: bool = False) -> Verdict:
        """What ``voicebot audit verify`` finds."""
        return verify(self.database.url, self.keys, anchors=[self.file] if anchored else [], quick=quick)

    def found(self, *, anchored: bool = False) -> list[tuple[str, int | None, int | None]]:
        """What is wrong, at which place of the chain, in which row."""
        return [(str(bad.what), bad.seq, bad.record) for bad in self.verdict(anchored=anchored).bad]
