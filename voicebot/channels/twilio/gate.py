"""The media socket, from the upgrade to the last write: who gets in, what runs, what it leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnected

from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.attachment import attach
from voicebot.channels.twilio.caller import CallerCheck, Proven
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.leg_gate import LegGate
from voicebot.channels.twilio.leg_media import LEG_PARAMETER
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.media import (
    NORMAL_CLOSE,
    CallOutcome,
    EndKind,
    MediaSession,
    close_quietly,
    take_message,
)
from voicebot.channels.twilio.recovery import Recovery
from voicebot.channels.twilio.refusal_log import RefusalLog
from voicebot.channels.twilio.refusals import Refusal, Refused, close_code
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.settlement import Settlement, settle
from voicebot.channels.twilio.stream_order import StreamOrder
from voicebot.channels.twilio.wire import Start

log = structlog.get_logger(__name__)

FAILED_CLOSE = 1011
_TOO_BIG = 1009


class MediaGate:
    """Serves ``GET /twilio/media``; one per node."""

    def __init__(
        self,
        services: TwilioServices,
        check: CallerCheck,
        live: LiveSessions,
        recovery: Recovery,
        closing: Closing,
        refusals: RefusalLog,
    ) -> None:
        self._services = services
        self._check = check
        self._live = live
        self._recovery = recovery
        self._closing = closing
        self._refusals = refusals
        self._legs = LegGate(services)
        self._waiting = 0

    async def serve(self, socket: WebSocket) -> None:
        """One socket. Whatever comes over it, only this socket is closed."""
        try:
            proven = self._admit(socket)
        except Refused as refused:
            await self._deny(socket, refused)
            return
        self._waiting += 1
        try:
            started = await self._start(socket, proven)
        finally:
            self._waiting -= 1
        if started is None:
            return
        if LEG_PARAMETER in started.custom:
            await self._legs.run(started)
        else:
            await self._run(socket, started, proven)

    def _admit(self, socket: WebSocket) -> Proven:
        proven = self._check.upgrade(socket)
        self._services.door.welcomed(_address(socket))
        if self._waiting >= self._services.max_waiting_sockets:
            raise Refused(Refusal.TOO_MANY_SOCKETS, "too many sockets wait for start")
        return proven

    async def _deny(self, socket: WebSocket, refused: Refused) -> None:
        status = 503 if refused.reason is Refusal.TOO_MANY_SOCKETS else 403
        self._services.door.refused(_address(socket))
        response = PlainTextResponse(f"refused: {refused.reason.value}\n", status)
        with suppress(WebSocketDisconnected, RuntimeError, OSError):  # gone already
            await socket.send_denial_response(response)
        await self._refusals.note("upgrade", refused, status=status)

    async def _start(self, socket: WebSocket, proven: Proven) -> MediaSession | None:
        """The session of an accepted ``start``; None if there is to be none."""
        start: Start | None = None
        order = StreamOrder()
        try:
            async with asyncio.timeout(self._services.start_within_s):
                await socket.accept()
                start = await _first_start(socket, order)
            if LEG_PARAMETER in start.parameters:  # not the bot's: its call's place is not asked for
                return await self._legs.begin(socket, start, order)
            with self._live.reserve(start.call_sid, start.stream_sid, proven=_has_token(start)):
                session = await self._begin(socket, start, order, proven)
        except TimeoutError:
            await self._refuse(socket, Refused(Refusal.START_TIMEOUT), start)
        except Refused as refused:
            await self._refuse(socket, refused, start)
        except Exception:
            log.exception("media_socket_failed", call_sid=start.call_sid if start is not None else None)
            await close_quietly(socket, FAILED_CLOSE)
        else:
            self._recovery.forget(session.call_sid)
            return session
        return None

    async def _begin(
        self, socket: WebSocket, start: Start, order: StreamOrder, proven: Proven
    ) -> MediaSession:
        """Binds the stream to its conversation. Its place on the node is counted from the first step on,
        so that streams which start at the same moment are not all let in; ``_run`` gives it back.
        """
        node = self._services.node
        room = not node.full
        node.calls += 1
        node.arrived(start.call_sid)
        try:
            attached = await attach(self._services, start, local=proven.local, room=room)
            session = MediaSession(
                socket,
                start,
                order,
                conversation_id=attached.conversation_id,
                resumed=attached.resumed,
                returned=attached.returned,
                epoch=attached.epoch,
                clock=self._services.clock,
            )
            await self._live.begin(session)
        except BaseException:
            node.calls -= 1
            raise
        return session

    async def _refuse(self, socket: WebSocket, refused: Refused, start: Start | None) -> None:
        code = None if refused.reason is Refusal.GONE_BEFORE_START else close_code(refused.reason)
        if code is not None:
            await close_quietly(socket, code)
        await self._refusals.note(
            "socket",
            refused,
            close_code=code,
            call_sid=start.call_sid if start is not None else None,
            stream_sid=start.stream_sid if start is not None else None,
        )

    async def _run(self, socket: WebSocket, session: MediaSession, proven: Proven) -> None:
        log.info(
            "media_started",
            conversation=session.conversation_id,
            call_sid=session.call_sid,
            stream_sid=session.stream_sid,
            resumed=session.resumed,
            epoch=session.epoch,
            signed_as=proven.signed_as,
        )
        outcome: CallOutcome | None = None
        try:
            outcome = await self._services.run_call(session)
        except Exception:
            log.exception("call_pipeline_failed", conversation=session.conversation_id)
        finally:
            try:
                await asyncio.shield(self._after(session, outcome, proven))
            finally:
                self._services.node.calls -= 1

    async def _after(self, session: MediaSession, outcome: CallOutcome | None, proven: Proven) -> None:
        """Writes what it means, then lets Twilio go on to the next verb."""
        end = session.end
        mine = self._live.finish(session)
        if end is not None and end.refused is not None:
            await self._refusals.note(
                "message",
                end.refused,
                conversation_id=session.conversation_id,
                close_code=end.code,
                call_sid=session.call_sid,
                stream_sid=session.stream_sid,
            )
        media_only = proven.local and not session.announced
        settlement, reason = settle(end, outcome, local=media_only)
        if not mine:
            settlement = Settlement.NOT_OURS
        log.info(
            "media_ended",
            conversation=session.conversation_id,
            end=end.kind.value if end is not None else None,
            close_code=end.code if end is not None else None,
            outcome=outcome.kind if outcome is not None else "failed",
            reason=reason,
            settlement=settlement.value,
            missing_messages=session.missing_messages,
        )
        try:
            await self._write(session, settlement, reason)
        except Exception:  # the socket must close all the same; the watch below looks at the facts again
            log.exception("media_end_not_written", conversation=session.conversation_id)
        failed = settlement is Settlement.OPEN and end is None
        await session.close(FAILED_CLOSE if failed else NORMAL_CLOSE)
        self._watch(session, settlement, proven.at)

    async def _write(self, session: MediaSession, settlement: Settlement, reason: str) -> None:
        match settlement:
            case Settlement.ENDED:
                await self._closing.end(session.call_sid, reason, session.conversation_id)
            case Settlement.HANDOFF:
                await self._closing.hand_over(session.call_sid, reason, session.conversation_id)
            case Settlement.OPEN | Settlement.AWAY | Settlement.NOT_OURS:
                return

    def _watch(self, session: MediaSession, settlement: Settlement, at: Addresses) -> None:
        over = session.end is not None and session.end.kind is EndKind.CALL_OVER
        if settlement is not Settlement.NOT_OURS and not over:
            self._recovery.watch(session.call_sid, at, conversation_id=session.conversation_id)


async def _first_start(socket: WebSocket, order: StreamOrder) -> Start:
    """Reads up to ``start``.

    Raises:
        Refused: anything else came, or the peer left.
    """
    while True:
        received = await socket.receive()
        if received["type"] == "websocket.disconnect":
            if received.get("code") == _TOO_BIG:
                raise Refused(Refusal.TOO_LARGE, "frame")
            raise Refused(Refusal.GONE_BEFORE_START)
        message = take_message(received, order)
        if isinstance(message, Start):
            return message


def _address(socket: WebSocket) -> str | None:
    return socket.client.host if socket.client is not None else None


def _has_token(start: Start) -> bool:
    return bool(start.parameters.get("token"))
