"""``GET /api/conversations/{id}/stream``: the live transcript as server-sent events or over a WebSocket.

Both give the same entries. A reader that does not take them within `SEND_WITHIN_S` is left: it may come back
with the last id it has seen. What waits for it meanwhile is one page, and what the socket buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from voicebot.channels.door import Door
from voicebot.console.live import Opening, entries, open_for
from voicebot.console.readers import Reader, at_the_door
from voicebot.console.reading import Console
from voicebot.console.sight import Sight
from voicebot.console.sse import KEEP_ALIVE_S, Events, EventStream, Readers, event, sent, until_gone
from voicebot.core.store.database import DatabaseDown
from voicebot.core.transcript import Told

_SLICE = 20
"""Entries between two looks at the event loop: 20 cost about 1 ms."""

_LAST_ID = 2**63 - 1
_OVER, _TRY_LATER = 1000, 1013


def live_router(
    console: Console,
    who: Callable[[HTTPConnection], Reader],
    *,
    reveals: Collection[str] = (),
    readers: Readers | None = None,
    door: Door | None = None,
) -> APIRouter:
    """The two routes. A WebSocket is answered before the upgrade, with the same refusals.

    Args:
        console: what is read from.
        who: says who asks, or refuses.
        reveals: kinds of values that who has the conversation's handoff sees instead of tokens.
        readers: the places; made here when not given.
        door: told who proves nothing.
    """
    router = APIRouter(prefix="/api", tags=["conversations"])
    places = readers or Readers()

    def known(request: HTTPConnection) -> None:
        request.state.reader = who(request)

    @router.get(
        "/conversations/{conversation_id}/stream",
        dependencies=[Depends(known)],
        response_class=Events,
        responses={
            200: {"model": Told, "description": "server-sent events; each has one entry as its data"},
            204: {"description": "the conversation has ended and all of it was seen"},
            403: {"description": "for supervisors: it goes on and nobody was asked for"},
            404: {"description": "no such conversation"},
            410: {"description": "its data was erased"},
            422: {"description": "the last id is not one of this conversation"},
            503: {"description": "too many readers, or the database is away; Retry-After says when"},
        },
    )
    async def stream(
        request: Request,
        conversation_id: str,
        last_event_id: Annotated[int, Header(ge=0, le=_LAST_ID)] = 0,
        after: Annotated[int, Query(ge=0, le=_LAST_ID)] = 0,
    ) -> Response:
        """The live transcript: everything after ``Last-Event-ID`` (or ``after``), then as it happens.

        Lines carry an id, so that a reconnect misses and repeats nothing. Words so far (``partial``) come
        without one. The same path takes a WebSocket, which gets the same entries as JSON texts.
        """
        reader: Reader = request.state.reader
        opening = await _open(console, reader, conversation_id, max(last_event_id, after))
        if opening.over and opening.seen_all:
            return Response(status_code=204)
        sight = Sight(console, reader, conversation_id, reveals)
        told = _as_events(entries(console, sight, opening))
        return EventStream(told, conversation_id, places, "sse")

    @router.websocket("/conversations/{conversation_id}/stream")
    async def socket(socket: WebSocket, conversation_id: str) -> None:
        try:
            reader = at_the_door(who, socket, door)
            opening = await _open(console, reader, conversation_id, _after(socket))
            with places.one("websocket"):
                await socket.accept()
                sight = Sight(console, reader, conversation_id, reveals)
                await _serve(socket, entries(console, sight, opening), opening)
        except HTTPException as refused:
            answer = JSONResponse({"detail": refused.detail}, refused.status_code, refused.headers)
            with suppress(WebSocketDisconnected, RuntimeError, OSError):  # gone already
                await socket.send_denial_response(answer)

    _ = (stream, socket)  # used by the router
    return router


async def _open(console: Console, reader: Reader, conversation_id: str, after: int) -> Opening:
    try:
        return await open_for(console, reader, conversation_id, after)
    except DatabaseDown as error:
        raise HTTPException(503, "the database is away: try again", {"Retry-After": "2"}) from error


def _after(socket: HTTPConnection) -> int:
    """The last id that a WebSocket's reader has seen.

    Raises:
        HTTPException: 422, it is no id.
    """
    ids = [
        given
        for given in (socket.headers.get("last-event-id"), socket.query_params.get("after"))
        if given is not None
    ]
    if any(not given.isascii() or not given.isdigit() or int(given[:20]) > _LAST_ID for given in ids):
        raise HTTPException(422, "Last-Event-ID and after are ids of entries: whole numbers")
    return max(map(int, ids), default=0)


async def _as_events(told: AsyncGenerator[Told | None]) -> AsyncGenerator[str | None]:
    async with aclosing(_kept_alive(told)) as entries:
        async for entry in entries:
            yield None if entry is None else event(entry.type, entry.model_dump_json(), entry.id)


async def _serve(socket: WebSocket, entries: AsyncGenerator[Told | None], opening: Opening) -> None:
    last = opening.after

    async def tell() -> None:
        nonlocal last
        async with aclosing(_kept_alive(entries)) as told:
            async for entry in told:
                text = '{"type":"quiet"}' if entry is None else entry.model_dump_json()
                if not await sent(socket.send_text(text), opening.conversation_id, "websocket"):
                    reason = f"too slow: come back with after={last}"
                    await sent(socket.close(_TRY_LATER, reason), opening.conversation_id, "websocket")
                    return
                if entry is not None and entry.id is not None:
                    last = entry.id
        await socket.close(_OVER, "the conversation is over")

    try:
        await until_gone(tell(), _left(socket))
    except (WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
        return  # it left while something was being written to it


async def _kept_alive(told: AsyncGenerator[Told | None]) -> AsyncGenerator[Told | None]:
    """The entries; None only where nothing was told for `KEEP_ALIVE_S`; other work has its turn between."""
    clock = asyncio.get_running_loop().time
    last_s, run = clock(), 0
    async with aclosing(told):
        async for entry in told:
            if entry is None and clock() - last_s < KEEP_ALIVE_S:
                run = 0
                continue
            last_s, run = clock(), run + 1
            yield entry
            if run % _SLICE == 0:
                await asyncio.sleep(0)


async def _left(socket: WebSocket) -> None:
    """Reads what a reader has no reason to send, until it is gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
