"""A node's work for transfers: what is due is looked at, what is ordered is claimed and carried out.

Any node does it for any transfer, so one that dies leaves nothing behind but a lease that ends.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import groupby

import structlog

from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.transfer.carrying import Carrying
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.core.store import transfers
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.transfers import Claimed
from voicebot.handoff.transfer.signs import Tick

log = structlog.get_logger(__name__)

EVERY_S = 0.5
"""Only for what other nodes have left; our own commits wake us."""


class TransferKeeper:
    """One per node. ``run`` until cancelled."""

    def __init__(self, services: TwilioServices, ours: Transfers, carrying: Carrying) -> None:
        self._services = services
        self._ours = ours
        self._carrying = carrying
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; a database that is away is waited for, and said so once."""
        down = False
        try:
            while True:
                self._ours.woken.clear()
                try:
                    await self.round()
                except DatabaseDown as error:
                    if not down:
                        log.error("transfers_without_database", error=str(error))
                    down = True
                except Exception:  # transfers of other callers must go on
                    log.exception("transfer_round_failed")
                else:
                    down = False
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._ours.woken.wait()
        finally:
            await self.close()

    async def round(self) -> None:
        """Takes what is due now and starts what is ordered."""
        async with self._services.database.transaction() as tx:
            due = await transfers.due(tx)
        for transfer_id in due:
            async with self._services.database.transaction() as tx:
                await self._ours.transferring.take(tx, transfer_id, Tick())
        async with self._services.database.transaction() as tx:
            claimed = await transfers.claim(tx, self._services.leases.node_id)
        for _, some in groupby(claimed, key=lambda one: one.transfer_id):
            task = asyncio.create_task(self._carry(list(some)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Until nothing is being carried out."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Drops what is being carried out: its leases end, and another node looks at it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, claimed: list[Claimed]) -> None:
        for one in claimed:
            try:
                await self._carrying.carry_out(one)
            except DatabaseDown:
                log.error("transfer_effect_not_written", transfer=one.transfer_id, number=one.number)
            except Exception:
                log.exception("transfer_effect_failed", transfer=one.transfer_id, number=one.number)
