"""uvicorn's HTTP, with patience that ends: a connection that does not ask, or asks without an end, is closed.

uvicorn waits for the head of a first request for ever and keeps as much of it as comes. A thousand
connections that say nothing would use up a node's files, and no call would get through any more.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WITHIN_S = 10.0
"""From the connection, or the first byte of a further request, to the end of its head."""

MOST_HEAD_BYTES = 64 * 1024
"""Twilio's are under 2 KB."""


class GuardedHttp(HttpToolsProtocol):
    """For ``uvicorn.Config(http=...)``. What is closed gets no answer: nothing was asked."""

    head_within_s = HEAD_WITHIN_S
    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no more."""
        self._waited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head."""
        if self._waiting is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._waiting is not None and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._waited()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.head_within_s, self.transport.close)

    def _waited(self) -> None:
        self._head_bytes = 0
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
