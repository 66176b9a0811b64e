"""uvicorn's HTTP, with patience that ends: a connection that does not ask, or asks without an end, is closed,
and one from an address whose door is closed is not read: whoever knocks there as often as they are answered
gets slow.

uvicorn waits for the head of a first request for ever and keeps as much of it as comes. A thousand
connections that say nothing would use up a node's files, and no call would get through any more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicebot.channels.door import Door
from voicebot.core import metrics

HEAD_WITHIN_S = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""

HELD_S = 3.0
"""How long a connection that is not listened to stays open, unread. One that is closed at once comes back at
once, and each costs the node's loop 0.15 ms and more."""

MOST_HELD = 500
"""Of a node; further ones are closed at once."""

MOST_HEAD_BYTES = 64 * 1024
"""Twilio's are under 2 KB."""


class GuardedHttp(HttpToolsProtocol):
    """For ``uvicorn.Config(http=partial(GuardedHttp, door))``. What is closed gets no answer.

    Args:
        door: who is not listened to.
    """

    head_within_s = HEAD_WITHIN_S
    held_s = HELD_S
    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _turned_away = False
    _unanswered = False
    _held: asyncio.TimerHandle | None = None

    def __init__(self, door: Door, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for a request, if anybody is listened to from there."""
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) and peer else None
        if self._door.closed(self._address):
            self._turned_away = True
            metrics.refusals.labels("turned_away").inc()
            self._hold(transport)
            return
        self._door.came(self._address)
        self._unanswered = True
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no more."""
        self._waited()
        self._answered()
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._door.held -= 1
            self.connections.discard(self)
        if not self._turned_away:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head."""
        if self._turned_away:
            return
        if self._waiting is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._head_bytes > MOST_HEAD_BYTES:
            self._give_up()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._door.refused(self._address)
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._waited()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer has left: the last one on this connection, if it was one refusal too many."""
        self._answered()
        if self._door.closed(self._address):
            self.transport.close()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is no more ours."""
        self._answered()
        super().handle_websocket_upgrade()

    def _answered(self) -> None:
        if self._unanswered:
            self._unanswered = False
            self._door.answered(self._address)

    def _hold(self, transport: asyncio.Transport) -> None:
        if self._door.held >= MOST_HELD:
            transport.abort()
            return
        self._door.held += 1
        self.transport = transport
        self.connections.add(self)  # closed with the server
        transport.pause_reading()
        self._held = self.loop.call_later(self.held_s, transport.abort)

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.head_within_s, self._give_up)

    def _give_up(self) -> None:
        self._door.refused(self._address)
        self.transport.close()

    def _waited(self) -> None:
        self._head_bytes = 0
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
