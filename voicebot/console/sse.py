"""Server-sent events of the console: each written before the next is read; a reader that takes none is left.

What waits for a reader meanwhile is one page, and what the socket buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import aclosing, contextmanager

import structlog
from fastapi import HTTPException
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from voicebot.console.live import MAX_READERS
from voicebot.core import metrics

log = structlog.get_logger(__name__)

KEEP_ALIVE_S = 15.0
"""A quiet stream says so this often: proxies keep it, and a reader that left is noticed."""

SEND_WITHIN_S = 10.0
"""A reader that takes nothing for so long is left."""

_QUIET = ": still here\n\n"


class Readers:
    """How many streams are open; one per node."""

    def __init__(self, most: int = MAX_READERS) -> None:
        self.open = 0
        self._most = most

    @contextmanager
    def one(self, kind: str) -> Generator[None]:
        """A reader's place.

        Raises:
            HTTPException: 503, all places are taken.
        """
        if self.open >= self._most:
            raise HTTPException(503, f"this node has its {self._most} readers", {"Retry-After": "5"})
        self.open += 1
        metrics.live_readers.labels(kind).inc()
        try:
            yield
        finally:
            self.open -= 1
            metrics.live_readers.labels(kind).dec()


class Events(Response):
    """What OpenAPI is told of a stream."""

    media_type = "text/event-stream"


class EventStream(Events):
    """A response of events.

    Args:
        events: each as `event` makes it; None: nothing new, and the reader is told so.
        conversation_id: for the log.
        places: the node's.
        kind: of stream, for metrics and log.
    """

    def __init__(
        self, events: AsyncGenerator[str | None], conversation_id: str, places: Readers, kind: str
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events
        self._id = conversation_id
        self._places = places
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tells until the events end or the reader is gone."""
        try:
            with self._places.one(self._kind):
                await until_gone(self._tell(send), _disconnected(receive))
        except HTTPException as full:
            answer = JSONResponse({"detail": full.detail}, full.status_code, full.headers)
            await answer(scope, receive, send)

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for told in events:
                text = _QUIET if told is None else told
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                if not await sent(send(body), self._id, self._kind):
                    return  # the server closes the connection of a response without an end
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def event(kind: str, data: str, number: int | None = None) -> str:
    """One event; ``data``: JSON in one line; ``number``: what ``Last-Event-ID`` will say."""
    mark = "" if number is None else f"id: {number}\n"
    return f"{mark}event: {kind}\ndata: {data}\n\n"


async def sent(sending: Awaitable[None], conversation_id: str, kind: str) -> bool:
    """Whether it was taken in time."""
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await sending
    except TimeoutError:
        metrics.live_readers_left.labels(kind).inc()
        log.warning("live.reader_too_slow", conversation=conversation_id, kind=kind)
        return False
    return True


async def until_gone(telling: Awaitable[None], gone: Awaitable[None]) -> None:
    """Ends with the first of the two; what the telling raises is raised."""
    work, leaving = asyncio.ensure_future(telling), asyncio.ensure_future(gone)
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (work, leaving):
            task.cancel()
        await asyncio.wait({work, leaving})


async def _disconnected(receive: Receive) -> None:
    """Returns when the reader of a response has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
