"""One media socket after ``start`` was accepted: messages in, sound out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from starlette.types import Message as AsgiMessage
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from voicebot.channels.twilio import wire
from voicebot.channels.twilio.line import line_of
from voicebot.channels.twilio.pace import BREATH, Pace
from voicebot.channels.twilio.refusals import Refusal, Refused, close_code
from voicebot.channels.twilio.stream_order import StreamOrder
from voicebot.channels.twilio.wire import Dtmf, Mark, Media, Start, Stop
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import TransferFailed

SEND_DEADLINE_S = 5.0
"""A peer that takes nothing for this long is gone: we send only 200-400 ms ahead."""

QUIET_S = 2.0
"""Twilio sends sound every 20 ms while a stream runs; bursts after gaps of 233 ms were seen."""

NORMAL_CLOSE = 1000
GOING_AWAY = 1001
_TOO_BIG = 1009
_NO_CODE = 1005


class EndKind(StrEnum):
    """How a media session ended."""

    STOP = "stop"
    """Twilio said ``stop``: the caller hung up, or the call got new TwiML by REST."""
    CLOSED = "closed"
    """We closed it."""
    PEER_CLOSED = "peer_closed"
    """The other side closed the socket without ``stop``."""
    BROKEN = "broken"
    """The connection died without a close frame, or the peer stopped reading."""
    REFUSED = "refused"
    """A message was refused."""
    TAKEN_OVER = "taken_over"
    """A newer stream of the same call took its place."""
    CALL_OVER = "call_over"
    """Twilio told us otherwise (status callback) that the call is over."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What the pipeline says when a call's media is over.

    ``ended``: the bot ended the call. ``handoff``: a person takes it. ``lost``: the media went away
    under it (hang-up, broken socket, taken over): the channel finds out which. ``away``: the call does
    something else for a while and comes back (a card is taken). ``reason`` is a short
    word for logs, metrics and the conversation (``goodbye``, ``silence``, ``asked_for_person``).
    """

    kind: Literal["ended", "handoff", "lost", "away"]
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How, with the close code (None: none was seen) and the refusal if there was one."""

    kind: EndKind
    code: int | None = None
    refused: Refused | None = None


class MediaSession:
    """The media of one call on one socket. Made by the media gate, given to the pipeline.

    ``messages()`` is read by exactly one task; ``media``, ``mark``, ``clear`` and ``close`` may be
    called by any task of the loop, at any time: once the session has ended they do nothing
    (the reader learns of the end, the speaker need not).

        async for message in session.messages():
            match message:
                case Media(): listener.feed(message.ulaw, message.timestamp_ms)
                case Dtmf(): ...
                case Mark(): speaker.mark_returned(message.name)
                case Stop(): ...      # not always a hang-up: the call may go on elsewhere

    Attributes:
        call_sid, stream_sid: Twilio's names for the call and this stream.
        conversation_id: ours.
        resumed: the caller has heard us before on this call; say the recovery line, not the greeting.
        returned: a person was tried, and why nothing came of it; say that instead.
        epoch: number of this media session within the conversation.
        announced: a webhook of ours announced the call (the stream had a token).
        custom: the stream's ``<Parameter>`` values without the token.
    """

    def __init__(
        self,
        socket: WebSocket,
        start: Start,
        order: StreamOrder,
        *,
        conversation_id: str,
        resumed: bool,
        epoch: int,
        returned: TransferFailed | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.call_sid = start.call_sid
        self.stream_sid = start.stream_sid
        self.conversation_id = conversation_id
        self.resumed = resumed
        self.returned = returned
        self.epoch = epoch
        self.custom = {name: value for name, value in start.parameters.items() if name != "token"}
        self.announced = bool(start.parameters.get("token"))
        self._socket = socket
        self._order = order
        self._clock = clock
        self._end: SessionEnd | None = None
        self._last_message_s = clock()
        self._sending = asyncio.Lock()
        self._pace = Pace(clock)
        self._read = 0
        self._line = line_of(socket)
        self._told: Callable[[Media | Mark], None] | None = None
        self._waiting = False
        self._failed: Exception | None = None

    @property
    def end(self) -> SessionEnd | None:
        """How it ended; None while it runs."""
        return self._end

    @property
    def quiet_s(self) -> float:
        """Seconds since Twilio last sent anything."""
        return self._clock() - self._last_message_s

    @property
    def missing_messages(self) -> int:
        """Messages that never came, by sequence number."""
        return self._order.missing

    async def messages(
        self, told: Callable[[Media | Mark], None] | None = None
    ) -> AsyncIterator[Media | Dtmf | Mark | Stop]:
        """What Twilio sends, in order; ends with the socket, and right after ``Stop``.

        A message that Media Streams does not know, or more of them than a call can have, closes the socket
        and ends the iteration. Who reads next, has the sound to itself.

        Args:
            told: gets sound and marks as they come, where the socket can do that, while the reader waits.
                What is told is not yielded; the order of all messages stays. It must not block; what it
                raises, the iteration raises.
        """
        self._told, self._failed = told, None
        if told is not None and self._line is not None:
            self._line.listen(self._take_now)
        while self._end is None:
            try:
                self._waiting = True
                received = await self._socket.receive()
            except (WebSocketDisconnected, RuntimeError):
                # Starlette's way of saying that the end was received before.
                self._ended(SessionEnd(EndKind.BROKEN))
                return
            finally:
                self._waiting = False
            if self._failed is not None:
                raise self._failed
            if received["type"] == "websocket.disconnect":
                self._ended(_how_it_left(received))
                return
            if self._ended_meanwhile():
                return
            self._last_message_s = self._clock()
            self._read += 1
            if self._read % BREATH == 0:
                await asyncio.sleep(0)
            try:
                message = take_message(received, self._order)
                self._pace.take(message)
            except Refused as refused:
                await self._shut(
                    SessionEnd(EndKind.REFUSED, close_code(refused.reason), refused),
                    close_code(refused.reason),
                )
                return
            if isinstance(message, Media | Dtmf | Mark):
                yield message
            elif isinstance(message, Stop):
                self._ended(SessionEnd(EndKind.STOP))
                yield message

    def _take_now(self, text: str) -> bool:
        """Takes a text frame that is sound or a mark and may come now; all else is for ``messages``."""
        told = self._told
        if told is None or not self._waiting or self._end is not None:
            return False
        if self._read % BREATH == BREATH - 1:
            return False  # others get the loop
        try:
            message = wire.frequent(text)
            if message is None:
                return False
            self._order.take(message)
            self._pace.take(message)
        except Refused:
            return False  # and so again there, where the socket can be closed
        self._last_message_s = self._clock()
        self._read += 1
        try:
            told(message)
        except Exception as error:
            self._failed = error  # the reader raises it
            return False
        return True

    async def media(self, ulaw: bytes) -> None:
        """Sends sound: raw mu-law, 8000 Hz, mono, any length."""
        await self._send(wire.media(self.stream_sid, ulaw))

    async def mark(self, name: str) -> None:
        """Sends a mark; it comes back as ``Mark`` once the sound before it was played or cleared."""
        await self._send(wire.mark(self.stream_sid, name))

    async def clear(self) -> None:
        """Drops what Twilio has buffered; pending marks come back."""
        await self._send(wire.clear(self.stream_sid))

    async def close(self, code: int = NORMAL_CLOSE) -> None:
        """Ends the media session; with 1000 Twilio goes on to the next verb. Again: nothing."""
        await self._shut(SessionEnd(EndKind.CLOSED, code), code)

    async def leave(self, kind: EndKind) -> None:
        """Ends it for a reason that did not come by the socket: taken over, call over, dead."""
        await self._shut(SessionEnd(kind), GOING_AWAY)

    async def _send(self, text: str) -> None:
        if self._end is not None:
            return
        if self._line is not None and not self._sending.locked() and self._line.send_now(text):
            return
        try:
            async with asyncio.timeout(SEND_DEADLINE_S), self._sending:
                if self._end is None:
                    await self._socket.send_text(text)
        except TimeoutError:
            await self.leave(EndKind.BROKEN)
        except (WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
            # Only the reader knows whether `stop` or a close frame came first; it will say so.
            return

    async def _shut(self, end: SessionEnd, code: int) -> None:
        closing_needed = self._end is None or self._end.kind is EndKind.STOP
        self._ended(end)
        if closing_needed:
            await close_quietly(self._socket, code)

    def _ended_meanwhile(self) -> bool:
        return self._end is not None

    def _ended(self, end: SessionEnd) -> None:
        if self._end is None:
            self._end = end


def take_message(received: AsgiMessage, order: StreamOrder) -> wire.Message:
    """One frame as a message that may come now.

    Raises:
        Refused: ``binary_frame``, or what ``wire.parse`` and ``StreamOrder`` refuse.
    """
    text = received.get("text")
    if text is None:
        raise Refused(Refusal.BINARY_FRAME, "messages are JSON in text frames")
    message = wire.parse(text)
    order.take(message)
    return message


async def close_quietly(socket: WebSocket, code: int) -> None:
    """Sends a close frame if one can still be sent, within a deadline."""
    try:
        async with asyncio.timeout(SEND_DEADLINE_S):
            await socket.close(code)
    except (TimeoutError, WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
        return  # gone already: nothing is left to close


def _how_it_left(received: AsgiMessage) -> SessionEnd:
    code = int(received.get("code") or _NO_CODE)
    if code == _TOO_BIG:
        return SessionEnd(EndKind.REFUSED, code, Refused(Refusal.TOO_LARGE, "frame"))
    # uvicorn reports a connection that died as 1005 without a reason, a close frame with one.
    if "reason" not in received:
        return SessionEnd(EndKind.BROKEN)
    return SessionEnd(EndKind.PEER_CLOSED, code)
