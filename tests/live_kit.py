"""The live transcript's routes on a real socket, and a conversation in which words fall."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from voicebot.console.access import bearer_guard
from voicebot.console.api import Console, api_router
from voicebot.console.live_routes import live_router
from voicebot.console.readers import Reader, anyone
from voicebot.console.sse import Readers
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel, Event
from voicebot.core.store import outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import Told
from voicebot.runtime.server import shared_socket


@asynccontextmanager
async def serving(
    database: Database,
    keys: KeyRing,
    bus: Bus,
    *,
    token: str | None = None,
    local: bool = True,
    readers: Readers | None = None,
    who: Callable[[HTTPConnection], Reader] | None = None,
    reveals: tuple[str, ...] = (),
) -> AsyncGenerator[str]:
    """The API on a free port; yields its address, ``http://127.0.0.1:N``."""
    app = FastAPI()
    guard = bearer_guard(SecretStr(token) if token else None, insecure_local=local)
    console = Console(database, keys, bus)
    app.include_router(api_router(console, who or anyone(guard)))
    app.include_router(live_router(console, who or anyone(guard), reveals=reveals, readers=readers))
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        ws="websockets-sansio",
        http="httptools",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
    with shared_socket("127.0.0.1", 0, listen=True) as sock:
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await serving


@dataclass
class Talk:
    """One conversation, written to as turns and legs would."""

    database: Database
    keys: KeyRing
    id: str
    subject: str
    n: int = 0
    lines: list[tuple[int, str]] = field(default_factory=list)
    """(id, text) of all that was stored and is told, in the order of commits."""

    @classmethod
    async def begin(cls, database: Database, keys: KeyRing, call_sid: str = "CA" + "1" * 32) -> Talk:
        """A new conversation."""
        conversations = Conversations(keys)
        async with database.transaction() as tx:
            made = await conversations.create(
                tx, channel=Channel.PHONE, call_sid=call_sid, caller="+15550001", called="+15550002", state={}
            )
            snapshot = await conversations.load(tx, made)
        return cls(database, keys, made, snapshot.subject_id)

    async def store(self, *events: tuple[str, dict[str, Any]], fails: bool = False) -> None:
        """Stores events in one transaction; ``fails``: it is rolled back."""
        try:
            async with self.database.transaction() as tx:
                stored = [
                    (await outbox.append(tx, self.keys, self.subject, self.event(*one)), one)
                    for one in events
                ]
                if fails:
                    raise _RolledBack
        except _RolledBack:
            return
        self.lines += [(seq, data.get("text", kind)) for seq, (kind, data) in stored]

    async def line(self, text: str, who: str = "caller", *, fails: bool = False) -> None:
        """A line of a leg."""
        await self.store(("leg.line", {"who": who, "text": text}), fails=fails)

    async def end(self) -> None:
        """The call is over."""
        async with self.database.transaction() as tx:
            await Conversations(self.keys).finish(tx, self.id, reason="caller_hung_up")
        await self.store(("call.ended", {"reason": "caller_hung_up"}))

    def event(self, kind: str, data: dict[str, Any]) -> Event:
        """One event of this conversation."""
        self.n += 1
        return Event(
            id=f"ev_{self.id}_{self.n}",
            type=kind,
            conversation_id=self.id,
            time=datetime.now(UTC),
            data=data,
        )


class _RolledBack(Exception):
    pass


async def read_sse(
    client: httpx.AsyncClient, path: str, *, after: int | None = None, count: int | None = None
) -> list[Told]:
    """Entries of a stream: the first ``count``, or all until the server ends it."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    seen: list[Told] = []
    async with asyncio.timeout(60), client.stream("GET", path, headers=headers) as stream:
        if stream.status_code != 200:
            return seen
        number: int | None = None
        async for text in stream.aiter_lines():
            if text.startswith("id: "):
                number = int(text[4:])
            elif text.startswith("data: "):
                entry = Told.model_validate_json(text[6:])
                assert entry.id == number, "the frame's id is the entry's"
                seen.append(entry)
                number = None
                if len(seen) == count:
                    break
    return seen


def entries_of(messages: list[str | bytes]) -> list[Told]:
    """What came over a WebSocket, without the signs of life."""
    return [Told.model_validate_json(one) for one in messages if json.loads(one)["type"] != "quiet"]
