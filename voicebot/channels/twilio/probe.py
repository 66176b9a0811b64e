"""The self-test's own small server: keeps every request and message with its time, obeys its script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from asyncio import BaseTransport
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocketDisconnect, WebSocketDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from voicebot.channels.twilio import signature, wire
from voicebot.channels.twilio.addresses import Addresses

PREFIX = "/twilio/selftest"
_NO_CODE = 1005


class ProbeError(Exception):
    """The self-test cannot listen; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request of Twilio's. ``at_s``: monotonic seconds."""

    at_s: float
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    signed: bool


@dataclass
class ProbeSocket:
    """One media socket of the script: messages as they came, and what can be done to it."""

    scene: str
    headers: dict[str, str]
    signed_as: str | None
    signed_over_https: bool
    opened_s: float
    _socket: WebSocket
    stream_sid: str = ""
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])
    over: asyncio.Event = field(default_factory=asyncio.Event)
    over_s: float = 0.0
    close_code: int | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, event: str) -> list[tuple[float, dict[str, Any]]]:
        """Messages of one kind with their times."""
        return [(at_s, m) for at_s, m in self.messages if m.get("event") == event]

    async def send(self, text: str) -> None:
        """Sends, if the socket is still there."""
        with contextlib.suppress(WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
            await self._socket.send_text(text)

    async def media(self, ulaw: bytes) -> None:
        """Sends sound."""
        await self.send(wire.media(self.stream_sid, ulaw))

    async def mark(self, name: str) -> None:
        """Sends a mark."""
        await self.send(wire.mark(self.stream_sid, name))

    async def close(self, code: int = 1000) -> None:
        """Closes properly."""
        with contextlib.suppress(WebSocketDisconnect, WebSocketDisconnected, RuntimeError):
            await self._socket.close(code)

    def cut(self) -> None:
        """Breaks the connection without a close frame."""
        self._protocol.transport.abort()

    def break_protocol(self) -> None:
        """Sends a fragmented ping, which RFC 6455 (section 5.5) forbids."""
        self._protocol.transport.write(b"\x09\x00")

    async def ping(self, *, within_s: float) -> float | None:
        """Seconds until the pong; None: there was none."""
        protocol = self._protocol
        began_s = time.monotonic()
        protocol.ponged.clear()
        protocol.conn.send_ping(b"selftest")
        protocol.transport.write(b"".join(protocol.conn.data_to_send()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await protocol.ponged.wait()
            return time.monotonic() - began_s
        return None

    @property
    def _protocol(self) -> _Protocol:
        return cast(_Protocol, self._socket.scope["extensions"]["voicebot.protocol"])

    async def until(self, event: str, count: int = 1, *, within_s: float) -> bool:
        """Waits for messages of a kind; False if they did not come, or the socket ended first."""
        deadline = time.monotonic() + within_s
        while len(self.of(event)) < count:
            left = deadline - time.monotonic()
            if left <= 0 or self.over.is_set():
                return False
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self.news.wait()
        return True


class Probe:
    """Answers Twilio as the script says; ``twiml`` maps a path's last part to a document."""

    def __init__(self, at: Addresses, auth_token: str) -> None:
        self.at = at
        self.twiml: dict[str, str] = {}
        self.refuse: set[str] = set()
        """Scenes whose upgrade is refused."""
        self.seen: list[Seen] = []
        self.sockets: dict[str, ProbeSocket] = {}
        self.refused_upgrades: list[tuple[str, float]] = []
        self._token = auth_token
        self._news = asyncio.Event()

    def of(self, path: str, since_s: float = 0.0) -> list[Seen]:
        """Requests for a path below the prefix."""
        return [s for s in self.seen if s.path == f"{PREFIX}/{path}" and s.at_s >= since_s]

    async def request(self, path: str, *, within_s: float, since_s: float = 0.0) -> Seen | None:
        """The first request for ``path``, past or future; None: it did not come."""
        await self._until(lambda: bool(self.of(path, since_s)), within_s)
        found = self.of(path, since_s)
        return found[0] if found else None

    async def socket(self, scene: str, *, within_s: float) -> ProbeSocket | None:
        """The scene's socket once ``start`` has come; None: it did not."""
        await self._until(lambda: scene in self.sockets, within_s)
        found = self.sockets.get(scene)
        if found is None or not await found.until("start", within_s=within_s):
            return None
        return found

    async def upgrade_refused(self, scene: str, *, within_s: float) -> bool:
        """Waits until the scene's upgrade was asked for (and refused)."""
        await self._until(lambda: any(s == scene for s, _ in self.refused_upgrades), within_s)
        return any(s == scene for s, _ in self.refused_upgrades)

    async def _until(self, check: Any, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not check():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._news.wait()

    # --- the server -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncGenerator[int]:
        """Listens until the block is left; gives the port.

        Raises:
            ProbeError: the address is taken.
        """
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise ProbeError(
                f"cannot listen on {host}:{port} ({error.strerror}): stop the server first, since the"
                " self-test answers Twilio in its place"
            ) from error
        server = _Server(
            uvicorn.Config(
                self._app(),
                ws=_Protocol,
                ws_per_message_deflate=False,
                ws_ping_interval=None,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = True
            await running
            listening.close()

    def _app(self) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.post(f"{PREFIX}/{{path:path}}", response_model=None)
        async def webhook(request: Request, path: str) -> Response:
            form = signature.read_form(await request.body())
            headers = dict(request.headers)
            url = self.at.http(request.url.path)
            signed = self._signed(url, form, headers)
            self.seen.append(Seen(time.monotonic(), request.url.path, dict(form.items()), headers, signed))
            self._news.set()
            document = self.twiml.get(path)
            return Response(document, media_type="text/xml") if document else Response(status_code=204)

        @app.websocket(f"{PREFIX}/media/{{scene}}")
        async def media(socket: WebSocket, scene: str) -> None:
            await self._media(socket, scene)

        _ = (webhook, media)  # used by the app
        return app

    def _signed(self, url: str, form: signature.Form, headers: dict[str, str]) -> bool:
        return signature.valid(url, form, headers.get(signature.HEADER), self._token)

    async def _media(self, socket: WebSocket, scene: str) -> None:
        now = time.monotonic()
        headers = dict(socket.headers)
        url = self.at.websocket(f"{PREFIX}/media/{scene}")
        signed_as = signature.signed_upgrade(url, headers.get(signature.HEADER), self._token)
        if scene in self.refuse:
            self.refused_upgrades.append((scene, now))
            self._news.set()
            await socket.send_denial_response(PlainTextResponse("refused by the self-test\n", 403))
            return
        await socket.accept()
        over_https = self._signed(self.at.http(f"{PREFIX}/media/{scene}"), signature.Form(), headers)
        probe = ProbeSocket(scene, headers, signed_as, over_https, now, socket)
        self.sockets[scene] = probe
        self._news.set()
        try:
            while True:
                received = await socket.receive()
                if received["type"] == "websocket.disconnect":
                    probe.close_code = int(received.get("code") or _NO_CODE)
                    return
                message = cast(dict[str, Any], json.loads(received.get("text") or "{}"))
                if message.get("event") == "start":
                    probe.stream_sid = str(message.get("streamSid", ""))
                probe.messages.append((time.monotonic(), message))
                probe.news.set()
        except (WebSocketDisconnected, RuntimeError):
            return  # we closed it ourselves
        finally:
            probe.over_s = time.monotonic()
            probe.over.set()
            probe.news.set()


class _Protocol(WebSocketsSansIOProtocol):
    """Lets the script break a connection and see pongs: it is in the scope's extensions."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.ponged = asyncio.Event()

    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        self.ponged.set()

    async def run_asgi(self) -> None:
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"]["voicebot.protocol"] = self
        await super().run_asgi()


class _Server(uvicorn.Server):
    """Leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
