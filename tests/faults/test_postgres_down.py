"""A stopped or hung Postgres is reported within about two seconds, and is used again when it is back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from twilio_kit import eventually

from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel, Event
from voicebot.core.store import embedded, postmaster
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.core.store.outbox import Relay, append

TIMEOUT_S = 1.0
SLACK_S = 15.0
"""What a busy test machine may add."""

PATIENCE_S = 60.0
"""For what is not to be given up: the machine may stall for longer than a server waits."""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o755)
    yield home / "data"
    embedded.erase(home / "data")
    shutil.rmtree(home)


class Server:
    """A Postgres that tests stop, freeze and kill; always running again at the end."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.start()
        self.url = self.running.url

    def start(self) -> None:
        self.running = EmbeddedPostgres.start(self._data_dir, settings={"fsync": "off"})

    def stop(self) -> None:
        self.running.stop()

    def signal(self, number: signal.Signals) -> None:
        for pid in postmaster.processes(self.running.data_dir):
            with suppress(ProcessLookupError):  # a backend may end between the look and the signal
                os.kill(pid, number)


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    server = Server(data_dir)
    ensure_schema(server.url)
    yield server
    server.signal(signal.SIGCONT)
    server.stop()


@pytest_asyncio.fixture
async def store(server: Server) -> AsyncIterator[Database]:
    opened = await Database.open(server.url, max_size=4, timeout_s=PATIENCE_S)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def hasty(server: Server) -> AsyncIterator[Database]:
    """One whose limit may pass."""
    opened = await Database.open(server.url, min_size=0, max_size=4, timeout_s=TIMEOUT_S)
    yield opened
    await opened.close()


async def ask(database: Database) -> int:
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT 42 AS answer")).fetchone()
    assert row is not None
    return row["answer"]


async def answers(database: Database, at_once: int = 1) -> None:
    """Waits until it does; on a machine that stalls not at the first try."""

    async def all_of_them() -> bool:
        return all(await asyncio.gather(*(database.healthy() for _ in range(at_once))))

    await eventually(all_of_them)


async def failing(database: Database) -> float:
    """Seconds until the failure."""
    began = time.monotonic()
    with pytest.raises(DatabaseDown):
        await ask(database)
    return time.monotonic() - began


async def test_stopped_and_back(server: Server, store: Database) -> None:
    await asyncio.gather(*(ask(store) for _ in range(4)))  # connections that go stale
    server.stop()
    for _ in range(3):
        assert await failing(store) < SLACK_S, "a stopped one is known at once, not after the time limit"
    assert not await store.healthy()
    server.start()
    assert await ask(store) == 42, "the first one after it is back works"


async def test_restarted_unnoticed(server: Server, store: Database) -> None:
    await asyncio.gather(*(ask(store) for _ in range(4)))
    server.stop()
    server.start()
    assert await asyncio.gather(*(ask(store) for _ in range(4))) == [42] * 4


async def test_hung_and_back(server: Server, hasty: Database) -> None:
    await answers(hasty, 4)
    server.signal(signal.SIGSTOP)
    for _ in range(2):
        assert await failing(hasty) < TIMEOUT_S + SLACK_S
    began = time.monotonic()
    await asyncio.gather(*(failing(hasty) for _ in range(12)))
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S, "many at once, more than there are connections"
    assert not await hasty.healthy()
    server.signal(signal.SIGCONT)
    await answers(hasty)


async def test_hung_in_the_middle_of_a_transaction(server: Server, store: Database, hasty: Database) -> None:
    async def write() -> None:
        async with hasty.transaction() as tx:
            await tx.execute("INSERT INTO switches (name, is_on, changed_by) VALUES ('half', true, 'x')")
            server.signal(signal.SIGSTOP)
            await tx.execute("SELECT 1")

    began = time.monotonic()
    with pytest.raises(DatabaseDown):
        await write()
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    server.signal(signal.SIGCONT)
    async with store.transaction() as tx:
        cursor = await tx.execute("SELECT 1 FROM switches WHERE name = 'half'")
        assert await cursor.fetchone() is None


async def test_stopped_in_the_middle_of_a_transaction(server: Server, store: Database) -> None:
    async def write() -> None:
        async with store.transaction() as tx:
            await tx.execute("INSERT INTO switches (name, is_on, changed_by) VALUES ('half', true, 'x')")
            server.stop()

    with pytest.raises(DatabaseDown):
        await write()
    server.start()
    async with store.transaction() as tx:
        cursor = await tx.execute("SELECT 1 FROM switches WHERE name = 'half'")
        assert await cursor.fetchone() is None


async def test_a_hung_one_can_be_opened_later(server: Server) -> None:
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(DatabaseDown):
        await Database.open(server.url, timeout_s=TIMEOUT_S)
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    lazy = await Database.open(server.url, min_size=0, timeout_s=TIMEOUT_S)
    await failing(lazy)
    server.signal(signal.SIGCONT)
    await answers(lazy)
    await lazy.close()


async def test_a_call_cancelled_while_it_hangs_is_gone_at_once(server: Server, store: Database) -> None:
    await ask(store)
    server.signal(signal.SIGSTOP)
    task = asyncio.create_task(ask(store))
    await asyncio.sleep(0)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < SLACK_S


async def test_a_killed_connection_is_replaced(server: Server, store: Database) -> None:
    await ask(store)
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (store.name,),
        )
    assert await ask(store) == 42


async def test_the_relay_outlives_it_and_delivers_what_was_committed(server: Server, store: Database) -> None:
    keys, bus = KeyRing(bytes(32)), Bus()
    conversations = Conversations(keys)
    async with store.transaction() as tx:
        conversation_id = await conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={}
        )
        subject_id = (await conversations.load(tx, conversation_id)).subject_id
        event = Event(
            id="e1",
            type="turn.committed",
            conversation_id=conversation_id,
            time=datetime.now(UTC),
            data={},
        )
        await append(tx, keys, subject_id, event)
    server.stop()
    subscription = bus.subscribe()
    relay = Relay(store, keys, bus, poll_s=0.05)
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.2)  # it meets the stopped server a few times; fewer does no harm
    assert not running.done()
    server.start()
    async with asyncio.timeout(60):
        assert (await anext(subscription)).id == "e1"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
