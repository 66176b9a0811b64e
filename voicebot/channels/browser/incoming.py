"""What a browser says: its packets become 20 ms of mu-law on one clock, with nothing missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from voicebot.audio import mulaw
from voicebot.channels.browser.band import RATIO
from voicebot.channels.browser.concealment import Concealer
from voicebot.channels.browser.jitter import JitterBuffer, Packet, Piece
from voicebot.channels.browser.opus import OpusDecoder, Pcm
from voicebot.core.clock import Clock, monotonic

FRAME = mulaw.RATE_HZ // 50
"""Samples, and bytes, of 20 ms."""
SILENT_AFTER_S = 1.0
STALLED_S = 0.015
"""Woken later than that, the process has stood still, and packets lie in the socket that are not late."""


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms: 160 bytes mu-law, 8 kHz. ``at_ms``: since the first packet; ``made_up``: some never came."""

    ulaw: bytes
    at_ms: int
    made_up: bool


class Framer:
    """Pieces of any length to frames of 20 ms. Pure."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._concealer = Concealer()
        self._rest: Pcm = np.zeros(0, np.int16)
        self._frames = 0
        self._made_up_until = 0

    def feed(self, piece: Piece) -> list[Frame]:
        """The frames that are complete with it."""
        pcm = self._decoder.decode(piece.payload) if piece.payload is not None else None
        if pcm is None:
            pcm = self._concealer.missing(piece.length // RATIO)
            self._decoder.skip(piece.length)
            self._made_up_until = self._frames * FRAME + len(self._rest) + len(pcm)
        else:
            pcm = self._concealer.real(pcm)
        self._rest = np.concatenate([self._rest, pcm])
        frames: list[Frame] = []
        while len(self._rest) >= FRAME:
            made_up = self._made_up_until > self._frames * FRAME
            frames.append(Frame(mulaw.encode(self._rest[:FRAME]), self._frames * 20, made_up))
            self._rest = self._rest[FRAME:]
            self._frames += 1
        return frames


class Incoming:
    """One stream's. ``frames`` is read by one task; who does not read loses the oldest, nothing grows.

    Args:
        clock: of the event loop's process.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        self.jitter = JitterBuffer()
        self._clock = clock
        self._framer = Framer()
        self._woken = asyncio.Event()
        self._over = False
        self._begin_s: float | None = None

    def packet(self, timestamp: int, payload: bytes) -> None:
        """An RTP packet has come."""
        self.jitter.put(Packet(timestamp, payload), self._clock())
        self._woken.set()

    def connected(self) -> None:
        """Packets may come; if none do, silence begins after `SILENT_AFTER_S`."""
        self._begin_s = self._clock() + SILENT_AFTER_S
        self._woken.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._over = True
        self._woken.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames as they fall due, from the first packet on without a pause, until the end."""
        while not self._over:
            wait_s = self.jitter.wait_s(self._clock())
            self._woken.clear()
            if wait_s is None:
                await self._first_packet()
                continue
            due_s = self._clock() + wait_s
            await asyncio.sleep(wait_s)
            if self._clock() - due_s > STALLED_S:
                await asyncio.sleep(0.005)
            for piece in self.jitter.take(self._clock()):
                for frame in self._framer.feed(piece):
                    yield frame

    async def _first_packet(self) -> None:
        if self._begin_s is None:
            await self._woken.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, self._begin_s - self._clock())):
                await self._woken.wait()
        except TimeoutError:
            self.jitter.begin(self._clock())
