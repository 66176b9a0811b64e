"""Calls from a browser, from the offer to the last write: who gets in, what runs, what it leaves.

The call's name (``WB...``) is handed out by ``start`` and kept by the page. Whoever offers under the name of
a call that has not ended goes on with it, on whatever node: a page whose connection broke does so by itself.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from voicebot.channels.browser import rtvi
from voicebot.channels.browser.access import BrowserAccess, BrowserRefused, Caller
from voicebot.channels.browser.ice import IceServer
from voicebot.channels.browser.peer import OfferRefused, Peer
from voicebot.channels.browser.session import BrowserSession
from voicebot.channels.browser.settling import settle
from voicebot.channels.legs import CallOutcome, EndKind
from voicebot.channels.twilio.attachment import attach
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.refusals import Refused
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.settlement import Settlement
from voicebot.channels.twilio.wire import Start
from voicebot.core.conversation import Channel
from voicebot.core.store.database import DatabaseDown

log = structlog.get_logger(__name__)

READY_S = 3.0
"""A page says that it is ready as soon as its data channel is open; other clients have none."""
LAST_WORDS_S = 2.0
"""After the end, so that what was sent last is still heard, and the page learns that it is over."""
MOST_SESSIONS = 6
"""Connections of one call; one that loses more is over."""
_CALL = re.compile(r"WB[0-9a-f]{32}")


class Unavailable(BrowserRefused):
    """The server takes no call now."""

    status = 503
    code = "unavailable"
    headers = {"Retry-After": "5"}  # noqa: RUF012  # never changed


class CallUnknown(BrowserRefused):
    """No call of that name is here."""

    status = 404
    code = "unknown_call"


class CallEnded(BrowserRefused):
    """The call has ended; it does not come back."""

    status = 410
    code = "call_ended"


class OfferBad(BrowserRefused):
    """The offer cannot be answered."""

    status = 422
    code = "offer_refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """``name``: of the connection, for candidates and renegotiation."""

    sdp: str
    name: str


@dataclass
class _Held:
    """A connection of this node. ``call``: the call's name."""

    call: str
    peer: Peer
    caller: Caller
    session: BrowserSession | None = None


class BrowserGate:
    """One per node.

    Args:
        services: the phone channel's: store, node, leases.
        live, closing: the calls of this node, and how their ends are written.
        access: who may call.
        servers: STUN and TURN.
        run_call: the pipeline, as for a phone call.
    """

    def __init__(
        self,
        services: TwilioServices,
        live: LiveSessions,
        closing: Closing,
        access: BrowserAccess,
        servers: tuple[IceServer, ...],
        run_call: Callable[[BrowserSession], Awaitable[CallOutcome]],
    ) -> None:
        self._services = services
        self._live = live
        self._closing = closing
        self._access = access
        self._servers = servers
        self._run_call = run_call
        self._held: dict[str, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def offer(self, call: str, caller: Caller, sdp: str, kind: str, name: str | None) -> Answer:
        """Answers an offer; a call begins once the connection stands.

        Args:
            call: its name.
            caller: as `BrowserAccess.admit` gave it.
            sdp: the offer.
            kind: its type.
            name: of a connection that is negotiated anew; None, or one that is not here: a new connection.

        Raises:
            BrowserRefused: no call, or no answer.
        """
        if not _CALL.fullmatch(call):
            raise CallUnknown("begin with POST /webrtc/start")
        held = self._held.get(name or "")
        if held is not None and held.call == call:
            return Answer(await self._answer(held.peer, sdp, kind), name or "")
        known = await self._may_go_on(call)
        if not known:
            self._must_take_calls()
            self._access.begin(caller)
        stack = AsyncExitStack()
        stack.enter_context(self._access.place(caller))
        try:
            peer = Peer(servers=self._servers)
            stack.push_async_callback(peer.close)
            answer = await self._answer(peer, sdp, kind)
        except BaseException:
            await stack.aclose()
            raise
        name = f"wb_{secrets.token_hex(12)}"
        held = self._held[name] = _Held(call, peer, caller)
        self._services.node.calls += 1
        self._services.node.tell()
        task = asyncio.create_task(self._serve(name, held, stack))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Answer(answer, name)

    async def candidate(
        self, call: str, name: str, candidate: str, mid: str | None, line: int | None
    ) -> None:
        """One more address of the browser's.

        Raises:
            BrowserRefused: the connection is not here, or this is no candidate.
        """
        held = self._held.get(name)
        if held is None or held.call != call:
            raise CallUnknown("this connection is not here: offer anew")
        try:
            await held.peer.add_candidate(candidate, mid, line)
        except OfferRefused as error:
            raise OfferBad(str(error)) from None

    async def move(self) -> None:
        """The node stops: its browsers connect again elsewhere, and go on where they were."""
        for held in list(self._held.values()):
            if held.session is not None:
                held.session.show(rtvi.error("This server is being restarted: connecting again."))
                await held.session.leave(EndKind.BROKEN)
            else:
                await held.peer.close()

    async def close(self) -> None:
        """Ends every connection and waits for what it leaves to be written."""
        await self.move()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)

    async def _answer(self, peer: Peer, sdp: str, kind: str) -> str:
        try:
            return await peer.answer(sdp, kind)
        except OfferRefused as error:
            raise OfferBad(str(error)) from None

    async def _may_go_on(self, call: str) -> bool:
        """Whether the call is known, and not over."""
        services = self._services
        try:
            async with services.database.transaction() as tx:
                known = await services.conversations.by_call(tx, call)
                if known is None:
                    return False
                snapshot = await services.conversations.load(tx, known)
                waits = services.talks is not None and await services.talks.waits(tx, known)
        except DatabaseDown:
            raise Unavailable("our records cannot be reached: try again in a few seconds") from None
        if snapshot.status != "live" and not waits:
            raise CallEnded("this call has ended: begin a new one")
        if snapshot.epoch >= MOST_SESSIONS:
            await self._closing.end(call, "lost", known)
            raise CallEnded("this call was lost too often: begin a new one")
        return True

    def _must_take_calls(self) -> None:
        node = self._services.node
        if node.off:
            raise Unavailable("the assistant is switched off: please try again later")
        if not node.accepting:
            raise Unavailable("this server is being restarted: try again in a few seconds")
        if node.full:
            raise Unavailable("all lines are busy: try again in a minute")

    async def _serve(self, name: str, held: _Held, stack: AsyncExitStack) -> None:
        try:
            if await _connects(held.peer):
                await self._converse(name, held)
        except Exception:
            log.exception("browser_call_failed")
        finally:
            self._held.pop(name, None)
            self._services.node.calls -= 1
            await stack.aclose()

    async def _converse(self, name: str, held: _Held) -> None:
        services, peer = self._services, held.peer
        ready = asyncio.Event()
        listening = asyncio.create_task(_follow(held, ready))
        try:
            async with asyncio.timeout(READY_S):
                await ready.wait()
        except TimeoutError:
            log.info("browser_page_not_ready")
        start = Start(name, held.call, None, None)
        try:
            with self._live.reserve(held.call, name, proven=True):
                attached = await attach(services, start, local=True, room=True, channel=Channel.BROWSER)
                session = held.session = BrowserSession(
                    peer,
                    call=held.call,
                    name=name,
                    conversation_id=attached.conversation_id,
                    resumed=attached.resumed,
                    returned=attached.returned,
                    epoch=attached.epoch,
                    clock=services.clock,
                )
                await self._live.begin(session)
        except Refused as refused:
            log.info("browser_call_refused", reason=refused.reason.value)
            peer.send_message(rtvi.error("The assistant takes no calls just now. Please try again later."))
            peer.send_message(rtvi.left())
            await asyncio.sleep(LAST_WORDS_S)
            return
        log.info(
            "browser_call_started",
            conversation=session.conversation_id,
            resumed=session.resumed,
            epoch=session.epoch,
        )
        outcome: CallOutcome | None = None
        try:
            outcome = await self._run_call(session)
        except Exception:
            log.exception("call_pipeline_failed", conversation=session.conversation_id)
        finally:
            listening.cancel()
            await asyncio.shield(self._after(session, outcome))

    async def _after(self, session: BrowserSession, outcome: CallOutcome | None) -> None:
        """Writes what it means, and tells the page."""
        mine = self._live.finish(session)
        settlement, reason = settle(session.end, outcome)
        if not mine:
            settlement = Settlement.NOT_OURS
        stats = session.peer.stats()
        log.info(
            "browser_call_ended",
            conversation=session.conversation_id,
            end=session.end.kind.value if session.end is not None else None,
            connection=session.peer.end,
            outcome=outcome.kind if outcome is not None else "failed",
            reason=reason,
            settlement=settlement.value,
            rtt_ms=stats.rtt_ms,
            loss_in=stats.loss_in,
            loss_out=stats.loss_out,
            made_up_ms=stats.made_up_ms,
        )
        try:
            await self._write(session, settlement, reason)
        except DatabaseDown:  # the lease runs out by itself, and says the same
            log.error("browser_call_end_not_written", conversation=session.conversation_id)
        if session.end is None and settlement is not Settlement.OPEN:
            session.show(rtvi.left())
            await asyncio.sleep(LAST_WORDS_S)
        await session.close()

    async def _write(self, session: BrowserSession, settlement: Settlement, reason: str) -> None:
        services = self._services
        match settlement:
            case Settlement.ENDED:
                await self._closing.end(session.call_sid, reason, session.conversation_id)
            case Settlement.HANDOFF:
                await self._closing.hand_over(session.call_sid, reason, session.conversation_id)
            case Settlement.OPEN:
                async with services.database.transaction() as tx:
                    await services.leases.release(tx, session.call_sid, lost=True)
            case Settlement.AWAY | Settlement.NOT_OURS:
                return


async def _connects(peer: Peer) -> bool:
    """Whether the connection comes to stand; a peer that gives up closes itself."""
    waits = [asyncio.ensure_future(peer.connected.wait()), asyncio.ensure_future(peer.closed.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return peer.connected.is_set() and not peer.closed.is_set()


async def _follow(held: _Held, ready: asyncio.Event) -> None:
    """What the page says of itself, for the life of the connection."""
    async for given in held.peer.messages():
        session = held.session
        match rtvi.kind_of(given):
            case "client-ready":
                held.peer.send_message(rtvi.ready(rtvi.id_of(given)))
                ready.set()
            case "dtmf" if session is not None:
                session.press(rtvi.keys_of(given))
            case "disconnect-bot" if session is not None:
                session.hang_up()
            case "send-text" | "send-file" | "client-message":
                held.peer.send_message(rtvi.refused(given, "This is a call: please say it."))
            case _:
                pass
