"""Who connects is who the socket says: no `X-Forwarded-*` changes it, not even from this machine."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import httpx
from fastapi import FastAPI, Request

from voicebot.runtime.server import NodeServer, shared_socket


async def test_a_server_behind_no_proxy_believes_no_forwarded_header() -> None:
    """Else each program of this machine could take any address, and with it another's limits."""
    app = FastAPI()

    @app.get("/who")
    async def who(request: Request) -> list[str]:
        assert request.client is not None
        return [request.client.host, request.url.scheme]

    _ = who
    server = NodeServer(app, lambda number: None)
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    listening = shared_socket("127.0.0.1", 0, listen=True)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0)
    pretending = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60
    ) as http:
        assert (await http.get("/who", headers=pretending)).json() == ["127.0.0.1", "http"]
    server.should_exit = True
    await serving
