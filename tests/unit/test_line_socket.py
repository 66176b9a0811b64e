"""The short way of a socket's frames: the same text in the same order as the long way, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from voicebot.channels.twilio.line import LINE
from voicebot.runtime.line_socket import LineSocket, frame_size

repeatable = settings(derandomize=True, deadline=None, max_examples=150)
GREETING = (
    b"GET /m HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Takes what is sent, and remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Reading is not ours here."""

    def resume_reading(self) -> None:
        """The same."""


class Server:
    """A socket behind its handshake, with an application that receives until it is over."""

    def __init__(self, take: Callable[[str], bool] | None) -> None:
        self.received: list[tuple[str, Any]] = []
        self.wire = Wire()
        config = Config(
            self.app, interface="asgi3", ws_max_size=4096, ws_per_message_deflate=False, log_config=None
        )
        config.load()
        self.socket = LineSocket(config, ServerState(), {})
        self._take = take
        self.over = asyncio.Event()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        if self._take is not None:
            scope["extensions"][LINE].listen(self._take)
        while True:
            message = await receive()
            self.received.append((message["type"], message.get("text") or message.get("code")))
            if message["type"] == "websocket.disconnect":
                self.over.set()
                return

    async def begin(self) -> LineSocket:
        self.socket.connection_made(self.wire)
        self.socket.data_received(GREETING)
        await settled()
        self.wire.sent = b""
        return self.socket


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def frame(text: str | bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    """As a client sends it."""
    data = text.encode() if isinstance(text, str) else text
    return bytes(Frame(opcode, data, fin).serialize(mask=mask))


async def test_text_is_told_at_once_and_never_received() -> None:
    told: list[str] = []
    server = Server(lambda text: told.append(text) or True)
    socket = await server.begin()
    socket.data_received(frame("one") + frame("zwölf" * 100))
    assert told == ["one", "zwölf" * 100]
    await settled()
    assert server.received == []


async def test_without_a_listener_everything_is_received() -> None:
    server = Server(None)
    socket = await server.begin()
    socket.data_received(frame("one") + frame("two"))
    await settled()
    assert server.received == [("websocket.receive", "one"), ("websocket.receive", "two")]


async def test_what_is_not_taken_is_received_and_keeps_its_order() -> None:
    """While something waits to be received, nothing overtakes it."""
    told: list[str] = []
    server = Server(lambda text: text != "key" and (told.append(text) or True))
    socket = await server.begin()
    socket.data_received(frame("a") + frame("key") + frame("b"))
    await settled()
    assert told == ["a"]
    assert server.received == [("websocket.receive", "key"), ("websocket.receive", "b")]
    socket.data_received(frame("c"))
    assert told == ["a", "c"]


@repeatable
@given(
    texts=st.lists(st.text(max_size=300), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12),
)
def test_however_the_network_cuts_it_the_text_is_the_same(texts: list[str], cuts: list[int]) -> None:
    async def run() -> list[str]:
        told: list[str] = []
        server = Server(lambda text: told.append(text) or True)
        socket = await server.begin()
        data = b"".join(frame(text) for text in texts)
        while data:
            size = cuts[len(data) % len(cuts)]
            socket.data_received(data[:size])
            data = data[size:]
        return told

    assert asyncio.run(run()) == texts


async def test_control_frames_go_the_long_way() -> None:
    """A ping is answered, a close is received as one; both between texts that are told."""
    told: list[str] = []
    server = Server(lambda text: told.append(text) or True)
    socket = await server.begin()
    socket.data_received(frame("a") + frame(b"hm", Opcode.PING) + frame("b"))
    assert told == ["a", "b"]
    assert server.wire.sent == frame(b"hm", Opcode.PONG, mask=False)
    socket.data_received(frame(b"\x03\xe8bye", Opcode.CLOSE))
    await settled()
    assert server.received == [("websocket.disconnect", 1000)]


async def test_fragments_are_put_together_the_long_way() -> None:
    told: list[str] = []
    server = Server(lambda text: told.append(text) or True)
    socket = await server.begin()
    socket.data_received(frame("one ", fin=False) + frame("half", Opcode.CONT) + frame("more"))
    await settled()
    assert told == []
    assert server.received == [("websocket.receive", "one half"), ("websocket.receive", "more")]


BROKEN: dict[str, tuple[Callable[[], bytes], int]] = {
    "unmasked": (lambda: frame("unmasked", mask=False), 1002),
    "no UTF-8": (lambda: frame(b"\xff\xfe"), 1007),
    "a reserved bit": (lambda: b"\xc1" + frame("reserved")[1:], 1002),
    "too large": (lambda: frame("x" * 5000), 1009),
    "too large by what it says": (lambda: b"\x81\xff" + (1 << 40).to_bytes(8) + bytes(8), 1009),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_breaks_the_protocol_ends_it_as_ever(what: str) -> None:
    """With the close code that the long way gives, and no text behind it is told."""
    bad, code = BROKEN[what]
    told: list[str] = []
    server = Server(lambda text: told.append(text) or True)
    socket = await server.begin()
    socket.data_received(frame("good"))
    socket.data_received(bad())
    socket.data_received(frame("behind it"))
    await settled()
    assert told == ["good"]
    assert code.to_bytes(2) in server.wire.sent
    assert server.received[-1] == ("websocket.disconnect", code)


async def test_sending_does_not_wait_and_is_a_frame() -> None:
    server = Server(None)
    socket = await server.begin()
    for text in ("a", "b" * 126, "c" * 70_000):
        server.wire.sent = b""
        assert socket.send_now(text)
        assert server.wire.sent == frame(text, mask=False)


async def test_a_peer_that_does_not_read_is_not_sent_to() -> None:
    """The usual way waits for it, and gives up after its deadline."""
    server = Server(None)
    socket = await server.begin()
    socket.pause_writing()
    assert not socket.send_now("a")
    socket.resume_writing()
    assert socket.send_now("a")
    socket.data_received(frame(b"\x03\xe8", Opcode.CLOSE))
    assert not socket.send_now("b")


async def test_who_talks_before_the_handshake_is_over_is_heard_all_the_same() -> None:
    told: list[str] = []
    server = Server(lambda text: told.append(text) or True)
    server.socket.connection_made(server.wire)
    server.socket.data_received(GREETING)
    early = frame("early")
    server.socket.data_received(early[:3])
    await settled()
    server.socket.data_received(early[3:] + frame("later"))
    await settled()
    assert told == []
    assert [text for _, text in server.received] == ["early", "later"]


@pytest.mark.parametrize(("size", "head"), [(0, 6), (125, 6), (126, 8), (65535, 8), (65536, 14)])
def test_frames_have_their_size(size: int, head: int) -> None:
    data = frame("x" * size)
    assert frame_size(b"??" + data, 2) == size + head
    assert frame_size(data[:1], 0) is None
