"""A live transcript misses and repeats nothing, whoever drops, lags or crawls; who may not, reads nothing."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from live_kit import Talk, entries_of, read_sse, serving
from starlette.requests import HTTPConnection

from voicebot.console import live
from voicebot.console import sse as streams
from voicebot.console.readers import Reader
from voicebot.console.sse import Readers
from voicebot.core.bus import Bus
from voicebot.core.store import audit, handoffs, vault
from voicebot.core.store import follow as following
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import Relay
from voicebot.core.transcript import Told


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of these tests do not wait for the last words of a call for seconds."""
    monkeypatch.setattr(live, "ENDING_S", 0.2)
    monkeypatch.setattr(live, "POLL_S", 0.1)


def path_of(talk: Talk) -> str:
    return f"/api/conversations/{talk.id}/stream"


def ids(entries: list[Told]) -> list[tuple[int, str]]:
    """(id, text) of stored entries."""
    return [(one.id, one.text or f"call.{one.what}") for one in entries if one.id is not None]


async def sse(url: str, talk: Talk, **how: Any) -> list[Told]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        return await read_sse(client, path_of(talk), **how)


async def as_told(client: httpx.AsyncClient, path: str) -> AsyncGenerator[Told]:
    """Entries of a stream as they come."""
    async with client.stream("GET", path) as stream:
        async for text in stream.aiter_lines():
            if text.startswith("data: "):
                yield Told.model_validate_json(text[6:])


async def over_websocket(url: str, talk: Talk, *, after: int = 0, count: int | None = None) -> list[Told]:
    """The same over a WebSocket."""
    seen: list[str | bytes] = []
    at = f"{url.replace('http', 'ws', 1)}{path_of(talk)}?after={after}"
    async with asyncio.timeout(60), websockets.connect(at) as ws:
        async for message in ws:
            seen.append(message)
            if count is not None and len(entries_of(seen)) >= count:
                break
    return entries_of(seen)


async def _crawling(url: str) -> socket.socket:
    """A connection whose kernel takes next to nothing that is not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", urlsplit(url).port))
    return sock


async def _to_the_end(ws: websockets.ClientConnection) -> AsyncIterator[str | bytes]:
    """Messages until the connection is closed, however it is."""
    with suppress(websockets.ConnectionClosed):
        while True:
            yield await ws.recv()


@pytest.mark.parametrize("read", [sse, over_websocket])
async def test_a_conversation_that_ended_is_told_to_its_end(
    read: Any, database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(database, keys)
    await talk.line("hello")
    await talk.end()
    await talk.line("bye", "agent")  # written down after the end
    async with serving(database, keys, Bus()) as url:
        seen = await read(url, talk)
    assert ids(seen) == talk.lines
    assert (seen[-1].type, seen[-1].what, seen[-1].id) == ("state", "closed", None)


async def test_who_has_seen_the_end_is_told_not_to_come_back(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """204 is how a server tells an EventSource to stop."""
    monkeypatch.setattr(live, "ENDING_S", 0.0)
    talk = await Talk.begin(database, keys)
    await talk.end()
    async with serving(database, keys, Bus()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        answer = await client.get(path_of(talk), headers={"Last-Event-ID": str(talk.lines[-1][0])})
    assert answer.status_code == 204


@pytest.mark.parametrize("seed", range(2))
async def test_readers_that_drop_at_random_see_everything_once(
    seed: int, database: Database, keys: KeyRing
) -> None:
    """Lines are written by four at once, some rolled back, while readers of both kinds come and go."""
    dice = random.Random(seed)
    talk = await Talk.begin(database, keys)
    bus = Bus()
    relay = Relay(database, keys, bus, poll_s=0.05)
    relaying = asyncio.create_task(relay.run())

    async def write(writer: int) -> None:
        for n in range(25):
            await talk.line(f"w{writer} n{n}", dice.choice(("caller", "agent")), fails=dice.random() < 0.2)
            relay.poke()
            bus.publish(talk.event("caller.partial", {"text": f"so far {n}"}))
            await asyncio.sleep(dice.random() * 0.02)

    async def reader(read: Any, seed: int) -> list[tuple[int, str]]:
        mine = random.Random(seed)
        seen: list[tuple[int, str]] = []
        while not seen or seen[-1][1] != "call.ended":
            after = seen[-1][0] if seen else 0
            count = mine.choice((1, 3, 9, 30, None))
            seen += ids(await read(url, talk, after=after, count=count))
        return seen

    async with serving(database, keys, bus) as url:
        reading = [
            asyncio.create_task(reader(read, seed * 100 + n))
            for n in range(3)
            for read in (sse, over_websocket)
        ]
        await asyncio.gather(*(write(n) for n in range(4)))
        await talk.end()
        relay.poke()
        everything = await asyncio.gather(*reading)
    relaying.cancel()
    talk.lines.sort()  # ids follow the order of commits; this list that of their returns
    assert all(seen == talk.lines for seen in everything)
    assert len(talk.lines) > 60


async def test_a_reader_ten_thousand_behind_is_served_in_pages(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No read of the store is larger than a page, and the node answers others between two pages."""
    talk = await Talk.begin(database, keys)
    await talk.line("one to copy")
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO events (id, type, conversation_id, subject_id, time, sealed_data)"
            " SELECT 'ev_' || n, type, conversation_id, subject_id, time, sealed_data"
            " FROM events, generate_series(1, 10000) n"
        )
    pages: list[int] = []
    waits: list[float] = []
    real = following.events_of
    known: dict[str, Any] = {}

    async def counted(tx: Any, keys: KeyRing, conversation_id: str, *, after_seq: int = 0, limit: Any = None):
        cursor = await tx.execute(
            "SELECT seq FROM events WHERE conversation_id = %s AND seq > %s ORDER BY seq LIMIT %s",
            (conversation_id, after_seq, limit),
        )
        rows = await cursor.fetchall()
        pages.append(len(rows))
        known.setdefault("event", (await real(tx, keys, conversation_id, limit=1))[0])
        return [known["event"].model_copy(update={"seq": row["seq"]}) for row in rows]

    async def others() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            waits.append(loop.time() - before)
            await asyncio.sleep(0.005)

    monkeypatch.setattr(following, "events_of", counted)
    async with serving(database, keys, Bus()) as url:
        other = asyncio.create_task(others())
        seen = await sse(url, talk, count=10_001)
        other.cancel()
    assert len({one.id for one in seen}) == 10_001
    assert max(pages) <= following.PAGE
    assert len(waits) > 100


async def test_a_reader_that_takes_nothing_is_left_and_can_come_back(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs the node a few pages, whatever there is to tell; what it missed is there when it returns."""
    monkeypatch.setattr(streams, "SEND_WITHIN_S", 0.3)
    talk = await Talk.begin(database, keys)
    for batch in range(10):
        await talk.store(
            *(("leg.line", {"who": "agent", "text": f"{batch} {n} " + "x" * 2000}) for n in range(100))
        )
    readers, read = Readers(), 0
    real = following.events_of

    async def counted(*args: Any, **how: Any):
        nonlocal read
        events = await real(*args, **how)
        read += len(events)
        return events

    monkeypatch.setattr(following, "events_of", counted)
    async with serving(database, keys, Bus(), readers=readers) as url:
        with await _crawling(url) as sock:
            asked = f"GET {path_of(talk)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(sock, asked.encode())
            async with asyncio.timeout(60):
                while not readers.open:
                    await asyncio.sleep(0.01)
                while readers.open:
                    await asyncio.sleep(0.05)
            assert 0 < read < 1000, "it was not read out to somebody who takes nothing"
        monkeypatch.setattr(streams, "SEND_WITHIN_S", 60.0)
        assert ids(await sse(url, talk, count=1000)) == talk.lines


async def test_a_slow_websocket_is_closed_with_where_to_go_on(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SEND_WITHIN_S", 0.5)
    talk = await Talk.begin(database, keys)
    for batch in range(10):
        await talk.store(
            *(("leg.line", {"who": "agent", "text": f"{batch} {n} " + "x" * 2000}) for n in range(100))
        )
    readers = Readers()
    async with serving(database, keys, Bus(), readers=readers) as url:
        at = f"{url.replace('http', 'ws', 1)}{path_of(talk)}"
        sock = await _crawling(url)
        connecting = websockets.connect(at, sock=sock, max_queue=1, ping_interval=None)
        async with asyncio.timeout(60), connecting as ws:
            first = entries_of([await ws.recv()])
            while readers.open:
                await asyncio.sleep(0.05)
            seen = list(first)
            async for message in _to_the_end(ws):
                seen += entries_of([message])
        assert len(seen) < 1000
        assert ws.close_code in {1013, 1006}, "with a reason, unless even that could not be written"
        monkeypatch.setattr(streams, "SEND_WITHIN_S", 60.0)
        rest = await sse(url, talk, after=seen[-1].id, count=1000 - len(seen))
        assert ids(seen + rest) == talk.lines


async def test_one_reader_too_many_is_told_to_try_again(database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(database, keys)
    await talk.line("hello")
    async with (
        serving(database, keys, Bus(), readers=Readers(1)) as url,
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", url + path_of(talk)) as first,
        aclosing(first.aiter_lines()) as lines,
    ):
        assert await anext(lines) == f"id: {talk.lines[0][0]}"
        second = await client.get(url + path_of(talk))
        assert (second.status_code, second.headers["retry-after"]) == (503, "5")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await over_websocket(url, talk)
        assert refused.value.response.status_code == 503


async def test_bad_input_is_refused_by_both_alike(database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(database, keys)
    other = await Talk.begin(database, keys, "CA" + "2" * 32)
    await other.line("somebody else's")
    foreign = other.lines[0][0]
    unknown, good = f"/api/conversations/cv_{0:032x}/stream", path_of(talk)
    async with serving(database, keys, Bus()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        for path, expected in (
            (unknown, 404),
            ("/api/conversations/cv_0/stream", 404),
            (f"{good}?after=x", 422),
            (f"{good}?after=-1", 422),
            (f"{good}?after={10**22}", 422),
            (f"{good}?after={foreign}", 422),
        ):
            assert (await client.get(path)).status_code == expected, path
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with websockets.connect(url.replace("http", "ws", 1) + path):
                    pass
            assert refused.value.response.status_code == expected, path
        bad = await client.get(good, headers={"Last-Event-ID": "7; drop"})
        assert bad.status_code == 422


async def test_an_erased_subject_ends_an_open_stream_and_begins_none(
    database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(database, keys)
    await talk.line("hello")
    async with serving(database, keys, Bus()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        async with aclosing(as_told(client, path_of(talk))) as coming:
            assert (await anext(coming)).text == "hello"
            async with database.transaction() as tx:
                await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
                await tx.execute(  # what is written afterwards is sealed for nobody
                    "INSERT INTO events (id, type, conversation_id, subject_id, time, sealed_data)"
                    " SELECT 'ev_late', type, conversation_id, subject_id, time, sealed_data"
                    " FROM events LIMIT 1"
                )
            assert [entry.what async for entry in coming] == ["erased"]
        assert (await client.get(path_of(talk))).status_code == 410


async def test_only_who_may_use_the_api_reads_and_no_page_of_another_host(
    database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(database, keys)
    await talk.line("hello")

    async def try_(url: str, **headers: str) -> int | str:
        at = url.replace("http", "ws", 1) + path_of(talk)
        try:
            async with websockets.connect(at, additional_headers=headers) as ws:
                return json.loads(await ws.recv())["text"]
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    async with serving(database, keys, Bus(), token="right", local=False) as url:
        assert await try_(url) == 401
        assert await try_(url, Authorization="Bearer wrong") == 401
        assert await try_(url, Authorization="Bearer right") == "hello"
    async with serving(database, keys, Bus(), local=True) as url:
        assert await try_(url) == "hello"
        assert await try_(url, Origin="http://localhost:3000") == "hello"
        assert await try_(url, Origin="https://evil.example.com") == 403
    async with database.transaction() as tx:
        rows = await audit.accesses(tx, talk.id)
    read = [(row["actor"], row["purpose"], row["fields"]) for row in rows]
    assert read == [("api", "live", ["transcript"])] * 3


async def test_who_has_the_handoff_reads_values_and_everybody_else_tokens(
    database: Database, keys: KeyRing
) -> None:
    """From the moment an agent takes it until they give it back; whose read it was is in the access log."""
    talk = await Talk.begin(database, keys)
    async with database.transaction() as tx:
        await vault.save(tx, keys, talk.id, turn=1, values={"[order number 1]": "427103"})
        await vault.save(tx, keys, talk.id, turn=1, values={"[card 1]": "4242424242424242"})
    handoff = f"ho_{7:032x}"
    text = "order [order number 1], card [card 1]"

    async def steps(step: Any, told: str) -> None:
        async with database.transaction() as tx:
            assert await step(tx, handoff, "sam")
        await talk.store((f"handoff.{told}", {"handoff": handoff}))

    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO handoffs (id, conversation_id, turn, trigger, urgency, status, sealed_payload)"
            " VALUES (%s, %s, 1, 'asked', 'normal', 'waiting', 'x')",
            (handoff, talk.id),
        )
    await talk.line(text)
    await steps(handoffs.claim, "accepted")
    await talk.line(text)
    await steps(handoffs.decline, "declined")
    await talk.line(text)

    def who(request: HTTPConnection) -> Reader:
        name = request.headers.get("x-who", "api")
        return Reader("api" if name == "api" else "agent", name)

    serve = serving(database, keys, Bus(), who=who, reveals=("order number",))
    async with serve as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        for name in ("api", "kim"):
            client.headers["x-who"] = name
            seen = await read_sse(client, path_of(talk), count=5)
            assert [one.text for one in seen if one.type == "line"] == [text] * 3
        client.headers["x-who"] = "sam"
        async with aclosing(as_told(client, path_of(talk))) as coming:
            seen = [await anext(coming) for _ in range(5)]  # sam has caught up, and has nothing
            await steps(handoffs.claim, "accepted")
            await talk.line(text)
            seen += [await anext(coming) for _ in range(2)]  # told while sam had it
            await steps(handoffs.finish, "done")
            await talk.line(text)
            seen += [await anext(coming) for _ in range(2)]
    opened = "order 427103, card [card 1]"
    assert [one.text for one in seen if one.type == "line"] == [text, text, text, opened, text]
    async with database.transaction() as tx:
        rows = [row for row in await audit.accesses(tx, talk.id) if row["purpose"] == "handoff.held"]
    assert [(row["actor"], row["fields"]) for row in rows] == [("sam", ["order number"])]


async def test_the_schema_of_an_entry_is_published(database: Database, keys: KeyRing) -> None:
    async with serving(database, keys, Bus()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        schema = (await client.get("/openapi.json")).json()
    answer = schema["paths"]["/api/conversations/{conversation_id}/stream"]["get"]["responses"]["200"]
    assert answer["content"]["text/event-stream"]["schema"]["$ref"] == "#/components/schemas/Told"
    entry = schema["components"]["schemas"]["Told"]["properties"]
    assert {"id", "type", "who", "turn", "text", "at", "heard"} <= {*entry}
