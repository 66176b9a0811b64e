"""What a browser hears: what is queued leaves in frames of 20 ms on a clock that never re-anchors.

`Outbox` and `Slots` are pure. The track is what aiortc asks for the next packet; it is always answered, with
silence when there is nothing to say, so that the browser's own buffer stays steady.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from voicebot.audio import mulaw
from voicebot.channels.browser.opus import OpusEncoder
from voicebot.core.clock import Clock, monotonic

FRAME = mulaw.RATE_HZ // 50
FRAME_S = 0.02
SILENT = bytes([mulaw.SILENCE]) * FRAME
SKIP_S = 0.1
"""So far behind, what is missed is skipped: a browser would throw most of a burst away."""
MOST_MS = 60_000
"""What waits beyond that is dropped, oldest first."""
MOST_MARKS = 1000


class Outbox:
    """Sound that waits, and marks in it.

    Args:
        most_ms: the longest that may wait.
        lead_ms: after silence, sound waits until there is so much of it, or as long as that would last:
            for sound that comes from a network.
    """

    def __init__(self, most_ms: int = MOST_MS, lead_ms: int = 0) -> None:
        self.dropped_ms = 0
        self._most = most_ms * 8
        self._lead = lead_ms * 8
        self._sound = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._given = 0
        self._put = 0
        self._waited = 0
        self._runs = False

    @property
    def queued_ms(self) -> int:
        """What waits."""
        return len(self._sound) // 8

    def put(self, ulaw: bytes) -> None:
        """More sound, any length."""
        self._sound += ulaw
        self._put += len(ulaw)
        over = len(self._sound) - self._most
        if over > 0:
            del self._sound[:over]
            self._given += over
            self.dropped_ms += over // 8

    def mark(self, name: str) -> None:
        """Comes back from `take` once the sound before it has left."""
        if len(self._marks) < MOST_MARKS:
            self._marks.append((self._put, name))

    def clear(self) -> list[str]:
        """Drops what waits; the marks in it, in order."""
        self._sound.clear()
        self._given = self._put
        self._runs = False
        self._waited = 0
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def take(self) -> tuple[bytes, list[str]]:
        """The next 20 ms, filled up with silence, and the marks whose sound has left with them."""
        if not self._runs and self._sound:
            self._waited += FRAME
            self._runs = len(self._sound) >= self._lead or self._waited > self._lead
        if not self._runs:
            return SILENT, self._passed()
        piece = bytes(self._sound[:FRAME])
        del self._sound[:FRAME]
        self._given += len(piece)
        if not self._sound:
            self._runs = False
            self._waited = 0
        return piece.ljust(FRAME, SILENT[:1]), self._passed()

    def _passed(self) -> list[str]:
        names: list[str] = []
        while self._marks and self._marks[0][0] <= self._given:
            names.append(self._marks.popleft()[1])
        return names


class Slots:
    """When the next frame leaves: every 20 ms since the first, by the clock."""

    def __init__(self) -> None:
        self.skipped = 0
        self._began_s: float | None = None
        self._slot = 0

    def next(self, now_s: float) -> tuple[int, float]:
        """Its number, and seconds until it is due. Late ones are due at once; many late ones are skipped."""
        if self._began_s is None:
            self._began_s = now_s
            return 0, 0.0
        self._slot += 1
        wait_s = self._began_s + self._slot * FRAME_S - now_s
        if wait_s < -SKIP_S:
            skipped = int(-wait_s / FRAME_S)
            self._slot += skipped
            self.skipped += skipped
            wait_s += skipped * FRAME_S
        return self._slot, max(0.0, wait_s)


class OutgoingTrack(MediaStreamTrack):
    """aiortc's source of packets.

    Args:
        outbox: what is said.
        passed: called with each mark as the sound before it has left.
        clock: of the process.
    """

    kind = "audio"

    def __init__(self, outbox: Outbox, passed: Callable[[str], None], clock: Clock = monotonic) -> None:
        super().__init__()
        self.slots = Slots()
        self._outbox = outbox
        self._passed = passed
        self._clock = clock
        self._encoder = OpusEncoder()

    async def recv(self) -> av.Packet[Any]:
        """The next 20 ms, when they are due.

        Raises:
            MediaStreamError: it was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        slot, wait_s = self.slots.next(self._clock())
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        ulaw, marks = self._outbox.take()
        packet = av.Packet(self._encoder.encode(mulaw.decode(ulaw)))
        packet.pts = slot * FRAME
        packet.time_base = Fraction(1, mulaw.RATE_HZ)
        for name in marks:
            self._passed(name)
        return packet
