"""The REST API tells what happened to whoever may know it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.api import Console, api_router
from voicebot.console.readers import anyone
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel, Event
from voicebot.core.store import outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

TOKEN = "token-of-the-test"


@asynccontextmanager
async def api(
    database: Database, keys: KeyRing, bus: Bus, *, token: str | None = TOKEN, local: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """The API on a real socket."""
    app = FastAPI()
    guard = bearer_guard(SecretStr(token) if token else None, insecure_local=local)
    app.include_router(api_router(Console(database, keys, bus), anyone(guard)))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        server.capture_signals = _nothing  # type: ignore[method-assign]
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            server.force_exit = True
            await serving


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def a_conversation(database: Database, keys: KeyRing) -> str:
    async with database.transaction() as tx:
        return await Conversations(keys).create(
            tx,
            channel=Channel.PHONE,
            call_sid="CA" + "1" * 32,
            caller="+15550001",
            called="+15550002",
            state={},
        )


async def happened(database: Database, keys: KeyRing, conversation_id: str, n: int) -> None:
    """Stores event ``n`` of a conversation."""
    async with database.transaction() as tx:
        snapshot = await Conversations(keys).load(tx, conversation_id)
        event = Event(
            id=f"ev_{conversation_id}_{n}",
            type="test.happened",
            conversation_id=conversation_id,
            turn=n,
            time=datetime.now(UTC),
            data={"n": n},
        )
        await outbox.append(tx, keys, snapshot.subject_id, event)


async def test_without_the_token_nothing_is_told(database: Database, keys: KeyRing):
    async with api(database, keys, Bus()) as client:
        assert (await client.get("/api/conversations")).status_code == 401
        wrong = {"Authorization": "Bearer token-of-the-tesT"}
        assert (await client.get("/api/conversations", headers=wrong)).status_code == 401
        assert (await client.get("/api/conversations", headers=BEARER)).status_code == 200


async def test_without_a_token_set_the_api_is_closed_and_says_why(database: Database, keys: KeyRing):
    async with api(database, keys, Bus(), token=None) as client:
        answer = await client.get("/api/conversations", headers=BEARER)
        assert answer.status_code == 403
        assert "VOICEBOT_API_TOKEN" in answer.text
    async with api(database, keys, Bus(), token=None, local=True) as client:
        assert (await client.get("/api/conversations")).status_code == 200


async def test_insecure_local_tells_nothing_to_who_comes_through_a_tunnel_or_another_host(
    database: Database, keys: KeyRing
):
    async with api(database, keys, Bus(), local=True) as client:
        assert (await client.get("/api/conversations")).status_code == 200
        for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Host": "voice.example.com"}):
            assert (await client.get("/api/conversations", headers=headers)).status_code == 401
            both = {**headers, **BEARER}
            assert (await client.get("/api/conversations", headers=both)).status_code == 200


async def test_nonsense_in_an_address_is_a_clear_refusal(database: Database, keys: KeyRing):
    async with api(database, keys, Bus(), local=True) as client:
        assert (await client.get("/api/conversations/%00")).status_code == 404


async def test_a_conversation_is_told_whole_and_an_unknown_one_is_404(database: Database, keys: KeyRing):
    conversation_id = await a_conversation(database, keys)
    await happened(database, keys, conversation_id, 1)
    async with api(database, keys, Bus(), local=True) as client:
        found = (await client.get(f"/api/conversations/{conversation_id}")).json()
        assert found["id"] == conversation_id
        assert [event["data"] for event in found["events"]] == [{"n": 1}]
        for unknown in ("cv_0", "cv_" + "0" * 32):
            assert (await client.get(f"/api/conversations/{unknown}")).status_code == 404


async def test_the_list_names_the_call_and_nothing_personal(database: Database, keys: KeyRing):
    await a_conversation(database, keys)
    async with api(database, keys, Bus(), local=True) as client:
        answer = await client.get("/api/conversations")
    assert [row["call_sid"] for row in answer.json()] == ["CA" + "1" * 32]
    assert "+1555" not in answer.text
