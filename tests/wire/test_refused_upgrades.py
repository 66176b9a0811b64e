"""A WebSocket that is refused is answered, counts at the door, and is no error of ours in the log."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus

from voicebot.channels.door import BURST, Door
from voicebot.console.access import bearer_guard
from voicebot.console.live_routes import live_router
from voicebot.console.readers import anyone
from voicebot.console.talks import talks_router
from voicebot.runtime.refusing import RefusingSockets


async def test_who_knocks_without_a_key_is_refused_quietly_and_then_not_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    none: Any = SimpleNamespace(database=None)
    door, app = Door(lambda: 0.0), FastAPI()
    who = anyone(bearer_guard(SecretStr("t" * 20), insecure_local=False))
    app.include_router(talks_router(none, none, none, none, who, door))
    app.include_router(live_router(none, who, door=door))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws=RefusingSockets))
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0)
        here = f"ws://127.0.0.1:{sock.getsockname()[1]}"
        with caplog.at_level(logging.WARNING):
            for nth in range(int(BURST)):
                path = "/api/talks/tk_1/audio" if nth % 2 else "/api/conversations/cv_1/stream"
                with pytest.raises(InvalidStatus) as refused:
                    await websockets.connect(f"{here}{path}", proxy=None)
                assert refused.value.response.status_code == 401
        server.should_exit = True
        await serving
    assert caplog.records == []
    assert door.closed("127.0.0.1")
    door.welcomed("127.0.0.1")
    assert not door.closed("127.0.0.1"), "who has shown a key is always heard"
