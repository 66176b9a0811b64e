"""A small server for the local Twilio's own tests: scripted TwiML, a scripted media socket, real sockets.

It knows nothing of the product. It follows the rules or breaks them as a test says.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from twilio.request_validator import RequestValidator
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voicebot.proof.simulation import Timeline

Answerer = Callable[[dict[str, str]], Response | Awaitable[Response]]


def xml(body: str) -> Response:
    return Response(f"<Response>{body}</Response>", media_type="text/xml")


@dataclass
class Asked:
    """One webhook as it came."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]
    signed: bool


class Replying:
    """An ear that says ``clip`` so long after it first heard anything but silence."""

    def __init__(self, clip: bytes, *, after_ms: int = 100) -> None:
        self.clip = clip
        self.after_ms = after_ms
        self.said: Timeline | None = None

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        if self.said is None and frame.strip(b"\xff"):
            self.said = Timeline([(at_ms + self.after_ms, self.clip)])

    def next_frame(self, at_ms: int) -> bytes | None:
        return self.said.next_frame(at_ms) if self.said else None


@dataclass
class Peer:
    """The server's end of one media socket."""

    socket: WebSocket
    messages: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    sid: str = ""

    async def receive(self) -> dict[str, Any]:
        message = json.loads(await self.socket.receive_text())
        self.messages.append(message)
        self.arrived.append(asyncio.get_running_loop().time())
        if message["event"] == "start":
            self.sid = message["streamSid"]
        return message

    async def until(self, event: str) -> dict[str, Any]:
        while True:
            message = await self.receive()
            if message["event"] == event:
                return message

    async def drain(self) -> None:
        """Reads until `stop`, or until the socket is over."""
        with contextlib.suppress(WebSocketDisconnect):
            while (await self.receive())["event"] != "stop":
                pass

    async def send(self, **message: Any) -> None:
        await self.socket.send_text(json.dumps(message))

    async def media(self, ulaw: bytes) -> None:
        payload = base64.b64encode(ulaw).decode()
        await self.send(event="media", streamSid=self.sid, media={"payload": payload})

    async def mark(self, name: str) -> None:
        await self.send(event="mark", streamSid=self.sid, mark={"name": name})

    async def clear(self) -> None:
        await self.send(event="clear", streamSid=self.sid)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["event"] == kind]


class ScriptedServer:
    """``twiml[path]`` answers webhooks; ``on_media`` plays the media socket."""

    def __init__(self) -> None:
        self.auth_token = ""
        self.public = ""
        self.twiml: dict[str, str | Answerer] = {}
        self.asked: list[Asked] = []
        self.upgrades: list[Asked] = []
        self.peers: list[Peer] = []
        self.on_media: Callable[[Peer], Awaitable[None]] = Peer.drain
        self.refuse_upgrade = False
        self.url = ""

    @property
    def wss(self) -> str:
        return (self.public or self.url).replace("https:", "wss:").replace("http:", "ws:") + "/media"

    def stream(self, inner: str = "", attributes: str = "", after: str = "") -> str:
        return f'<Connect><Stream url="{self.wss}" {attributes}>{inner}</Stream></Connect>{after}'

    def of(self, path: str) -> list[Asked]:
        return [a for a in self.asked if a.path == path]

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.websocket("/media")
        async def media(socket: WebSocket) -> None:
            url = (self.public.replace("https:", "wss:") or f"ws://{socket.headers['host']}") + "/media"
            names = [k.decode() for k, _ in socket.scope["headers"]]
            self.upgrades.append(
                Asked(
                    "/media", {}, {n: socket.headers[n] for n in names}, self._signed(url, {}, socket.headers)
                )
            )
            if self.refuse_upgrade:
                await socket.close(1008)
                return
            await socket.accept()
            peer = Peer(socket)
            self.peers.append(peer)
            with contextlib.suppress(WebSocketDisconnect):
                await self.on_media(peer)

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def webhook(path: str, request: Request) -> Response:
            form = {k: str(v) for k, v in (await request.form()).items()}
            url = (self.public or self.url) + request.url.path
            if request.url.query:
                url += f"?{request.url.query}"
            signed = self._signed(url, form, request.headers)
            self.asked.append(Asked(f"/{path}", form, dict(request.headers), signed))
            answer = self.twiml.get(f"/{path}", "")
            if callable(answer):
                made = answer(form)
                return made if isinstance(made, Response) else await made
            return xml(answer)

        return app

    def _signed(self, url: str, form: dict[str, str], headers: Any) -> bool:
        given = headers.get("x-twilio-signature", "")
        return RequestValidator(self.auth_token).validate(url, form, given)


class _Protocol(WebSocketsSansIOProtocol):
    """Lets a test cut the wire: the transport is in the scope's extensions."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.cut = transport.abort

    async def run_asgi(self) -> None:
        self.scope["extensions"]["test.cut"] = self.cut
        await super().run_asgi()


@contextlib.asynccontextmanager
async def running(server: ScriptedServer) -> AsyncIterator[ScriptedServer]:
    """Serves on a free port of loopback until the block is left."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        server.app(), lifespan="off", log_config=None, ws=_Protocol, timeout_graceful_shutdown=1
    )
    # without its main loop, whose 100 ms ticks would be most of each test's time
    process = uvicorn.Server(config)
    config.load()
    process.lifespan = config.lifespan_class(config)
    await process.startup(sockets=[listening])
    try:
        yield server
    finally:
        for listener in process.servers:
            listener.close()
        for connection in list(process.server_state.connections):
            connection.shutdown()
        if process.server_state.tasks:
            await asyncio.wait(set(process.server_state.tasks), timeout=2)
        listening.close()
