"""What a node does for the audit: chains what waits, anchors the heads, deletes what is too old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from voicebot.core.settings import Settings
from voicebot.core.store.chain.anchors import Anchors, Heads, anchors_path
from voicebot.core.store.chain.form import ACCESSES, ACTIONS
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.chain.pruning import ChainBroken, prune
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.later import LaterRelay

log = structlog.get_logger(__name__)

ANCHOR_S = 60.0
"""How much of the end could be cut off unseen."""
PRUNE_S = 3_600.0


class AuditKeeping:
    """One per node; several nodes may keep the same database and the same file of anchors."""

    def __init__(
        self,
        database: Database,
        linker: Linker,
        settings: Settings,
        node: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._linker = linker
        self._node = node
        self._now = now
        self._days = {ACTIONS: settings.audit_days, ACCESSES: settings.access_log_days}
        self._anchors = Anchors(anchors_path(settings.data_dir))
        self.later = LaterRelay(database)

    async def anchoring(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(ANCHOR_S)
            await self.anchor()

    async def pruning(self) -> None:
        """Until cancelled."""
        while True:
            await self.prune()
            await asyncio.sleep(PRUNE_S)

    async def anchor(self) -> str | None:
        """Writes the heads into the file; returns the line's digest, None if nothing was new or it failed."""
        async with self._database.transaction() as tx:
            cursor = await tx.execute("SELECT shard, seq, hash FROM audit_heads WHERE seq > 0")
            heads: Heads = {row["shard"]: (row["seq"], bytes(row["hash"])) for row in await cursor.fetchall()}
            chain = await (await tx.execute("SELECT chain_id FROM audit_chain")).fetchone()
            if not heads or chain is None:
                return None
            key = await self._linker.seals.active(tx)
        try:
            digest = await asyncio.to_thread(
                self._anchors.append, heads, chain_id=chain["chain_id"], node=self._node, key=key
            )
        except OSError as error:
            log.error("audit.not_anchored", path=str(self._anchors.path), reason=error.strerror)
            return None
        if digest is not None:
            log.info("audit.anchored", digest=digest)
        return digest

    async def prune(self) -> int:
        """Deletes what is over its time; what does not verify stays and is reported."""
        gone = 0
        for tier, days in self._days.items():
            try:
                gone += await prune(self._database, self._linker, tier, self._now() - timedelta(days=days))
            except ChainBroken as broken:
                log.error(
                    "audit.chain_broken", shard=broken.bad.shard, seq=broken.bad.seq, what=broken.bad.what
                )
        return gone

    async def end(self) -> None:
        """At a node's end: nothing waits, and the last heads are written down."""
        try:
            await self.later.drain()
            await self.anchor()
        except DatabaseDown as error:
            log.warning("audit.not_anchored", reason=str(error))
