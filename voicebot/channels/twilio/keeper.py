"""The channel's background work on a node, once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from voicebot.channels.legs import Leg, is_browser
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.fetching import Fetching
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.media import EndKind
from voicebot.channels.twilio.recovery import Recovery
from voicebot.channels.twilio.resumption import GRACE_S
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.store import leases
from voicebot.core.store.database import DatabaseDown, Transaction
from voicebot.core.store.leases import LostCall

log = structlog.get_logger(__name__)

EVERY_S = 1.0
ASK_AFTER_QUIET_S = 15.0
BROWSER_CLAIMS = 3
"""So often a browser's call is claimed (every `leases.CLAIM_S`) before it counts as lost."""


class LeaseKeeper:
    """Renews this node's leases, brings back calls of dead nodes, notices calls that ended elsewhere,
    fetches callers who wait when there is room.
    """

    def __init__(
        self,
        services: TwilioServices,
        live: LiveSessions,
        recovery: Recovery,
        closing: Closing,
        unwritten: Unwritten,
        fetching: Fetching,
    ) -> None:
        self._services = services
        self._live = live
        self._recovery = recovery
        self._closing = closing
        self._fetching = fetching
        self._unwritten = unwritten
        self._asked_s: dict[str, float] = {}
        self._down = False

    async def run(self) -> None:
        """Until cancelled; a database that is away is waited for."""
        fetching = asyncio.create_task(self._fetching.run())
        try:
            while True:
                try:
                    await self.tick()
                except Exception:  # the watches below must live on
                    log.exception("lease_keeper_failed")
                await asyncio.sleep(EVERY_S)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
            await self._recovery.close()

    async def tick(self) -> None:
        """One round."""
        try:
            await self._database_round()
        except DatabaseDown as error:
            if not self._down:
                log.error("lease_keeper_without_database", error=str(error))
            self._down = True
        else:
            self._down = False
        await self._ask_about_quiet()

    async def _database_round(self) -> None:
        sessions = [session for session in self._live if session.end is None]
        if len(self._unwritten):
            await self._closing.write_pending()
        async with self._services.database.transaction() as tx:
            held = await self._services.leases.renew(tx)
            ended = await _ended(tx, sessions)
            lost = await self._services.leases.claim_lost(tx)
        for session in sessions:
            if self._live.of_call(session.call_sid) is not session:
                continue  # it has just ended by itself
            if session.conversation_id in ended:
                await session.leave(EndKind.CALL_OVER)
            elif session.call_sid not in held:
                log.warning("call_taken_by_another_node", conversation=session.conversation_id)
                await session.leave(EndKind.TAKEN_OVER)
        await self._adopt(lost)
        await self._release(held)

    async def _release(self, held: frozenset[str]) -> None:
        """Leases of calls that need none any more (they went to a person, or to another node)."""
        done = [sid for sid in held if not self._live.holds(sid) and not self._recovery.watched(sid)]
        if not done:
            return
        async with self._services.database.transaction() as tx:
            for call_sid in done:
                await self._services.leases.release(tx, call_sid)

    async def _adopt(self, lost: Iterable[LostCall]) -> None:
        """Watches them. Each further claim is that much later, so that the waiting ends although claims
        do not; a call that is watched here already is left to its watch, which knows more. A browser connects
        again by itself, or not: nobody can fetch it.
        """
        for call in lost:
            if is_browser(call.call_sid):
                if call.claims > BROWSER_CLAIMS:
                    await self._closing.end(call.call_sid, "lost", call.conversation_id)
                continue
            if self._recovery.watched(call.call_sid):
                continue
            log.warning("call_of_dead_node", conversation=call.conversation_id, claims=call.claims)
            late_s = GRACE_S + (call.claims - 1) * leases.CLAIM_S
            self._recovery.watch(call.call_sid, conversation_id=call.conversation_id, late_s=late_s)

    async def _ask_about_quiet(self) -> None:
        now = self._services.clock()
        phones = [s for s in self._live if s.end is None and not is_browser(s.call_sid)]
        quiet = {s.call_sid: s for s in phones if s.quiet_s > ASK_AFTER_QUIET_S}
        self._asked_s = {sid: at for sid, at in self._asked_s.items() if sid in quiet}
        for call_sid, session in quiet.items():
            if now - self._asked_s.get(call_sid, -ASK_AFTER_QUIET_S) >= ASK_AFTER_QUIET_S:
                self._asked_s[call_sid] = now
                await self._recovery.check_quiet(session)


async def _ended(tx: Transaction, sessions: list[Leg]) -> frozenset[str]:
    """Which of their conversations have ended (a callback may have reached another node)."""
    if not sessions:
        return frozenset()
    cursor = await tx.execute(
        "SELECT id FROM conversations WHERE id = ANY(%s) AND status = 'ended'",
        ([session.conversation_id for session in sessions],),
    )
    return frozenset(str(row["id"]) for row in await cursor.fetchall())
