"""A local server that speaks the streaming protocols of OpenAI (chat completions) and Anthropic (messages).

What it answers is set by ``behave``: the words, and a fault to play. It remembers what it was asked and
whether the client closed the stream early. Protocols: platform.openai.com/docs/api-reference/chat/streaming
and docs.anthropic.com/en/api/messages-streaming.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

WORDS = ["You ", "have ", "thirty ", "days. ", "It ", "should ", "be ", "unused. ", "Third ", "sentence."]


@dataclass
class LanguageModelServer:
    """State of the server: what to do, and what was seen."""

    words: list[str] = field(default_factory=lambda: list(WORDS))
    fault: str = ""
    """``stall`` before the first token, ``stall_later`` after two, ``broken_json``, ``cut``, ``error``,
    ``tool``, ``endless``, ``empty``."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0
    closed_early: bool = False

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def openai(request: Request) -> Any:
            return await self._answer(request, _openai_events, "openai")

        @app.post("/v1/messages")
        async def anthropic(request: Request) -> Any:
            return await self._answer(request, _anthropic_events, "anthropic")

        return app

    async def _answer(self, request: Request, events: Any, kind: str) -> Any:
        body = await request.json()
        self.requests.append({"kind": kind, "headers": dict(request.headers), "body": body})
        if self.fault == "error":
            return JSONResponse(
                {"error": {"type": "overloaded_error", "message": "try later"}}, status_code=529
            )
        return StreamingResponse(self._stream(events), media_type="text/event-stream")

    async def _stream(self, events: Any) -> AsyncIterator[str]:
        self.sent = 0
        try:
            async for event in events(self):
                yield event
        except asyncio.CancelledError:
            self.closed_early = True
            raise

    async def tokens(self) -> AsyncIterator[str]:
        if self.fault == "stall":
            await asyncio.sleep(60)
        if self.fault == "empty":
            return
        endless = self.fault == "endless"
        words = self.words
        while True:
            for nth, word in enumerate(words):
                if self.fault == "stall_later" and nth == 2:
                    await asyncio.sleep(60)
                yield word
                self.sent += 1
                await asyncio.sleep(0.001)
            if not endless:
                return


def _sse(data: Any, event: str | None = None) -> str:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


async def _openai_events(server: LanguageModelServer) -> AsyncIterator[str]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _sse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "test",
                "choices": [choice],
            }
        )

    yield chunk({"role": "assistant", "content": ""})
    if server.fault == "tool":
        call = {"name": "refund_everything", "arguments": "{}"}
        yield chunk({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": call}]})
        yield chunk({}, "tool_calls")
    else:
        async for word in server.tokens():
            if server.fault == "broken_json":
                yield _sse('{"id": "chatcmpl-1", "choices": [{"delta": {"content"')
            yield chunk({"content": word})
            if server.fault == "cut":
                return
        yield chunk({}, "stop")
    yield _sse("[DONE]")


async def _anthropic_events(server: LanguageModelServer) -> AsyncIterator[str]:
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "test", "content": []}
    start = {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _sse({"type": "message_start", "message": start}, "message_start")
    if server.fault == "tool":
        block = {"type": "tool_use", "id": "t1", "name": "refund_everything", "input": {}}
    else:
        block = {"type": "text", "text": ""}
    yield _sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
    yield _sse({"type": "ping"}, "ping")
    if server.fault != "tool":
        async for word in server.tokens():
            if server.fault == "broken_json":
                yield _sse('{"type": "content_block_delta", "index"', "content_block_delta")
            delta = {"type": "text_delta", "text": word}
            yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
            if server.fault == "cut":
                return
    yield _sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _sse({"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}}, "message_delta")
    yield _sse({"type": "message_stop"}, "message_stop")


@contextlib.asynccontextmanager
async def running(server: LanguageModelServer) -> AsyncIterator[str]:
    """Serves on loopback; gives the base URL."""
    import uvicorn

    config = uvicorn.Config(server.app(), host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    web = uvicorn.Server(config)
    web.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(web.serve())
    while not web.started:
        await asyncio.sleep(0.01)
    port = web.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        web.should_exit = True
        web.force_exit = True
        await task
