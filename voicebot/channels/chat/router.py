"""``POST /chat`` and ``WS /chat``."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing, suppress
from typing import Any

import structlog
from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import JSONResponse
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketDisconnected

from voicebot.channels.chat.access import ChatAccess, Customer
from voicebot.channels.chat.errors import ChatCrowded, ChatError, ChatUnavailable, MessageRefused
from voicebot.channels.chat.message import (
    MAX_BYTES,
    ChatFollow,
    ChatMessage,
    is_conversation_id,
    is_follow,
    parse,
    parse_follow,
)
from voicebot.channels.chat.reply import ChatFault, ChatReply, ChatSoFar, ColleagueWrote
from voicebot.channels.chat.service import ChatService
from voicebot.channels.chat.watchers import Watcher
from voicebot.channels.node import NodeState
from voicebot.core import metrics

log = structlog.get_logger(__name__)

MAX_SOCKETS = 500
"""Chat sockets one node keeps open."""
MAX_SOCKETS_EACH = 50
"""Those of one address: an office behind one line, and not all there are."""
_QUIET_CLOSE = 1000
_TRY_LATER_CLOSE = 1013
_CROWDED_S = 30


class _TooLarge(ChatError):
    status = 413
    code = "too_large"


class _WrongMethod(ChatError):
    status = 405
    code = "method_not_allowed"


class _NotJson(ChatError):
    status = 415
    code = "not_json"


def chat_router(
    service: ChatService, access: ChatAccess, node: NodeState, *, idle_s: float = 1800.0
) -> APIRouter:
    """The chat's routes, for one node."""
    chat = _Chat(service, access, node, idle_s)
    router = APIRouter(tags=["chat"])
    body = {"required": True, "content": {"application/json": {"schema": ChatMessage.model_json_schema()}}}
    answers: dict[int | str, dict[str, Any]] = {
        code: {"description": meaning, "model": ChatFault}
        for code, meaning in (
            (403, "chat is closed to you"),
            (404, "no such conversation"),
            (410, "the conversation has ended"),
            (422, "the message cannot be used"),
            (429, "too many messages; see Retry-After"),
            (503, "the server cannot answer now; see Retry-After"),
        )
    }

    @router.post("/chat", response_model=ChatReply, responses=answers, openapi_extra={"requestBody": body})
    async def post(request: Request) -> Response:
        """One message of a customer, and its whole answer."""
        return await chat.post(request)

    asked = {"required": True, "content": {"application/json": {"schema": ChatFollow.model_json_schema()}}}

    @router.post(
        "/chat/follow", response_model=ChatSoFar, responses=answers, openapi_extra={"requestBody": asked}
    )
    async def follow(request: Request) -> Response:
        """A chat's lines after the last that is known: for a page that was loaded again, or that polls."""
        return await chat.follow(request)

    @router.options("/chat/follow", include_in_schema=False)
    async def preflight_follow(request: Request) -> Response:
        """As for ``/chat``."""
        return chat.preflight(request)

    @router.api_route("/chat", methods=["GET", "HEAD", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def other(request: Request) -> Response:
        """Anything else is told how to ask, in the form of every other refusal."""
        return _refused(_WrongMethod("POST a message to /chat, or open a WebSocket on it"), request, None)

    @router.options("/chat", include_in_schema=False)
    async def preflight(request: Request) -> Response:
        """What a browser asks before a page of another origin may post."""
        return chat.preflight(request)

    @router.websocket("/chat")
    async def socket(socket: WebSocket) -> None:
        """The same as events, for as many messages as there are."""
        await chat.serve(socket)

    _ = (post, follow, preflight_follow, other, preflight, socket)  # used by the router
    return router


class _Chat:
    def __init__(self, service: ChatService, access: ChatAccess, node: NodeState, idle_s: float) -> None:
        self._service = service
        self._access = access
        self._node = node
        self._idle_s = idle_s
        self._sockets = 0
        self._of_address: Counter[str] = Counter()

    async def post(self, request: Request) -> Response:
        customer: Customer | None = None
        message: ChatMessage | None = None
        try:
            customer = self._access.admit(request)
            message = parse(await _body(request))
            self._check(customer, message)
            reply = await self._service.say(message.conversation_id, message.text, message.customer_phone)
        except ChatError as error:
            return _refused(error, request, customer, message)
        return _allowing(JSONResponse(reply.model_dump(mode="json")), customer)

    async def follow(self, request: Request) -> Response:
        customer: Customer | None = None
        try:
            customer = self._access.admit(request)
            given = parse_follow(await _body(request))
            self._access.count(customer, beginning=False)
            chat = await self._service.so_far(given.follow, given.after)
        except ChatError as error:
            return _refused(error, request, customer)
        return _allowing(JSONResponse(chat.model_dump(mode="json")), customer)

    def preflight(self, request: Request) -> Response:
        try:
            customer = self._access.admit(request)
        except ChatError as error:
            return _refused(error, request, None)
        answer = _allowing(Response(status_code=204), customer)
        answer.headers["Access-Control-Allow-Methods"] = "POST"
        answer.headers["Access-Control-Allow-Headers"] = "content-type"
        return answer

    async def serve(self, socket: WebSocket) -> None:
        try:
            customer = self._access.admit(socket)
            if self._sockets >= MAX_SOCKETS:
                raise ChatUnavailable("too many chats are open here: try again in a few seconds")
            if self._of_address[customer.limited_as or ""] >= MAX_SOCKETS_EACH:
                raise ChatCrowded(_CROWDED_S)
        except ChatError as error:
            _count(error, socket)
            with suppress(WebSocketDisconnected, RuntimeError, OSError):  # gone already
                await socket.send_denial_response(_answer(error))
            return
        address = customer.limited_as
        self._sockets += 1
        if address is not None:
            self._of_address[address] += 1
        try:
            await socket.accept()
            await self._converse(socket, customer)
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
        finally:
            self._sockets -= 1
            if address is not None:
                self._of_address[address] -= 1
                self._of_address += Counter()  # those at zero go

    async def _converse(self, socket: WebSocket, customer: Customer) -> None:
        with self._service.watchers.one() as watcher:
            receiving = asyncio.ensure_future(socket.receive())
            late = asyncio.ensure_future(watcher.events.get())
            try:
                while True:
                    done, _ = await asyncio.wait(
                        {receiving, late}, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not done:
                        await socket.close(_QUIET_CLOSE, "nothing was written for a while")
                        return
                    if late in done:
                        event = late.result()
                        await socket.send_text(event.model_dump_json())
                        if isinstance(event, ColleagueWrote):
                            await self._service.bringing.got(event)
                        late = asyncio.ensure_future(watcher.events.get())
                    if receiving in done:
                        received = receiving.result()
                        if received["type"] == "websocket.disconnect":
                            return
                        await self._answer(socket, customer, watcher, received)
                        if not self._node.accepting:
                            await socket.close(
                                _TRY_LATER_CLOSE, "this server is being restarted: connect again"
                            )
                            return
                        receiving = asyncio.ensure_future(socket.receive())
            finally:
                receiving.cancel()
                late.cancel()
                await asyncio.wait({receiving, late})

    async def _answer(self, socket: WebSocket, customer: Customer, watcher: Watcher, received: Any) -> None:
        message: ChatMessage | None = None
        try:
            text = _text(received)
            if is_follow(text):
                await self._go_on(socket, customer, watcher, parse_follow(text))
                return
            message = parse(text)
            self._check(customer, message)
            stream = self._service.stream(message.conversation_id, message.text, message.customer_phone)
            async with aclosing(stream) as events:
                async for event in events:
                    watcher.follow(event.conversation_id)
                    await socket.send_text(event.model_dump_json())
        except ChatError as error:
            _count(error, socket, message)
            await socket.send_text(_fault(error).model_dump_json())

    async def _go_on(
        self, socket: WebSocket, customer: Customer, watcher: Watcher, given: ChatFollow
    ) -> None:
        """A page that was loaded again: what it has missed, and from now on what comes."""
        self._access.count(customer, beginning=False)
        chat = await self._service.so_far(given.follow, given.after)
        last = chat.lines[-1].line if chat.lines else given.after
        watcher.follow(chat.conversation_id, last)
        await socket.send_text(chat.model_dump_json())

    def _check(self, customer: Customer, message: ChatMessage) -> None:
        beginning = message.conversation_id is None
        if self._node.off:
            raise ChatUnavailable("the assistant is switched off: please call, or try again later")
        if beginning and not self._node.accepting:
            raise ChatUnavailable("this server is being restarted: send the message again")
        self._access.count(customer, beginning=beginning)


async def _body(request: Request) -> bytes:
    """The request's body, read no further than a message can be long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _NotJson("send the message as JSON, with 'Content-Type: application/json'")
    too_large = _TooLarge(f"a message has at most {MAX_BYTES} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BYTES:
        raise too_large
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise too_large
    return body


def _text(received: Any) -> str:
    text = received.get("text")
    if text is None:
        raise MessageRefused("send each message as a JSON text, not as binary")
    if len(text) > MAX_BYTES:
        raise MessageRefused(f"a message has at most {MAX_BYTES} characters")
    return text


def _fault(error: ChatError) -> ChatFault:
    return ChatFault(code=error.code, detail=str(error), retry_after_s=error.retry_after_s)


def _answer(error: ChatError) -> Response:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, _WrongMethod):
        headers["Allow"] = "POST, OPTIONS"
    return JSONResponse(_fault(error).model_dump(mode="json"), error.status, headers)


def _refused(
    error: ChatError, request: HTTPConnection, customer: Customer | None, message: ChatMessage | None = None
) -> Response:
    _count(error, request, message)
    return _allowing(_answer(error), customer)


def _allowing(answer: Response, customer: Customer | None) -> Response:
    """The page that asks may read the answer."""
    if customer is not None and customer.origin is not None:
        answer.headers["Access-Control-Allow-Origin"] = customer.origin
        answer.headers["Vary"] = "Origin"
    return answer


def _count(error: ChatError, request: HTTPConnection, message: ChatMessage | None = None) -> None:
    known = message.conversation_id if message is not None else None
    if known is not None and not is_conversation_id(known):
        known = None  # anybody's text does not go into the log
    if error.status in {403, 413, 415, 422} or isinstance(error, ChatCrowded):
        metrics.refusals.labels(f"chat_{error.code}").inc()
        log.info("chat.refused", reason=error.code, kind=request.scope["type"], conversation=known)
