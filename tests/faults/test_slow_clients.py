"""A connection that asks for nothing, or without an end, is closed; who asks slowly but does is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
from fastapi import FastAPI, HTTPException, Request
from twilio_kit import free_port, url_of

from voicebot.channels.door import BURST, Door
from voicebot.runtime import guarded_http
from voicebot.runtime.guarded_http import MOST_HEAD_BYTES, GuardedHttp
from voicebot.runtime.server import NodeServer


class Impatient(GuardedHttp):
    head_within_s = 0.2


class Patient(GuardedHttp):
    """For those who ask in time, on a machine that may stall."""

    head_within_s = 60.0
    held_s = 0.2


class Holding(Patient):
    """Keeps those that it does not listen to for as long as a test takes."""

    held_s = 60.0


class Server(NodeServer):
    port = 0

    def __init__(self, app: FastAPI, http: type[GuardedHttp]) -> None:
        self.door = Door()
        super().__init__(app, lambda _: None, self.door)
        assert self.config.http.func is GuardedHttp  # what a node runs
        self.config.http = partial(http, self.door)
        self.config.lifespan = "off"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        listening = free_port()
        task = asyncio.create_task(self.serve(sockets=[listening]))
        while not self.started:  # uvicorn offers no event
            await asyncio.sleep(0.005)
        self.port = int(url_of(listening).rpartition(":")[2])
        try:
            yield
        finally:
            self.should_exit = True
            await task
            listening.close()


@asynccontextmanager
async def echoing(http: type[GuardedHttp]) -> AsyncIterator[int]:
    async with served(http) as server:
        yield server.port


@asynccontextmanager
async def served(http: type[GuardedHttp]) -> AsyncIterator[Server]:
    app = FastAPI()

    @app.post("/")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.post("/refused")
    async def refused(request: Request) -> None:
        assert request.client is not None
        server.door.refused(request.client.host)
        raise HTTPException(403)

    _ = (echo, refused)
    server = Server(app, http)
    async with server.running():
        yield server


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    async with echoing(Impatient) as number:
        yield number


@pytest_asyncio.fixture
async def patient() -> AsyncIterator[int]:
    async with echoing(Patient) as number:
        yield number


async def answered(port: int, *pieces: bytes, every_s: float = 0.0) -> bytes:
    """What comes back until the other side closes; empty: nothing.

    The first piece is there before the server looks, since nothing else runs meanwhile.
    """
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(b"".join(pieces[:1]))
    peer.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=peer)
    try:
        await asyncio.sleep(every_s)
        for piece in pieces[1:]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)  # the peer's slowness is the subject
        return await asyncio.wait_for(reader.read(), 60)
    except (ConnectionResetError, BrokenPipeError):
        return b""
    finally:
        writer.close()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("pieces", [(), (b"POST",), (b"POST / HTTP/1.1\r\nHost: x\r\n",)])
async def test_one_that_never_asks(port: int, pieces: tuple[bytes, ...]) -> None:
    assert await answered(port, *pieces) == b""


async def test_one_that_asks_letter_by_letter(port: int) -> None:
    assert await answered(port, *(bytes([c]) for c in HEAD[:30]), every_s=0.02) == b""


async def test_one_whose_head_has_no_end(patient: int) -> None:
    lines = (b"X-%d: " % n + b"a" * 8000 + b"\r\n" for n in range(MOST_HEAD_BYTES // 8000 + 2))
    assert await answered(patient, b"POST / HTTP/1.1\r\n", *lines) == b""


async def test_one_that_asks_in_two_pieces(patient: int) -> None:
    """A near miss: the head in time."""
    said = await answered(patient, HEAD[:20], HEAD[20:], b"hi", every_s=0.09)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"2")


async def test_one_that_takes_its_time_for_the_body(port: int) -> None:
    """The other: the head in time, the body when a head would be too late."""
    said = await answered(port, HEAD, b"h", b"i", every_s=0.15)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"2")


async def test_an_address_that_only_ever_asks_for_nonsense_is_listened_to_no_more(patient: int) -> None:
    """And is again, once it has shown a good signature."""
    for _ in range(int(BURST)):
        assert b"400" in await answered(patient, b"nonsense\r\n\r\n")
    assert await answered(patient, HEAD + b"hi") == b""


def close_the_door(server: Server) -> None:
    for _ in range(int(BURST)):
        server.door.refused("127.0.0.1")


async def test_who_is_not_listened_to_waits_and_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So whoever comes back as soon as they are sent away comes seldom; of too many none is kept."""
    monkeypatch.setattr(guarded_http, "MOST_HELD", 2)
    async with served(Holding) as server:
        close_the_door(server)
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for _, writer in held:
            writer.write(HEAD + b"hi")
            await writer.drain()
        assert await answered(server.port, HEAD + b"hi") == b"", "one too many"
        assert server.door.held == 2
        assert not any(reader.at_eof() for reader, _ in held)
        server.door.welcomed("127.0.0.1")
        assert b"200" in await answered(server.port, HEAD + b"hi"), "others are heard meanwhile"
        for _, writer in held:
            writer.close()


async def test_many_at_once_are_not_all_let_in_for_one_place() -> None:
    """Of an address with one refusal left: else each of them would be refused at length."""
    async with served(Holding) as server:
        for _ in range(int(BURST) - 1):
            server.door.refused("127.0.0.1")
        many = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(40)]
        async with asyncio.timeout(30):
            while server.door.held < 30:
                await asyncio.sleep(0.01)
        for _, writer in many:
            writer.close()


async def test_a_place_of_one_who_waits_is_free_again() -> None:
    async with served(Patient) as server:
        close_the_door(server)
        for _ in range(3):
            assert await answered(server.port, HEAD + b"hi") == b""
        assert server.door.held == 0


async def test_a_kept_connection_ends_with_the_refusal_that_was_too_many(patient: int) -> None:
    """One that stays open asks no less than one that is made anew."""
    ask = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    said = await answered(patient, ask * (int(BURST) + 30))
    assert said.count(b"403") in {int(BURST), int(BURST) + 1}  # two more a second
