"""Virtual time jumps when nothing is left to do, and stands still while outside work is in flight."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from virtual_time import VirtualTimeError, outside_work, run, virtual


@virtual
async def test_an_hour_passes_at_once_and_exactly() -> None:
    loop, real = asyncio.get_running_loop(), time.monotonic()
    began = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - began == pytest.approx(3600, abs=1e-6)
    assert time.monotonic() - real < 600


@virtual
async def test_timers_fire_in_their_order() -> None:
    order: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    await asyncio.gather(after(30, "c"), after(0.01, "a"), after(2, "b"))
    assert order == ["a", "b", "c"]


@virtual
async def test_a_timeout_does_not_fire_while_a_thread_works() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.to_thread(time.sleep, 0.15)  # real time, on purpose


@virtual
async def test_a_timeout_does_not_fire_while_a_descriptor_is_waited_for() -> None:
    """Psycopg waits like this for the answer to a query."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(ours, readable.set)
    threading.Timer(0.15, theirs.send, (b"x",)).start()
    async with asyncio.timeout(0.01):
        await readable.wait()
    loop.remove_reader(ours)
    began = loop.time()
    await asyncio.sleep(5)  # and once it is answered, time goes on
    assert loop.time() - began == pytest.approx(5)
    ours.close()
    theirs.close()


@virtual
async def test_a_timeout_does_not_fire_inside_outside_work() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    threading.Timer(0.15, lambda: loop.call_soon_threadsafe(done.set)).start()
    with outside_work():
        async with asyncio.timeout(0.01):
            await done.wait()


@virtual
async def test_a_timeout_fires_where_nothing_is_in_flight() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.Event().wait()


@virtual
async def test_a_server_and_its_client_on_this_loop_talk_without_time_passing() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(20):
        async with asyncio.timeout(0.05):
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_what_never_comes_back_is_named() -> None:
    release = threading.Event()

    async def hang() -> None:
        waiting = asyncio.get_running_loop().run_in_executor(None, release.wait, 60)
        try:
            await waiting
        finally:
            release.set()

    with pytest.raises(VirtualTimeError, match="executor"):
        run(hang(), stuck_s=0.2)


def test_a_loop_that_nothing_can_wake_fails() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeError, match="no task can go on"):
        run(forever())
