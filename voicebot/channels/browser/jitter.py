"""Packets in the order and at the pace in which they were sent: pure, arrivals and the time in, pieces out.

Every packet has its place on the sender's clock. A piece is let go when the fastest packet lately seen would
have come, plus the depth: as long as 97 of 100 packets take more than that one. What is missing at its time
is a gap; what comes after its time is late, and makes the buffer deeper at once. It gets shallower slowly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebot.audio.media_clock import MediaClock
from voicebot.channels.browser import packets

LEAST_MS = 20
"""Browsers hand their packets to the network in steps of 10 ms."""
MOST_MS = 200
"""Past that a conversation suffers more from waiting than from gaps."""
FALL_MS = 5
"""How much shallower it gets with each look (every half second)."""
QUANTILE = 0.97
WINDOW = 250
"""Packets that are looked at: five seconds of 20 ms."""
LOOK_EVERY = 25
MOST_PACKETS = 128
"""What nobody takes is dropped, oldest first."""
STEP = packets.RATE_HZ // 50
"""The longest gap that is told at once: 20 ms."""
FASTEST = 1.02
HEAD_START_S = 2.0
"""No quartz runs faster; a sender whose clock does is given no more than real time, and this once."""
PAUSED_S = 0.06
"""Packets that stay so long as late as ever, and later than any depth makes up for, come from a sender whose
count stood still while it sent nothing. After a network's pause they come at once, each less late.
"""
LEAP = packets.RATE_HZ * 2
"""A place so far from the clock belongs to another count: the sender has begun anew."""


@dataclass(frozen=True, slots=True)
class Packet:
    """``timestamp``: of RTP, 32 bits, 48 kHz; wraps."""

    timestamp: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """``payload`` of Opus, None: nothing came. ``at``, ``length``: samples at 48 kHz since the beginning."""

    at: int
    length: int
    payload: bytes | None


@dataclass(slots=True)
class Counts:
    """Packets, except ``missing_ms``."""

    received: int = 0
    late: int = 0
    twice: int = 0
    broken: int = 0
    dropped: int = 0
    restarts: int = 0
    missing_ms: int = 0


class JitterBuffer:
    """One stream's. ``least_ms`` and ``most_ms`` bound the depth."""

    def __init__(self, least_ms: int = LEAST_MS, most_ms: int = MOST_MS) -> None:
        self.counts = Counts()
        self.waited_ms = 0.0
        """What packets spent here lately, mean."""
        self._least_ms = least_ms
        self._most_ms = most_ms
        self._depth_ms = float(least_ms)
        self._clock = MediaClock()
        self._began_s: float | None = None
        self._held: dict[int, tuple[bytes, int, float]] = {}
        self._next = 0
        self._last: tuple[int, int] | None = None
        self._behind: tuple[float, float] | None = None  # since when (s), and how late then (ms)
        self._lateness: deque[float] = deque(maxlen=WINDOW)
        self._until_look = LOOK_EVERY

    @property
    def depth_ms(self) -> float:
        """How long the fastest packet is kept back."""
        return self._depth_ms

    @property
    def jitter_ms(self) -> float:
        """How much longer than the fastest the slowest of 97 in 100 packets took, in the last seconds."""
        if not self._lateness:
            return 0.0
        return sorted(self._lateness)[min(len(self._lateness) - 1, int(len(self._lateness) * QUANTILE))]

    def begin(self, now_s: float) -> None:
        """The stream begins now though nothing has come: silence until something does."""
        if not self._clock.known:
            self._clock.observe(0.0, now_s)
            self._began_s = now_s

    def put(self, packet: Packet, now_s: float) -> None:
        """A packet has come."""
        length = packets.samples(packet.payload)
        if length is None:
            self.counts.broken += 1
            return
        self.counts.received += 1
        if self._began_s is None:
            self._began_s = now_s
        at = self._place(packet.timestamp, now_s)
        self._clock.observe((at + length) / 48, now_s)
        late_ms = max(0.0, self._now(now_s) - (at + length) / 48)
        if self._stood_still(late_ms, now_s):
            at, late_ms = self._anew(now_s), 0.0
            self._last = (packet.timestamp, at)
            self.counts.restarts += 1
        self._lateness.append(late_ms)
        self._look()
        if at < self._next:
            self.counts.late += 1
            self._depth_ms = min(max(self._depth_ms, late_ms), float(self._most_ms))
        elif at in self._held:
            self.counts.twice += 1
        else:
            self._held[at] = (packet.payload, length, now_s)
            if len(self._held) > MOST_PACKETS:
                oldest = min(self._held)
                self._next = oldest + self._held.pop(oldest)[1]
                self.counts.dropped += 1

    def take(self, now_s: float) -> list[Piece]:
        """What is due by now, in order, without holes."""
        pieces: list[Piece] = []
        if not self._clock.known:
            return pieces
        began_s = now_s if self._began_s is None else self._began_s
        most = ((now_s - began_s) * FASTEST + HEAD_START_S) * packets.RATE_HZ
        limit = min((self._now(now_s) - self._depth_ms) * 48, most)
        while True:
            payload, length, came_s = self._held.get(self._next, (None, 0, 0.0))
            if payload is None:
                length = min(STEP, min(self._held, default=self._next + STEP) - self._next)
            if self._next + length > limit:
                return pieces
            if payload is None:
                self.counts.missing_ms += length // 48
            else:
                del self._held[self._next]
                self.waited_ms += ((now_s - came_s) * 1000 - self.waited_ms) / 50
            pieces.append(Piece(self._next, length, payload))
            self._next += length

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next piece is due; None: nothing has come yet."""
        if not self._clock.known:
            return None
        length = self._held[self._next][1] if self._next in self._held else STEP
        end = self._next + length
        due_s = (end / 48 + self._depth_ms - self._now(now_s)) / 1000
        began_s = now_s if self._began_s is None else self._began_s
        may_s = began_s + (end / packets.RATE_HZ - HEAD_START_S) / FASTEST - now_s
        return max(0.0, due_s, may_s)

    def _now(self, now_s: float) -> float:
        return float(self._clock.at_ms(now_s) or 0)

    def _place(self, timestamp: int, now_s: float) -> int:
        """Samples since the first packet; a sender that begins anew goes on where the clock stands."""
        if self._last is None:
            at = self._anew(now_s) if self._clock.known else 0
            self._last = (timestamp, at)
            return at
        last, at = self._last
        step = (timestamp - last) & 0xFFFFFFFF
        at += step - (1 << 32) if step >= 1 << 31 else step
        if abs(at - self._now(now_s) * 48) > LEAP:
            at = self._anew(now_s)
            self.counts.restarts += 1
        self._last = (timestamp, at)
        return at

    def _stood_still(self, late_ms: float, now_s: float) -> bool:
        """Whether this packet's count is one that paused: see `PAUSED_S`."""
        if late_ms <= self._most_ms:
            self._behind = None
            return False
        since_s, was_ms = self._behind or (now_s, late_ms)
        if late_ms < was_ms - STEP / 96:
            since_s, was_ms = now_s, late_ms
        self._behind = (since_s, was_ms)
        if now_s - since_s < PAUSED_S:
            return False
        self._behind = None
        return True

    def _anew(self, now_s: float) -> int:
        """A place behind everything that is known, and not before the clock."""
        clock = round(self._now(now_s) * 48) // STEP * STEP
        last = max((at + length for at, (_, length, _) in self._held.items()), default=0)
        return max(self._next, last, clock)

    def _look(self) -> None:
        self._until_look -= 1
        if self._until_look:
            return
        self._until_look = LOOK_EVERY
        wanted = min(max(self.jitter_ms, float(self._least_ms)), float(self._most_ms))
        self._depth_ms = max(wanted, self._depth_ms - FALL_MS)
