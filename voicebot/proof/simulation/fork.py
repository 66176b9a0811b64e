"""A unidirectional media stream: a copy of one call's sound, while the call does other things.

``<Start><Stream>`` or REST Streams. It lives until it is stopped or the call ends, through later TwiML
documents, rooms and bot streams; when its socket dies the call goes on
(twilio.com/docs/voice/media-streams).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .ear import FRAME_MS
from .formats import new_sid
from .log import CallLog
from .options import Options
from .sockets import Outbox, StreamRefused, open_socket
from .uplink import Uplink
from .verbs import StartStream
from .webhooks import Routes
from .wire import Outgoing

MAX_TRACKS = 4
"""Per call (twilio.com/docs/voice/media-streams)."""

Tell = Callable[["Fork", str, str], None]
"""Gets (fork, ``stream-started``/``stream-stopped``/``stream-error``, error text)."""

_BOTH = ("inbound", "outbound")


class Fork:
    """One such stream. ``said`` and ``heard`` are called every 20 ms of the call clock and never block."""

    def __init__(
        self, spec: StartStream, *, account_sid: str, auth_token: str, call_sid: str, routes: Routes,
        options: Options, log: CallLog, tell: Tell,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.stream_sid = new_sid("MZ")
        self.name = spec.name or self.stream_sid
        self.over = False
        self.tracks = {"inbound_track": _BOTH[:1], "outbound_track": _BOTH[1:], "both_tracks": _BOTH}[
            spec.track
        ]
        self._uplinks = {track: Uplink(options) for track in self.tracks}
        self._token = auth_token
        self._routes = routes
        self._options = options
        self._log = log
        self._tell = tell
        self._messages = Outgoing(account_sid=account_sid, call_sid=call_sid, stream_sid=self.stream_sid)
        self._out: Outbox | None = None
        self._stopped = asyncio.Event()
        self._live = False
        self._age_ms = 0

    @property
    def live(self) -> bool:
        """Between ``start`` and the end."""
        return self._live

    def said(self, frame: bytes) -> None:
        """20 ms that Twilio received from the call's party."""
        if self._live:
            self._age_ms += FRAME_MS
            self._send("inbound", frame)

    def heard(self, frame: bytes) -> None:
        """20 ms that Twilio played to the call's party, of the same time as the last of ``said``."""
        if self._live:
            self._send("outbound", frame)

    def stop(self) -> None:
        """``<Stop>``, REST, or the end of the call."""
        self._stopped.set()

    async def run(self) -> None:
        """Connects, starts, and sends until it is stopped or its socket dies."""
        try:
            if self._options.stream_setup_ms:
                await asyncio.sleep(self._options.stream_setup_ms / 1000)
            socket = await open_socket(
                self.spec.url, auth_token=self._token, routes=self._routes, options=self._options
            )
        except StreamRefused as error:
            self.over = True
            self._log.notify(error.code, str(error), protocol=error.code == 31920)
            self._tell(self, "stream-error", str(error))
            return
        self._out = Outbox(socket)
        try:
            await self._relay(socket, self._out)
        finally:
            self.over = True
            self._live = False
            socket.transport.abort()

    async def _relay(self, socket: ClientConnection, out: Outbox) -> None:
        out.put(self._messages.connected())
        out.put(self._messages.start(self.spec.parameters, self.tracks))
        self._live = True
        self._log.add("fork", event="start", name=self.name, stream_sid=self.stream_sid, url=self.spec.url)
        self._tell(self, "stream-started", "")
        reading = asyncio.create_task(self._read(socket), name="local-twilio-fork-reader")
        stopping = asyncio.create_task(self._stopped.wait(), name="local-twilio-fork-stop")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._live = False
            if reading.done():
                self._log.add("fork", event="over", name=self.name, stream_sid=self.stream_sid)
                self._tell(self, "stream-error", "Stream - Connection broken pipe")
                return
            out.put(self._messages.stop())
            self._log.add("fork", event="stop", name=self.name, stream_sid=self.stream_sid)
            self._tell(self, "stream-stopped", "")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.close_after_stop_ms / 1000):
                    await asyncio.shield(reading)
            await socket.close()
        finally:
            reading.cancel()
            stopping.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                await socket.recv()
                self._log.notify(31924, "a message on a unidirectional stream")
        except ConnectionClosed as closed:
            if self._stopped.is_set():
                return
            if closed.rcvd is None:
                self._log.notify(31903, "the server's end of a copy vanished", protocol=False)
            elif closed.rcvd.code not in (1000, 1005):
                self._log.notify(31921, f"the server closed a copy with {closed.rcvd.code}", protocol=False)

    def _send(self, track: str, frame: bytes) -> None:
        uplink = self._uplinks.get(track)
        if uplink is None or self._out is None:
            return
        uplink.push(frame, self._age_ms)
        for timestamp, audio in uplink.due(self._age_ms):
            self._out.put(self._messages.media(audio, timestamp, track))
