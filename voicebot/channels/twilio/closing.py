"""Writes the end of calls, once each, whatever the order in which their signs arrive."""

from __future__ import annotations

import structlog

from voicebot.channels.legs import is_browser
from voicebot.channels.twilio import journal
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.unwritten import Settled, Unwritten
from voicebot.core.store.database import DatabaseDown, Transaction

log = structlog.get_logger(__name__)

PERSON_TOOK_OVER = "person_took_over"


class Closing:
    """One per node. What cannot be written is remembered and written later (``write_pending``)."""

    def __init__(self, services: TwilioServices, unwritten: Unwritten) -> None:
        self._services = services
        self._unwritten = unwritten

    async def end(self, call_sid: str, reason: str, conversation_id: str | None = None) -> None:
        """The call is over. Does nothing if that is known, or if the call never was ours."""
        await self._write(call_sid, Settled("ended", reason, conversation_id))

    async def hand_over(self, call_sid: str, reason: str, conversation_id: str) -> None:
        """A person takes the call."""
        await self._write(call_sid, Settled("handoff", reason, conversation_id, person_for=reason))

    async def write_pending(self) -> None:
        """Tries again what the database could not take."""
        for call_sid, settled in self._unwritten.pending():
            async with self._services.database.transaction() as tx:
                await self._apply(tx, call_sid, settled)
            self._unwritten.written(call_sid, settled)
            self._services.poke()

    async def _write(self, call_sid: str, settled: Settled) -> None:
        try:
            async with self._services.database.transaction() as tx:
                await self._apply(tx, call_sid, settled)
        except DatabaseDown:
            self._unwritten.add(call_sid, settled)
            log.error("call_end_not_written_yet", standing=settled.standing, **_named(call_sid))
            return
        self._services.poke()

    async def _apply(self, tx: Transaction, call_sid: str, settled: Settled) -> None:
        services = self._services
        known = settled.conversation_id or await services.conversations.by_call(tx, call_sid)
        if known is None:
            return
        snapshot = await services.conversations.load(tx, known, lock=True)
        if settled.person_for is not None:
            await services.store_handoff(tx, known, settled.person_for)
        if settled.standing == "handoff":
            if snapshot.status == "live":
                await services.conversations.set_status(tx, known, "handoff")
            await services.leases.release(tx, call_sid)
            return
        reason = settled.reason
        if services.transfers is not None and await services.transfers.left(tx, call_sid):
            reason = PERSON_TOOK_OVER
        if services.talks is not None and await services.talks.call_over(tx, known):
            reason = PERSON_TOOK_OVER
        if await services.conversations.finish(tx, known, reason=reason):
            await journal.note(tx, services.keys, snapshot, journal.ENDED, {"reason": reason})
            log.info("call_ended", conversation=known, reason=reason, **_named(call_sid))
        await services.leases.release(tx, call_sid)


def _named(call_sid: str) -> dict[str, str]:
    """For a log. Who knows the name of a browser's call may go on with it, so it is not said."""
    return {} if is_browser(call_sid) else {"call_sid": call_sid}
