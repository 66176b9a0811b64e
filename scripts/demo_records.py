"""What the shop's tables, the acts and the audit's chain of a running server say: the demo's witness.

Read from the database, not from the API: what was done once stands there once, whatever was said of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from voicebot.core.settings import Settings
from voicebot.core.store.chain.anchors import anchors_path
from voicebot.core.store.chain.verifying import Verdict, verify
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing


@dataclass(frozen=True)
class OrderLine:
    """One line of an order, and whether it is on its way back."""

    item: str
    value_cents: int
    on_its_way_back: bool


@dataclass(frozen=True)
class Records:
    """The records at one moment.

    Attributes:
        lines: of the order, in their order.
        returns: how many rows the shop has of items on their way back, of all orders.
        acts: tool and status of each change that was ever begun, oldest first.
        audited: how many changes the audit says were done.
        chain: what verifying the audit's chain found.
    """

    lines: tuple[OrderLine, ...]
    returns: int
    acts: tuple[tuple[str, str], ...]
    audited: int
    chain: Verdict

    def sentences(self) -> list[str]:
        """For people, one line each."""
        came = [f"{one.item}{', on its way back' if one.on_its_way_back else ''}" for one in self.lines]
        acts = ", ".join(f"{tool} {status}" for tool, status in self.acts) or "none"
        genuine = "genuine" if self.chain.ok else f"CHANGED: {self.chain.bad[0]}"
        return [
            f"order: {'; '.join(came)}",
            f"rows of returned items: {self.returns}; changes: {acts}",
            f"audit: {self.audited} changes done, {sum(self.chain.links.values())} rows, chain {genuine}",
        ]


async def read_records(settings: Settings, order: str) -> Records:
    """The records of a server that runs with an embedded database of its own."""
    postgres = await asyncio.to_thread(EmbeddedPostgres.attach, settings.data_dir)
    try:
        database = await Database.open(postgres.url, max_size=1)
        try:
            async with database.transaction() as tx:

                async def rows(query: str, *values: Any) -> list[Any]:
                    return await (await tx.execute(query.encode(), values)).fetchall()

                lines = await rows(
                    "SELECT i.item, i.quantity * i.price_cents AS cents, r.line IS NOT NULL AS back"
                    " FROM shop.order_items i LEFT JOIN shop.return_items r USING (order_number, line)"
                    " WHERE i.order_number = %s ORDER BY i.line",
                    order,
                )
                returns = await rows("SELECT count(*) AS n FROM shop.return_items")
                acts = await rows("SELECT act, status FROM acts ORDER BY created_at, key")
                audited = await rows("SELECT count(*) AS n FROM audit WHERE what = 'act.done'")
        finally:
            await database.close()
        keys = KeyRing.from_settings(settings)
        anchors = anchors_path(settings.data_dir)
        chain = await asyncio.to_thread(
            verify, postgres.url, keys, anchors=[anchors] if anchors.exists() else []
        )
    finally:
        postgres.stop()
    return Records(
        lines=tuple(OrderLine(row["item"], row["cents"], row["back"]) for row in lines),
        returns=returns[0]["n"],
        acts=tuple((row["act"], row["status"]) for row in acts),
        audited=audited[0]["n"],
        chain=chain,
    )
