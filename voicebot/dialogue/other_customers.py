"""Fills the output guard's index of customers from the system of record, and keeps it fresh.

A deployment that wants other customers' identifiers blocked by value has the query
``customer_identifiers`` (see
``business/shop/queries.sql``): rows ``customer``, ``kind``, ``value``, in pages by customer. Without it
nobody's
are known, and the log says so once.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.dialogue.connectors.connector import Connector, ConnectorError
from voicebot.safety.guard_out.customers import CustomerIndex, Identifier, Owned

log = structlog.get_logger(__name__)

QUERY = "customer_identifiers"
REFRESH_S = 600.0
RETRY_S = 15.0
PAGE = 500
"""Customers in one page."""
_AT_ONCE = 400
"""Rows digested before others have their turn: under 2 ms."""
_KINDS = {kind.value: kind for kind in Identifier}


class OtherCustomers:
    """The index and who keeps it. One per node."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.index = CustomerIndex()

    async def keep(self) -> None:
        """Reads all customers now and every `REFRESH_S`; runs until cancelled."""
        while True:
            try:
                await self.refresh()
            except ConnectorError as error:
                log.warning("guard.customers_not_read", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> int:
        """Reads all customers once; the old index stands until the new one is whole.

        Returns:
            How many values are known now.

        Raises:
            ConnectorError: the records cannot be read.
        """
        if QUERY not in self._connector.queries:
            log.warning("guard.no_customer_query", query=QUERY)
            return 0
        found: list[tuple[int, int]] = []
        after = ""
        while rows := await self._connector.rows(QUERY, after=after, page=PAGE):
            for at in range(0, len(rows), _AT_ONCE):
                found += self.index.digested(_owned(rows[at : at + _AT_ONCE]))
                await asyncio.sleep(0)
            after = max(str(row["customer"]) for row in rows)
        self.index.replace(found)
        metrics.guard_customers.set(len(self.index))
        log.info("guard.customers_read", identifiers=len(self.index), bytes=self.index.bytes)
        return len(self.index)


def _owned(rows: list[dict[str, Any]]) -> list[Owned]:
    return [
        Owned(str(row["customer"]), _KINDS[row["kind"]], str(row["value"]))
        for row in rows
        if row["value"] and row["kind"] in _KINDS
    ]
