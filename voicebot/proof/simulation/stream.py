"""One media stream: Twilio's end of the WebSocket, with the caller's audio and the playout buffer.

The shell around ``wire`` (messages), ``playout`` (buffer and marks) and ``uplink`` (the caller's audio).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .ear import FRAME_MS
from .formats import new_sid
from .log import CallLog
from .options import Options
from .playout import Playout
from .sockets import Outbox, StreamRefused, open_socket
from .twiml import Stream
from .uplink import Uplink
from .webhooks import Routes
from .wire import Clear, Mark, Media, Outgoing, WireViolation, parse

UNDERRUN_MS = 500
"""The buffer ran empty and more audio came within this time: a hole in the speech. Longer is a pause."""
_MAX_BACKLOG = 160_000  # bytes that the kernel no longer takes: 10 s of audio


@dataclass(frozen=True)
class StreamEnd:
    """How a stream ended.

    ``closed``: the server closed with a close frame. ``broken``: the socket died without one, or the
    WebSocket protocol was broken. ``refused``: it never came up. ``stopped``: we ended it.
    """

    how: Literal["closed", "broken", "refused", "stopped"]
    error: int | None = None
    text: str = ""


class MediaStream:
    """A bidirectional stream. ``run`` lives as long as the socket; the rest is called by the call.

    ``next_frame`` and ``spoken`` are called every 20 ms of the call clock and never block.
    """

    def __init__(
        self, spec: Stream, *, account_sid: str, auth_token: str, call_sid: str, routes: Routes,
        options: Options, log: CallLog, on_start: Callable[[], None],
    ) -> None:  # fmt: skip
        self.spec = spec
        self.stream_sid = new_sid("MZ")
        self._on_start = on_start
        self._token = auth_token
        self._routes = routes
        self._options = options
        self._log = log
        self._messages = Outgoing(account_sid=account_sid, call_sid=call_sid, stream_sid=self.stream_sid)
        self._playout = Playout()
        self._uplink = Uplink(options)
        self._out: Outbox | None = None
        self._socket: ClientConnection | None = None
        self._live = False
        self._age_ms = 0
        self._stopped_ms: float | None = None
        self._said: set[int] = set()
        self._broke = False
        self._closer: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Between ``start`` and the end."""
        return self._live

    @property
    def queued_ms(self) -> float:
        """Audio the server sent that has not been played yet."""
        return self._playout.queued_ms

    # --- the audio clock --------------------------------------------------------------

    def next_frame(self) -> bytes:
        """What the caller hears for the next 20 ms (at most 160 bytes; the rest is silence)."""
        frame, marks = self._playout.tick()
        self._return(marks, "played")
        return frame

    def spoken(self, frame: bytes) -> None:
        """20 ms the caller has just finished saying; sent when it is due."""
        out = self._out
        if not self._live or out is None:
            return
        self._age_ms += FRAME_MS
        if self._uplink.clear:
            out.put(self._messages.media(frame, self._age_ms))
        else:
            self._uplink.push(frame, self._age_ms)
            for timestamp, audio in self._uplink.due(self._age_ms):
                out.put(self._messages.media(audio, timestamp))
        if out.unread_bytes > _MAX_BACKLOG:
            self._once(31930, "the server does not read its socket", "warning")

    def dtmf(self, digit: str) -> None:
        """A key of the caller."""
        if self._live and self._out is not None:
            self._out.put(self._messages.dtmf(digit))

    # --- ending -----------------------------------------------------------------------

    def stop(self) -> None:
        """Sends ``stop``: the call leaves the stream. The server is expected to close, and say no more."""
        if not self._live:
            return
        self._live = False
        self._stopped_ms = self._log.clock_ms()
        self._playout.clear()
        self._log.add("stream", event="stop", stream_sid=self.stream_sid)
        if self._out is not None:
            self._out.put(self._messages.stop())
        self._close_later()

    def break_socket(self) -> None:
        """The network eats the connection: no ``stop``, no close frame."""
        self._broke = True
        if self._socket is not None:
            self._socket.transport.abort()

    # --- the socket -------------------------------------------------------------------

    async def run(self) -> StreamEnd:
        """Connects, starts, and relays until the socket is over. After ``stop`` it lingers for the close."""
        if self._options.stream_setup_ms:
            await asyncio.sleep(self._options.stream_setup_ms / 1000)
        try:
            socket = await open_socket(
                self.spec.url, auth_token=self._token, routes=self._routes, options=self._options
            )
        except StreamRefused as error:
            self._log.notify(error.code, str(error), protocol=error.code == 31920)
            return StreamEnd("refused", error.code, str(error))
        self._socket = socket
        self._out = Outbox(socket)
        try:
            return await self._relay(socket, self._out)
        finally:
            self._live = False
            if self._closer is not None:
                self._closer.cancel()
            socket.transport.abort()

    async def _relay(self, socket: ClientConnection, out: Outbox) -> StreamEnd:
        out.put(self._messages.connected())
        out.put(self._messages.start(self.spec.parameters))
        self._live = True
        self._log.add("stream", event="start", stream_sid=self.stream_sid, url=self.spec.url)
        self._on_start()
        try:
            while True:
                self._take(await socket.recv())
        except ConnectionClosed as closed:
            return self._ended(closed)

    def _close_later(self) -> None:
        """After ``stop`` the server closes; if it does not, Twilio does (or never, as seen in the field)."""
        if self._options.never_close_socket:
            return

        async def close() -> None:
            await asyncio.sleep(self._options.close_after_stop_ms / 1000)
            if self._socket is not None:
                await self._socket.close()

        self._closer = asyncio.create_task(close(), name="local-twilio-stream-close")

    def _take(self, raw: str | bytes) -> None:
        if self._stopped_ms is not None:
            if self._log.clock_ms() - self._stopped_ms > self._options.stop_grace_ms:
                self._once(31951, "message after stop", "warning")
            return
        try:
            message = parse(raw, self.stream_sid)
        except WireViolation as error:
            self._log.notify(error.code, error.reason, level="warning")
            return
        match message:
            case Media():
                queued_ms, dry_ms = self._playout.queued_ms, self._playout.dry_ms
                length_ms = len(message.ulaw) / 8
                self._log.add("received", event="media", ms=length_ms, queued_ms=queued_ms, dry_ms=dry_ms)
                if dry_ms is not None and 0 < dry_ms <= UNDERRUN_MS:
                    self._log.add("underrun", ms=dry_ms)
                if self._playout.media(message.ulaw):
                    self._once(31931, "more than ten minutes buffered; the rest is dropped", "warning")
            case Mark():
                self._log.add("received", event="mark", name=message.name)
                self._return(self._playout.mark(message.name), "played")
            case Clear():
                self._log.add("received", event="clear", dropped_ms=self._playout.queued_ms)
                self._return(self._playout.clear(), "cleared")

    def _return(self, names: list[str], why: str) -> None:
        for name in names:
            self._log.add("mark", name=name, why=why)
            if self._live and self._out is not None:
                self._out.put(self._messages.mark(name))

    def _ended(self, closed: ConnectionClosed) -> StreamEnd:
        if self._stopped_ms is not None:
            return StreamEnd("stopped")
        if self._broke:
            self._log.notify(31903, "the socket was broken on purpose", protocol=False)
            return StreamEnd("broken", 31903, "Stream - Connection broken pipe")
        if closed.sent is not None and closed.rcvd is None:
            self._log.notify(31924, f"WebSocket protocol broken: {closed.sent.reason}")
            return StreamEnd("broken", 31924, "Stream - Protocol error")
        if closed.rcvd is None:
            self._log.notify(31903, "the server's end vanished without a close frame", protocol=False)
            return StreamEnd("broken", 31903, "Stream - Connection broken pipe")
        code = closed.rcvd.code
        self._log.add("stream", event="closed", stream_sid=self.stream_sid, code=code)
        if code in (1000, 1005):
            return StreamEnd("closed")
        self._log.notify(31921, f"the server closed with {code}", protocol=False)
        return StreamEnd("closed", 31921, "Stream - Server closed the connection")

    def _once(self, code: int, what: str, level: Literal["error", "warning"]) -> None:
        if code not in self._said:
            self._said.add(code)
            self._log.notify(code, what, level=level)
