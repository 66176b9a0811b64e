"""Brings calls back that lost their media: waits, asks Twilio, pushes TwiML by REST.

The shell around ``resumption.rescue``. One watch per call, armed whenever something happened
after which silence would be wrong: the media ended, TwiML that connects was given, a stream
callback came, a node died.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import structlog

from voicebot.channels.legs import Leg
from voicebot.channels.twilio import journal
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.media import QUIET_S, EndKind
from voicebot.channels.twilio.reception import Reception, Request
from voicebot.channels.twilio.rest import TwilioRefusedError, TwilioRest, TwilioUnreachableError
from voicebot.channels.twilio.resumption import (
    MAX_PUSHES,
    RETRY_S,
    CallState,
    Lost,
    Rescue,
    Standing,
    Step,
    rescue,
)
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.store.database import DatabaseDown

log = structlog.get_logger(__name__)

_STANDINGS: dict[str, Standing] = {"live": "live", "handoff": "handoff", "ended": "ended"}


@dataclass
class _Watch:
    call_sid: str
    since_s: float
    at: Addresses | None
    conversation_id: str | None
    call: CallState = "unknown"
    pushes: int = 0
    failed: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Recovery:
    """One per node. ``close`` ends all watches (the leases then tell another node)."""

    def __init__(
        self,
        services: TwilioServices,
        live: LiveSessions,
        reception: Reception,
        closing: Closing,
        unwritten: Unwritten,
    ) -> None:
        self._services = services
        self._live = live
        self._reception = reception
        self._closing = closing
        self._unwritten = unwritten
        self._watches: dict[str, tuple[_Watch, asyncio.Task[None]]] = {}

    def watch(
        self,
        call_sid: str,
        at: Addresses | None = None,
        *,
        conversation_id: str | None = None,
        delay_s: float = 0.0,
        late_s: float = 0.0,
        failed: bool = False,
    ) -> None:
        """Sees to it that the call does not stay in silence. Again: the waiting begins anew.

        Args:
            call_sid: the call.
            at: our URLs as Twilio knows them; None: from the settings.
            conversation_id: ours; None: the call's.
            delay_s: look no earlier than this.
            late_s: how long ago it happened.
            failed: Twilio says that the stream failed.
        """
        now = self._services.clock()
        known = self._watches.get(call_sid)
        watch = known[0] if known is not None else _Watch(call_sid, now, at, conversation_id)
        watch.since_s = now - late_s
        watch.at = at or watch.at
        watch.call = "unknown"
        watch.failed = failed
        watch.news.set()
        if known is None:
            task = asyncio.create_task(self._run(watch, delay_s))
            self._watches[call_sid] = (watch, task)
            task.add_done_callback(lambda _: self._done(call_sid, watch))

    def forget(self, call_sid: str) -> None:
        """The call has its media, or is over."""
        known = self._watches.pop(call_sid, None)
        if known is not None:
            known[1].cancel()

    def watched(self, call_sid: str) -> bool:
        """A watch is set for the call."""
        return call_sid in self._watches

    async def close(self) -> None:
        """Ends every watch."""
        tasks = [task for _, task in self._watches.values()]
        self._watches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check_quiet(self, session: Leg) -> None:
        """Nothing has come from a socket for long: is the call still there? Only Twilio knows."""
        rest = self._services.rest
        if rest is None or await self._ask(rest, session.call_sid) != "over":
            return
        log.warning("media_of_finished_call", conversation=session.conversation_id)
        await session.leave(EndKind.CALL_OVER)

    def _done(self, call_sid: str, watch: _Watch) -> None:
        known = self._watches.get(call_sid)
        if known is not None and known[0] is watch:
            del self._watches[call_sid]

    async def _run(self, watch: _Watch, delay_s: float) -> None:
        try:
            await asyncio.sleep(delay_s)
            while await self._step(watch):
                pass
        except Exception:
            log.exception("call_recovery_failed", call_sid=watch.call_sid)

    async def _step(self, watch: _Watch) -> bool:
        """One look and one deed; False when nothing is left to do."""
        rest = self._services.rest
        facts = await self._look(watch)
        if facts is None:
            return False
        what, wait_s = rescue(facts)
        match what:
            case Rescue.NOTHING:
                if facts.call == "in_progress" and facts.pushes >= MAX_PUSHES:
                    log.error("call_recovery_gave_up", call_sid=watch.call_sid)
                return False
            case Rescue.WAIT:
                watch.news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):  # wait_for may swallow the cancellation of `close`
                        await watch.news.wait()
            case Rescue.ASK:
                assert rest is not None
                watch.call = await self._ask(rest, watch.call_sid)
                if watch.call == "unknown":
                    await asyncio.sleep(RETRY_S)
            case Rescue.PUSH:
                assert rest is not None
                return await self._push(rest, watch)
            case Rescue.FINISH:
                session = self._live.of_call(watch.call_sid)
                if session is not None:
                    await session.leave(EndKind.CALL_OVER)
                reason = "caller_hung_up" if facts.call == "over" else "lost"
                await self._closing.end(watch.call_sid, reason, watch.conversation_id)
                return False
        return True

    async def _look(self, watch: _Watch) -> Lost | None:
        services = self._services
        session = self._live.of_call(watch.call_sid)
        socket: Literal["none", "flowing", "quiet", "elsewhere"] = "none"
        if session is not None:
            socket = "flowing" if session.quiet_s < QUIET_S else "quiet"
        settled = self._unwritten.of_call(watch.call_sid)
        standing: Standing = settled.standing if settled is not None else "live"
        step: Step = "media"
        try:
            async with services.database.transaction() as tx:
                known = watch.conversation_id or await services.conversations.by_call(tx, watch.call_sid)
                if known is None:
                    return None
                snapshot = await services.conversations.load(tx, known)
                step = await journal.last_step(tx, services.keys, known)
                holder = await services.leases.holder(tx, known)
        except DatabaseDown:
            log.warning("call_recovery_without_database", call_sid=watch.call_sid)
        else:
            standing = settled.standing if settled is not None else _STANDINGS[snapshot.status]
            if session is None and holder not in {None, services.leases.address}:
                socket = "elsewhere"
        return Lost(
            standing=standing,
            step=step,
            waited_s=services.clock() - watch.since_s,
            socket=socket,
            call=watch.call,
            can_ask=services.rest is not None,
            pushes=watch.pushes,
            failed=watch.failed,
        )

    async def _ask(self, rest: TwilioRest, call_sid: str) -> CallState:
        try:
            call = await rest.call(call_sid)
        except TwilioRefusedError as error:
            log.warning("call_status_refused", call_sid=call_sid, status=error.status, code=error.code)
            return "over" if error.call_is_over else "unknown"
        except TwilioUnreachableError:
            log.warning("call_status_unreachable", call_sid=call_sid)
            return "unknown"
        return "over" if call.over else "in_progress"

    async def _push(self, rest: TwilioRest, watch: _Watch) -> bool:
        at = watch.at or self._addresses()
        if at is None:
            log.error(
                "call_cannot_be_brought_back", call_sid=watch.call_sid, remedy="set VOICEBOT_PUBLIC_URL"
            )
            return False
        session = self._live.of_call(watch.call_sid)
        if session is not None:
            await session.leave(EndKind.BROKEN)
        last_try = watch.pushes >= MAX_PUSHES - 1
        given, text = await self._reception.twiml(Request(watch.call_sid, person=last_try, pushed=True), at)
        watch.call = "unknown"
        try:
            await rest.update_call(watch.call_sid, twiml=text)
        except TwilioRefusedError as error:
            watch.pushes += 1
            watch.call = "over" if error.call_is_over else "unknown"
            log.warning("call_push_refused", call_sid=watch.call_sid, status=error.status, code=error.code)
        except TwilioUnreachableError:
            log.warning("call_push_unreachable", call_sid=watch.call_sid)
            await asyncio.sleep(RETRY_S)
        else:
            watch.pushes += 1
            watch.since_s = self._services.clock()
            watch.failed = False
            log.info("call_brought_back", call_sid=watch.call_sid, answer=given.value, pushes=watch.pushes)
        return True

    def _addresses(self) -> Addresses | None:
        url = self._services.settings.public_url
        return Addresses.at(url) if url is not None else None
