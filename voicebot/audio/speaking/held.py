"""One clause that is made into sound before it may be said: held, then taken or dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from voicebot.audio.engines.types import EngineDown, SpokenWord
from voicebot.core import metrics

log = structlog.get_logger(__name__)

HELD_MS = 6000
"""Sound that is made ahead at most; the engine is read on when the clause is being said."""


@dataclass(frozen=True)
class Piece:
    """Some of a clause's audio (mu-law, 8 kHz), and the words whose times are known with it."""

    ulaw: bytes
    words: tuple[SpokenWord, ...] = ()


class HeldClause:
    """Is made from now on, in the background. ``take`` it or ``drop`` it. Needs a running event loop.

    Args:
        text: the clause.
        made: its pieces as the engine makes them; closed in every case.
        on_sound: told once, when its first sound is there.
    """

    def __init__(self, text: str, made: AsyncGenerator[Piece], on_sound: Callable[[], None]) -> None:
        self.text = text
        self._made = made
        self._on_sound = on_sound
        self._pieces: deque[Piece] = deque()
        self._made_bytes = 0
        self._counted = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        metrics.held_alive.inc()
        self._work = asyncio.get_running_loop().create_task(self._make())
        self._work.add_done_callback(lambda _: self._changed.set())

    @property
    def made_ms(self) -> int:
        """Sound that was made so far."""
        return self._made_bytes // 8

    async def take(self) -> AsyncGenerator[Piece]:
        """Its pieces: at once what is there, then the rest as it is made. Once.

        Raises:
            EngineDown: as the engine did.
        """
        self._count("kept")
        self._room.set()
        try:
            while True:
                self._changed.clear()
                while self._pieces:
                    yield self._pieces.popleft()
                if self._work.done():
                    break
                await self._changed.wait()
            if not self._work.cancelled():
                self._work.result()
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Ends the making. What was not taken is waste, and counted. Twice is once."""
        self._count("dropped")  # first: whoever waits here may be cancelled
        self._work.cancel()
        await asyncio.wait({self._work})
        error = None if self._work.cancelled() else self._work.exception()
        if error is not None and not isinstance(error, EngineDown):
            log.error("held_clause.failed", error=type(error).__name__)

    async def _make(self) -> None:
        async with aclosing(self._made) as pieces:
            async for piece in pieces:
                if piece.ulaw and not self._made_bytes:
                    self._on_sound()
                self._made_bytes += len(piece.ulaw)
                self._pieces.append(piece)
                self._changed.set()
                if self.made_ms >= HELD_MS and not self._counted:
                    self._room.clear()
                await self._room.wait()

    def _count(self, fate: str) -> None:
        if self._counted:
            return
        self._counted = True
        metrics.held_alive.dec()
        work = self._work
        failed = work.done() and not work.cancelled() and isinstance(work.exception(), EngineDown)
        metrics.held_clauses.labels("failed" if failed else fate).inc()
        if fate == "dropped":
            metrics.held_wasted_s.inc(self.made_ms / 1000)
