"""Sound and marks are told while the reader waits, all else is read; the order of all messages stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from starlette.websockets import WebSocket

from voicebot.channels.twilio.line import LINE
from voicebot.channels.twilio.media import EndKind, MediaSession
from voicebot.channels.twilio.pace import BREATH, BURST_MS
from voicebot.channels.twilio.stream_order import StreamOrder
from voicebot.channels.twilio.wire import Dtmf, Mark, Media, Start


class Socket:
    """A socket with a short way, which keeps its promises to whoever listens."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {"extensions": {LINE: self}}
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[str] = []
        self.slow: list[str] = []
        self.closed: int | None = None
        self.reads = True
        self.take: Callable[[str], bool] | None = None

    def listen(self, take: Callable[[str], bool]) -> None:
        self.take = take

    def send_now(self, text: str) -> bool:
        if self.reads:
            self.sent.append(text)
        return self.reads

    async def send_text(self, text: str) -> None:
        self.slow.append(text)

    async def receive(self) -> dict[str, Any]:
        return await self.queue.get()

    async def close(self, code: int) -> None:
        self.closed = code

    def comes(self, text: str) -> None:
        if self.take is None or not self.queue.empty() or not self.take(text):
            self.queue.put_nowait({"type": "websocket.receive", "text": text})


class Call:
    """A session, what was told and what was read, in order."""

    def __init__(self) -> None:
        self.socket = Socket()
        start = Start("MZ1", "CA1", None, 1, {})
        order = StreamOrder()
        order.take(start)
        self.session = MediaSession(
            cast("WebSocket", self.socket), start, order, conversation_id="cv_1", resumed=False, epoch=1
        )
        self.all: list[tuple[str, Any]] = []
        self.hears: Callable[[Media | Mark], None] | None = self.told
        self.reading = asyncio.create_task(self.read())

    def told(self, message: Media | Mark) -> None:
        self.all.append(("told", message.name if isinstance(message, Mark) else message.timestamp_ms))

    async def read(self) -> None:
        async for message in self.session.messages(self.hears):
            match message:
                case Media():
                    self.all.append(("read", message.timestamp_ms))
                case Mark():
                    self.all.append(("read", message.name))
                case Dtmf():
                    self.all.append(("read", message.digit))
                case _:
                    raise AssertionError(message)

    async def left(self) -> None:
        """The reader goes, as the pipeline does when it is cancelled."""
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)

    async def settled(self) -> None:
        for _ in range(2 * BREATH):
            await asyncio.sleep(0)


def sound(ms: int, payload: str = "//7+/w==") -> str:
    return (
        f'{{"event":"media","sequenceNumber":"{ms // 20 + 2}","media":{{"track":"inbound","chunk":"1",'
        f'"timestamp":"{ms}","payload":"{payload}"}},"streamSid":"MZ1"}}'
    )


MARK = '{"event":"mark","sequenceNumber":"9","streamSid":"MZ1","mark":{"name":"g1.0"}}'
KEY = '{"event":"dtmf","sequenceNumber":"10","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"5"}}'


@pytest.fixture
async def call() -> Call:
    call = Call()
    await call.settled()
    return call


async def test_sound_and_marks_are_told_and_keys_are_read_in_order(call: Call) -> None:
    call.socket.comes(sound(0))
    call.socket.comes(MARK)
    assert call.all == [("told", 0), ("told", "g1.0")]
    call.socket.comes(KEY)
    call.socket.comes(sound(20))  # the key waits to be read: these stay behind it
    call.socket.comes(MARK.replace("g1.0", "g1.1"))
    await call.settled()
    call.socket.comes(sound(40))
    assert call.all[2:] == [("read", "5"), ("read", 20), ("read", "g1.1"), ("told", 40)]
    call.reading.cancel()


async def test_sound_that_is_written_otherwise_is_told_all_the_same(call: Call) -> None:
    """Twilio adds fields without notice; what breaks the protocol is left to who can close the socket."""
    call.socket.comes(sound(0).replace('"streamSid"', '"callQuality":{"mos":4.1},"streamSid"'))
    call.socket.comes(MARK.replace('"mark":{', '"mark":{"played":true,'))
    assert call.all == [("told", 0), ("told", "g1.0")]
    call.socket.comes(sound(20, "//7+/w="))
    await call.settled()
    assert call.session.end is not None
    assert call.session.end.kind is EndKind.REFUSED


async def test_a_flood_lets_others_have_the_loop(call: Call) -> None:
    """Of what has arrived at once, no more is told in one go than is read in one."""
    for n in range(3 * BREATH):
        call.socket.comes(sound(20 * n))
    assert len(call.all) < BREATH
    await call.settled()
    assert [ms for _, ms in call.all] == [20 * n for n in range(3 * BREATH)]
    call.reading.cancel()


async def test_more_sound_than_time_closes_the_socket(call: Call) -> None:
    second = "/" * (8000 // 3 * 4)
    for n in range(int(BURST_MS / 1000) + 3):
        call.socket.comes(sound(1000 * n, second))
        await call.settled()
    assert call.session.end is not None
    assert call.session.end.kind is EndKind.REFUSED


@pytest.mark.parametrize("message", [sound(0), MARK])
async def test_what_the_listener_raises_the_reader_raises(call: Call, message: str) -> None:
    """The call ends as it does when a part of it fails."""

    def fails(message: Media | Mark) -> None:
        raise ZeroDivisionError

    await call.left()
    call.hears = fails
    call.reading = asyncio.create_task(call.read())
    await call.settled()
    call.socket.comes(message)
    await call.settled()
    with pytest.raises(ZeroDivisionError):
        call.reading.result()


async def test_who_reads_next_has_all_of_the_sound(call: Call) -> None:
    """An agent takes the line over: the bot's listener hears nothing of it any more."""
    call.socket.comes(sound(0))
    await call.left()
    call.hears = None
    call.reading = asyncio.create_task(call.read())
    await call.settled()
    for n in range(1, 4):
        call.socket.comes(sound(20 * n))
    await call.settled()
    assert call.all == [("told", 0), ("read", 20), ("read", 40), ("read", 60)]
    call.reading.cancel()


async def test_sending_takes_the_short_way_while_it_can(call: Call) -> None:
    await call.session.media(b"\xff" * 8)
    call.socket.reads = False
    await call.session.mark("g1.0")
    assert len(call.socket.sent) == 1
    assert len(call.socket.slow) == 1
    call.reading.cancel()
