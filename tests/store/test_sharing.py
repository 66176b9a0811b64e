"""Who watches in another process is told the same words as fast, over Postgres and over real NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from live_kit import Talk
from nats_kit import nats_server
from twilio_kit import eventually, free_port

from voicebot.core.bus import Bus
from voicebot.core.store.database import Database
from voicebot.core.store.follow import follow
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.nats_carrier import NatsCarrier
from voicebot.core.store.outbox import Relay
from voicebot.core.store.postgres_carrier import PostgresCarrier
from voicebot.core.store.sharing import Carrier, Message, Sharing

NEVER_S = 3600.0


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_server(tmp_path_factory.mktemp("nats")) as url:
        yield url


class Process:
    """What one process has: a bus, its relay, and what shares it."""

    def __init__(self, database: Database, keys: KeyRing, carrier: Carrier) -> None:
        self.database = database
        self.bus = Bus()
        self.relay = Relay(database, keys, self.bus, poll_s=NEVER_S)
        self.sharing = Sharing(database, keys, self.bus, carrier)


class Tapped:
    """A carrier that remembers what was sent over it."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.sent: list[Message] = []

    def send(self, text: str) -> None:
        self.sent.append(Message.model_validate_json(text))
        self._carrier.send(text)

    async def run(self, receive: Callable[[str], None]) -> None:
        await self._carrier.run(receive)

    def kinds(self) -> set[str]:
        return {one.kind for one in self.sent}


@pytest_asyncio.fixture(params=["postgres", "nats"])
async def carriers(request: pytest.FixtureRequest, database: Database) -> Callable[[], Tapped]:
    """Makes carriers of one kind."""
    if request.param == "postgres":
        return lambda: Tapped(PostgresCarrier(database.url))
    url = request.getfixturevalue("nats_url")
    return lambda: Tapped(NatsCarrier(url))


@pytest_asyncio.fixture
async def two(
    carriers: Callable[[], Tapped], database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Process, Process, Tapped]]:
    """The process where the call is, another one, and what the first has sent; nobody polls the store."""
    monkeypatch.setattr("voicebot.core.store.sharing.LOOK_EVERY_S", NEVER_S)
    monkeypatch.setattr("voicebot.core.store.postgres_carrier.ANSWER_WITHIN_S", 60.0)
    async with AsyncExitStack() as stack:
        other = await Database.open(database.url, timeout_s=20.0)
        stack.push_async_callback(other.close)
        tapped = carriers()
        here, there = Process(database, keys, tapped), Process(other, keys, carriers())
        for process in (here, there):
            for work in (process.relay.run, process.sharing.run):
                task = asyncio.create_task(work())
                stack.push_async_callback(_end, task)
        yield here, there, tapped


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Watcher:
    """Follows a conversation in one process and notes what came."""

    def __init__(self, process: Process, keys: KeyRing, talk: Talk) -> None:
        self.seen: list[str] = []
        self._process, self._keys, self._talk = process, keys, talk
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        process = self._process
        events = follow(process.database, self._keys, process.bus, self._talk.id, poll_s=NEVER_S)
        async with aclosing(events):
            async for event in events:
                if event is not None and "text" in event.data:
                    self.seen.append(event.data["text"])

    async def until(self, text: str) -> None:
        """Waits until it was seen."""
        async with asyncio.timeout(30):
            while text not in self.seen:
                await asyncio.sleep(0.002)

    async def close(self) -> None:
        await _end(self._task)


async def until_shared(here: Process, there: Watcher, talk: Talk) -> None:
    """Until the process of the call knows that somebody elsewhere watches: live words arrive."""
    async with asyncio.timeout(30):
        while not there.seen:
            here.bus.publish(talk.event("caller.partial", {"text": "are you there"}))
            await asyncio.sleep(0.02)


async def test_words_and_lines_reach_a_reader_of_another_process_by_message(
    two: tuple[Process, Process, Tapped], database: Database, keys: KeyRing
) -> None:
    """In their order; the store is not looked at here unless somebody says so."""
    here, there, _ = two
    talk = await Talk.begin(database, keys)
    watcher = Watcher(there, keys, talk)
    await until_shared(here, watcher, talk)
    for n in range(20):
        here.bus.publish(talk.event("caller.partial", {"text": f"so far {n}"}))
        await watcher.until(f"so far {n}")
        await talk.line(f"line {n}")
        here.relay.poke()
        await watcher.until(f"line {n}")
    await watcher.close()
    assert [one for one in watcher.seen if one.startswith("line")] == [f"line {n}" for n in range(20)]


async def test_nothing_leaves_the_process_while_nobody_elsewhere_watches(
    two: tuple[Process, Process, Tapped], database: Database, keys: KeyRing
) -> None:
    here, _, tapped = two
    talk = await Talk.begin(database, keys)
    own = Watcher(here, keys, talk)
    await asyncio.sleep(0.2)  # both carriers are connected
    here.bus.publish(talk.event("caller.partial", {"text": "only here"}))
    await talk.line("stored here")
    here.relay.poke()
    await own.until("stored here")
    await own.close()
    assert tapped.kinds() <= {"watch"}


async def test_words_travel_sealed_and_no_longer_once_the_subject_is_erased(
    two: tuple[Process, Process, Tapped], database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebot.core.store.sharing.WATCH_EVERY_S", 0.05)
    here, there, tapped = two
    talk = await Talk.begin(database, keys)
    watcher = Watcher(there, keys, talk)
    await until_shared(here, watcher, talk)
    assert "live" in tapped.kinds()
    assert "are you there" not in "".join(one.model_dump_json() for one in tapped.sent)
    async with database.transaction() as tx:
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")

    async def silent() -> bool:
        """What is published is handed over at once, or not at all."""
        tapped.sent.clear()
        here.bus.publish(talk.event("caller.partial", {"text": "after all"}))
        return "live" not in tapped.kinds()

    await eventually(silent)
    await watcher.close()


async def test_what_others_stored_is_seen_without_any_word_of_them(database: Database, keys: KeyRing) -> None:
    """A process that died after its commit, a carrier that lost the message: the store is looked at."""

    class Deaf:
        def send(self, text: str) -> None:
            pass

        async def run(self, receive: Callable[[str], None]) -> None:
            await asyncio.Event().wait()

    process = Process(database, keys, Deaf())
    sharing = asyncio.create_task(process.sharing.run())
    talk = await Talk.begin(database, keys)
    watcher = Watcher(process, keys, talk)
    await asyncio.sleep(0.1)  # it has read the store to its end
    await talk.line("committed, and gone")
    await watcher.until("committed, and gone")
    await watcher.close()
    await _end(sharing)


async def test_a_broken_or_foreign_message_changes_nothing(database: Database, keys: KeyRing) -> None:
    received: list[Callable[[str], None]] = []

    class Hand:
        def send(self, text: str) -> None:
            pass

        async def run(self, receive: Callable[[str], None]) -> None:
            received.append(receive)
            await asyncio.Event().wait()

    process = Process(database, keys, Hand())
    sharing = asyncio.create_task(process.sharing.run())
    talk, other = await Talk.begin(database, keys), await Talk.begin(database, keys, "CA" + "2" * 32)
    subscription = process.bus.subscribe(talk.id)
    await eventually(lambda: bool(received))
    await asyncio.sleep(0.1)  # its key is there
    async with database.transaction() as tx:
        cipher = await keys.cipher(tx, other.subject)
    foreign = cipher.seal_json(other.event("caller.partial", {"text": "x"}).model_dump(mode="json"), "live:x")
    for text in (
        "{",
        '{"kind": "live"}',
        Message(kind="live", sender="x", conversation_id=talk.id, sealed="!!").model_dump_json(),
        Message(kind="live", sender="x", conversation_id=talk.id, sealed=foreign.hex()).model_dump_json(),
        Message(kind="stored", sender="x", conversation_id=other.id, seq=9).model_dump_json(),
    ):
        received[0](text)
    subscription.close()
    assert [event async for event in subscription] == []
    await _end(sharing)


async def test_readers_go_on_while_nats_is_away(database: Database, keys: KeyRing, tmp_path: Path) -> None:
    """Lines come by the store; when it is back, so are the words so far."""
    kept = free_port()
    port = kept.getsockname()[1]
    with nats_server(tmp_path / "first", port=port) as url:
        here, there = (Process(database, keys, NatsCarrier(url)) for _ in range(2))
        running = [asyncio.create_task(one.sharing.run()) for one in (here, there)]
        talk = await Talk.begin(database, keys)
        watcher = Watcher(there, keys, talk)
        await until_shared(here, watcher, talk)
    await talk.line("without NATS")
    await watcher.until("without NATS")
    watcher.seen.clear()
    with nats_server(tmp_path / "second", port=port):
        await until_shared(here, watcher, talk)
        await watcher.close()
        for task in running:
            await _end(task)
    kept.close()


async def test_a_lost_connection_to_postgres_is_made_anew(database: Database, keys: KeyRing) -> None:
    """Whoever was cut off hears the others again, and nothing that was stored meanwhile is missing."""
    here, there = (Process(database, keys, PostgresCarrier(database.url)) for _ in range(2))
    running = [asyncio.create_task(one.sharing.run()) for one in (here, there)]
    talk = await Talk.begin(database, keys)
    watcher = Watcher(there, keys, talk)
    await until_shared(here, watcher, talk)
    async with database.transaction() as tx:
        await tx.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'voicebot-live' AND datname = current_database()"
        )
    await talk.line("while cut off")
    await watcher.until("while cut off")
    watcher.seen.clear()
    await until_shared(here, watcher, talk)
    await watcher.close()
    for task in running:
        await _end(task)
