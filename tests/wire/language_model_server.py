"""A local server that speaks the streaming protocols of OpenAI (chat completions) and Anthropic (messages).

What it answers is set by ``behave``: the words, and a fault to play. It remembers what it was asked and
whether the client closed the stream early. Protocols: platform.openai.com/docs/api-reference/chat/streaming
and docs.anthropic.com/en/api/messages-streaming.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

USAGE_IN, USAGE_OUT = 210, 17
_STATUS = {
    "error": (529, "overloaded_error", {}),
    "rate_limit": (429, "rate_limit_error", {"retry-after": "7"}),
    "bad_key": (401, "authentication_error", {}),
    "no_model": (404, "not_found_error", {}),
}
WORDS = ["You ", "have ", "thirty ", "days. ", "It ", "should ", "be ", "unused. ", "Third ", "sentence."]


@dataclass
class LanguageModelServer:
    """State of the server: what to do, and what was seen."""

    words: list[str] = field(default_factory=lambda: list(WORDS))
    fault: str = ""
    """``stall`` before the first token, ``stall_later`` after two, ``stall_at_end``, ``drip`` a token every
    0.15 s, ``broken_json``, ``cut`` after the first, ``cut_at_end``, ``error``, ``rate_limit``, ``bad_key``,
    ``no_model``, ``tool``, ``tool_stop``, ``tool_later``, ``endless``, ``empty``, ``refusal``, ``length``."""
    reply: Callable[[dict[str, Any]], Sequence[str]] | None = None
    """Words by the request's body, in place of ``words``."""
    first_token_s: float = 0.0
    """Thought before the first word."""
    may_speak: asyncio.Event | None = None
    """It thinks until this is set."""
    faults: dict[str, str] = field(default_factory=dict[str, str])
    """The same by the name of the model, before ``fault``."""
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
        fault = self.faults.get(body["model"], self.fault)
        if fault in _STATUS:
            status, kind_of, headers = _STATUS[fault]
            said = {"type": kind_of, "message": "try later"}
            return JSONResponse({"error": said}, status_code=status, headers=headers)
        words = self.words if self.reply is None else self.reply(body)
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        answer = _Answer(self, words, fault, usage=usage)
        return StreamingResponse(self._stream(events, answer), media_type="text/event-stream")

    async def _stream(self, events: Any, answer: _Answer) -> AsyncIterator[str]:
        self.sent = 0
        try:
            async for event in events(answer):
                yield event
        except asyncio.CancelledError:
            self.closed_early = True
            raise


@dataclass
class _Answer:
    """One answer on its way."""

    server: LanguageModelServer
    words: Sequence[str]
    fault: str
    usage: bool

    async def tokens(self) -> AsyncIterator[str]:
        if self.fault == "stall":
            await asyncio.sleep(60)
        if self.fault in {"empty", "refusal"}:
            return
        await asyncio.sleep(self.server.first_token_s)
        if self.server.may_speak is not None:
            await self.server.may_speak.wait()
        while True:
            for nth, word in enumerate(self.words):
                if self.fault == "stall_later" and nth == 2:
                    await asyncio.sleep(60)
                yield word
                self.server.sent += 1
                await asyncio.sleep(0.15 if self.fault == "drip" else 0.001)
            if self.fault == "stall_at_end":
                await asyncio.sleep(60)
            if self.fault != "endless":
                return


def _sse(data: Any, event: str | None = None) -> str:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


async def _openai_events(answer: _Answer) -> AsyncIterator[str]:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        return _sse({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def tool() -> str:
        call = {"name": "refund_everything", "arguments": "{}"}
        return chunk({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": call}]})

    yield chunk({"role": "assistant", "content": ""})
    finish = {"length": "length", "tool": "tool_calls", "tool_later": "tool_calls"}.get(answer.fault, "stop")
    if answer.fault in {"tool", "tool_stop"}:
        yield tool()
    elif answer.fault == "refusal":
        yield chunk({"refusal": "I can't help with that."})
    else:
        async for word in answer.tokens():
            if answer.fault == "broken_json":
                yield _sse('{"id": "chatcmpl-1", "choices": [{"delta": {"content"')
            yield chunk({"content": word})
            if answer.fault == "cut":
                return
        if answer.fault == "cut_at_end":
            return
        if answer.fault == "tool_later":
            yield tool()
    yield chunk({}, finish)
    if answer.usage:
        total = {"prompt_tokens": USAGE_IN, "completion_tokens": USAGE_OUT}
        yield _sse({**frame, "choices": [], "usage": {**total, "total_tokens": USAGE_IN + USAGE_OUT}})
    yield _sse("[DONE]")


async def _anthropic_events(answer: _Answer) -> AsyncIterator[str]:
    usage = {"input_tokens": USAGE_IN, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "test", "content": []}
    start = {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}
    tool = {"type": "tool_use", "id": "t1", "name": "refund_everything", "input": {}}
    text = {"type": "text", "text": ""}

    def begin(index: int, block: dict[str, Any]) -> str:
        return _sse(
            {"type": "content_block_start", "index": index, "content_block": block}, "content_block_start"
        )

    def end(index: int) -> str:
        return _sse({"type": "content_block_stop", "index": index}, "content_block_stop")

    yield _sse({"type": "message_start", "message": start}, "message_start")
    asks = answer.fault in {"tool", "tool_stop"}
    yield begin(0, tool if asks else text)
    yield _sse({"type": "ping"}, "ping")
    if not asks:
        async for word in answer.tokens():
            if answer.fault == "broken_json":
                yield _sse('{"type": "content_block_delta", "index"', "content_block_delta")
            delta = {"type": "text_delta", "text": word}
            yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
            if answer.fault == "cut":
                return
        if answer.fault == "cut_at_end":
            return
    yield end(0)
    if answer.fault == "tool_later":
        yield begin(1, tool)
        yield end(1)
    reasons = {"refusal": "refusal", "length": "max_tokens", "tool": "tool_use", "tool_later": "tool_use"}
    stop = {"stop_reason": reasons.get(answer.fault, "end_turn"), "stop_sequence": None}
    told = {"output_tokens": USAGE_OUT}
    yield _sse({"type": "message_delta", "delta": stop, "usage": told}, "message_delta")
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
