"""A body that is too large or never whole is refused in words, and costs no more memory than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Request
from pydantic import BaseModel
from twilio_kit import free_port, serving

from voicebot.runtime.body_limit import BodyLimit

MOST = 1000


class Note(BaseModel):
    text: str


@asynccontextmanager
async def limited(within_s: float) -> AsyncIterator[str]:
    app = FastAPI()

    @app.post("/api/notes")
    async def note(body: Note) -> int:
        return len(body.text)

    @app.post("/twilio/voice")
    async def voice(request: Request) -> int:
        return len(await request.body())

    @app.get("/api/events")
    async def events(request: Request) -> bool:
        async with asyncio.timeout(30):
            return await request.is_disconnected()

    _ = (note, voice, events)
    app.add_middleware(BodyLimit, most_bytes=MOST, within_s=within_s)
    async with serving(app, free_port()) as where:
        yield where


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    async with limited(60.0) as where:
        yield where


def of(size: int) -> bytes:
    """A note whose JSON has that many bytes."""
    return b'{"text":"' + b"x" * (size - 11) + b'"}'


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 100):
        yield body[at : at + 100]


@pytest.mark.parametrize(("size", "status"), [(MOST, 200), (MOST + 1, 413), (50 * MOST, 413)])
@pytest.mark.parametrize("announced", [True, False])
async def test_one_byte_too_much_is_refused_whether_announced_or_not(
    url: str, size: int, status: int, announced: bool
) -> None:
    body = of(size)
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(
            f"{url}/api/notes",
            content=body if announced else in_pieces(body),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == status
        if status == 413:
            assert answer.json() == {"detail": "the body is too large: at most 1000 bytes are read"}
        again = await client.post(f"{url}/api/notes", json={"text": "x"})
        assert again.json() == 1, "the next request is not spoilt"


async def test_a_body_that_trickles_is_not_waited_for() -> None:
    async with limited(0.5) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 900\r\n\r\n" + of(900)[:100])
        async with asyncio.timeout(30):
            answer = await reader.read()  # to its end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 408")
        assert answer.endswith(b'{"detail":"the body did not come in 0.5 s"}')
        writer.close()


async def test_what_has_its_own_limit_or_no_body_is_left_alone(url: str) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.post(f"{url}/twilio/voice", content=b"x" * 5000)).json() == 5000
        assert (await client.get(f"{url}/api/events")).json() is False
