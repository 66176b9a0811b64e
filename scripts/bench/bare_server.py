"""A bare server on Twilio's wire, to measure callers with: it hums, and knows nothing.

    .venv/bin/python -m scripts.bench.bare_server [--answers-after 400] [--hums 2000] [--room N]
                     [--hole-every N --hole MS] [--parent PID]

Prints ``{"url": ...}`` and serves until its parent has gone. It greets with a hum, hums again
``--answers-after`` ms after the caller's last sound, and stops when spoken to. So what callers measure is
known beforehand. ``--room``: refuses further calls as busy. ``--hole``: every so many messages it is late by
that.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from voicebot.proof.simulation.clips import tone
from voicebot.proof.simulation.meter import VoiceMeter

MESSAGE_MS = 100
LEAD_MS = 300


@dataclass(frozen=True)
class Manners:
    """How it behaves; times in ms."""

    answers_after: int = 400
    hums: int = 2000
    room: int = 10_000
    hole_every: int = 0
    hole: int = 0
    ready: bool = True


class BareServer:
    """The routes that a load test needs."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._calls = 0
        self._host = ""

    def app(self) -> FastAPI:
        """All of it."""
        app = FastAPI()

        @app.get("/readyz")
        async def readyz() -> JSONResponse:
            if not self._manners.ready:
                return JSONResponse({"status": "not ready", "wrong": {"node": "draining"}}, status_code=503)
            return JSONResponse({"status": "ready"})

        @app.get("/metrics")
        async def metrics() -> PlainTextResponse:
            return PlainTextResponse("voicebot_loop_lag_seconds 0.0\n")

        @app.post("/twilio/voice")
        async def voice(request: Request) -> Response:
            if self._calls >= self._manners.room:
                return _twiml('<Reject reason="busy"/>')
            self._calls += 1  # given back when its stream is over
            stream = f'<Stream url="ws://{request.url.netloc}/twilio/media"/>'
            return _twiml(f"<Connect>{stream}</Connect>")

        @app.post("/twilio/status")
        async def status() -> Response:
            return Response(status_code=204)

        @app.websocket("/twilio/media")
        async def media(socket: WebSocket) -> None:
            await socket.accept()
            try:
                await _Call(socket, self._manners).run()
            finally:
                self._calls -= 1

        _ = (readyz, metrics, voice, status, media)
        return app


def _twiml(verbs: str) -> Response:
    return Response(f"<Response>{verbs}</Response>", media_type="text/xml")


class _Call:
    def __init__(self, socket: WebSocket, manners: Manners) -> None:
        self._socket = socket
        self._manners = manners
        self._meter = VoiceMeter()
        self._humming: asyncio.Task[None] | None = None
        self._sid = ""
        self._sent = 0

    async def run(self) -> None:
        quiet_ms, spoke = 0, False
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                message = json.loads(await self._socket.receive_text())
                if message["event"] == "start":
                    self._sid = message["streamSid"]
                    self._hum()
                elif message["event"] == "stop":
                    await self._socket.close()
                    break
                elif message["event"] == "media":
                    if self._meter.loud(base64.b64decode(message["media"]["payload"])):
                        quiet_ms, spoke = 0, True
                        await self._hush()
                    else:
                        quiet_ms += 20
                    if spoke and quiet_ms >= self._manners.answers_after:
                        spoke = False
                        self._hum()
        if self._humming is not None:
            self._humming.cancel()

    def _hum(self) -> None:
        if self._humming is None or self._humming.done():
            self._humming = asyncio.create_task(self._sound())

    async def _hush(self) -> None:
        if self._humming is not None and not self._humming.done():
            self._humming.cancel()
            await self._say({"event": "clear"})

    async def _sound(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            for n in range(self._manners.hums // MESSAGE_MS):
                await asyncio.sleep(began + (n * MESSAGE_MS - LEAD_MS) / 1000 - loop.time())
                self._sent += 1
                if self._manners.hole_every and self._sent % self._manners.hole_every == 0:
                    await asyncio.sleep((LEAD_MS + self._manners.hole) / 1000)
                    began += (LEAD_MS + self._manners.hole) / 1000
                await self._say({"event": "media", "media": {"payload": _HUM}})
                await self._say({"event": "mark", "mark": {"name": f"m{self._sent}"}})

    async def _say(self, message: dict) -> None:
        await self._socket.send_text(json.dumps(message | {"streamSid": self._sid}))


_HUM = base64.b64encode(tone(MESSAGE_MS, 220, level=0.3)).decode()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def serving(manners: Manners) -> AsyncIterator[str]:
    """The server in this loop, until the block is left; gives its URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        BareServer(manners).app(),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110  # uvicorn offers no event
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


async def _serve(manners: Manners, parent: int | None) -> None:
    async with serving(manners) as url:
        print(json.dumps({"url": url}), flush=True)
        while parent is None or os.getppid() == parent:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (
        ("answers-after", 400),
        ("hums", 2000),
        ("room", 10_000),
        ("hole-every", 0),
        ("hole", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--parent", type=int)
    given = vars(parser.parse_args())
    parent = given.pop("parent")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Manners(**given), parent))


if __name__ == "__main__":
    main()
