"""What the records hold of a verified customer, for the door to mask: read once, kept in memory for a while.

A help of the mask, not its base: where the records do not answer in time, or the deployment has no such
query, everything that is found by shape and by words is masked all the same, and the log says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from voicebot.dialogue.connectors.connector import Connector, ConnectorError
from voicebot.safety.pii import cues
from voicebot.safety.pii.own_values import OwnValue

log = structlog.get_logger(__name__)

QUERY = "own_identifiers"
KEPT_S = 600.0
AGAIN_S = 30.0
"""After the records did not answer."""
PATIENCE_S = 0.3
"""A plan waits so long for them, once."""
MOST = 500
"""Customers that are kept; the one asked for longest ago goes first."""


class OwnRecords:
    """One per node.

    Args:
        connector: the records.
        clock: monotonic seconds.
    """

    def __init__(self, connector: Connector, clock: Callable[[], float] = time.monotonic) -> None:
        self._connector = connector
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, tuple[OwnValue, ...]]] = OrderedDict()

    async def of(self, customer_id: str) -> tuple[OwnValue, ...]:
        """The customer's values; () where they cannot be had."""
        kept = self._kept.get(customer_id)
        if kept is not None and self._clock() < kept[0]:
            self._kept.move_to_end(customer_id)
            return kept[1]
        values, lasts_s = await self._read(customer_id)
        self._kept[customer_id] = (self._clock() + lasts_s, values)
        self._kept.move_to_end(customer_id)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return values

    async def _read(self, customer_id: str) -> tuple[tuple[OwnValue, ...], float]:
        if QUERY not in self._connector.queries:
            return (), KEPT_S
        try:
            async with asyncio.timeout(PATIENCE_S):
                rows = await self._connector.rows(QUERY, customer_id=customer_id)
        except (ConnectorError, TimeoutError) as error:
            log.warning("door.records_not_read", error=type(error).__name__)
            return (), AGAIN_S
        found = (OwnValue(str(row["kind"]), str(row["value"])) for row in rows if row["value"])
        return tuple(one for one in found if one.kind in cues.KINDS), KEPT_S
