"""A browser's connection as a leg of a call: the same messages as Twilio's media socket.

There are no marks in WebRTC. What was heard is reckoned from the pacing of the outgoing track: sound has
played when it left here, plus the way there and back, plus what a browser keeps in its own buffer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

from voicebot.channels.browser.peer import Peer
from voicebot.channels.legs import Dtmf, EndKind, Mark, Media, SessionEnd, Stop
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import TransferFailed

BUFFER_MS = 80.0
"""What a browser keeps of the sound before it plays it; see docs/browser.md for how it was measured."""
MOST_MESSAGES = 1000
"""Frames that a reader may be behind: 20 s. What it did not take by then is dropped, oldest first."""
MOST_KEYS = 64

_ENDS = {
    "closed": EndKind.CLOSED,
    "left": EndKind.STOP,
    "failed": EndKind.BROKEN,
    "never_connected": EndKind.BROKEN,
    "silent": EndKind.BROKEN,
}


def new_call() -> str:
    """The name of a browser's call: ``WB`` and 32 hex digits. Who knows it may go on with it."""
    return f"WB{secrets.token_hex(16)}"


class Marks:
    """Marks between leaving and having played, in order. Pure.

    >>> marks = Marks(); marks.left("a", 1.0, delay_s=0.1); marks.due(1.05), marks.due(1.1)
    ([], ['a'])
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, str]] = []

    def left(self, name: str, now_s: float, *, delay_s: float) -> None:
        """The sound before it left now, and plays ``delay_s`` later; never before an earlier one."""
        due_s = now_s + delay_s
        if self._waiting:
            due_s = max(due_s, self._waiting[-1][0])
        self._waiting.append((due_s, name))

    def due(self, now_s: float) -> list[str]:
        """Those whose sound has played by now."""
        count = sum(1 for due_s, _ in self._waiting if due_s <= now_s)
        names = [name for _, name in self._waiting[:count]]
        del self._waiting[:count]
        return names

    @property
    def next_s(self) -> float | None:
        """When the next one is due; None: none waits."""
        return self._waiting[0][0] if self._waiting else None

    def all(self) -> list[str]:
        """All of them: what waits was cleared."""
        return self.due(float("inf"))


class BrowserSession:
    """See `channels.legs.Leg`. Made once the connection stands and its conversation is known.

    Args:
        peer: the connection; its marks are this session's from now on.
        call: its name, see `new_call`.
        name: of this connection; a call that connects again gets another.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        call: str,
        name: str,
        conversation_id: str,
        resumed: bool,
        epoch: int,
        returned: TransferFailed | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.call_sid = call
        self.stream_sid = name
        self.conversation_id = conversation_id
        self.resumed = resumed
        self.returned = returned
        self.epoch = epoch
        self.peer = peer
        self._clock = clock
        self._end: SessionEnd | None = None
        self._came: asyncio.Queue[Media | Dtmf | Mark | Stop | None] = asyncio.Queue()
        self._marks = Marks()
        self._timer: asyncio.TimerHandle | None = None
        self._last_s = clock()
        self._keys = 0
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._wait())]
        peer.on_passed(self._passed)

    @property
    def end(self) -> SessionEnd | None:
        """How it ended; None while it runs."""
        return self._end

    @property
    def quiet_s(self) -> float:
        """Seconds since sound came last."""
        return self._clock() - self._last_s

    async def messages(self) -> AsyncIterator[Media | Dtmf | Mark | Stop]:
        """Sound, keys and marks in order; ends with the connection."""
        while self._end is None or not self._came.empty():  # a reader before may have taken the end
            message = await self._came.get()
            if message is None:
                return
            yield message

    async def media(self, ulaw: bytes) -> None:
        """Queues sound."""
        self.peer.send(ulaw)

    async def mark(self, name: str) -> None:
        """Comes back once what was sent before has played, as far as can be reckoned."""
        self.peer.mark(name)

    async def clear(self) -> None:
        """Nothing more of what was sent leaves; its marks come back."""
        self.peer.clear()
        for name in self._marks.all():
            self._put(Mark(self.stream_sid, name, None))

    async def close(self) -> None:
        """Ends it; again: nothing."""
        await self.leave(EndKind.CLOSED)

    async def leave(self, kind: EndKind) -> None:
        """Ends it for a reason that did not come over the connection."""
        self._over(SessionEnd(kind))
        await self.peer.close()

    def hang_up(self) -> None:
        """The page said that the caller is done."""
        self._over(SessionEnd(EndKind.STOP))

    def show(self, message: dict[str, Any]) -> None:
        """Sends something to the page."""
        self.peer.send_message(message)

    def press(self, digits: str) -> None:
        """Keys of the page's keypad."""
        for digit in digits:
            if self._keys < MOST_KEYS:
                self._keys += 1
                self._put(Dtmf(self.stream_sid, digit, None))

    async def _listen(self) -> None:
        async for frame in self.peer.frames():
            self._last_s = self._clock()
            self._keys = 0
            self._put(Media(self.stream_sid, frame.ulaw, frame.at_ms, None, None, "inbound"))

    async def _wait(self) -> None:
        await self.peer.closed.wait()
        self._over(SessionEnd(_ENDS[self.peer.end or "closed"]))

    def _put(self, message: Media | Dtmf | Mark | Stop) -> None:
        if self._end is None:
            if self._came.qsize() >= MOST_MESSAGES:
                self._came.get_nowait()
            self._came.put_nowait(message)

    def _passed(self, name: str) -> None:
        stats = self.peer.stats()
        delay_s = ((stats.rtt_ms or 0.0) + BUFFER_MS) / 1000
        self._marks.left(name, self._clock(), delay_s=delay_s)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        for name in self._marks.due(self._clock()):
            self._put(Mark(self.stream_sid, name, None))
        if self._marks.next_s is not None and self._end is None:
            wait_s = max(0.001, self._marks.next_s - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _over(self, end: SessionEnd) -> None:
        if self._end is not None:
            return
        if end.kind is EndKind.STOP:
            self._put(Stop(self.stream_sid, self.call_sid, None))
        self._end = end
        self._came.put_nowait(None)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
