"""A clause becomes mu-law: from the phrase cache, or from the engine as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Speech, SpeechChunk
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.held import HeldClause, Piece
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.core.conversation import Clause

CHUNK_DEADLINE_S = 2.5
"""An engine that makes no audio for so long is taken for hung; the caller may wait 3 s in all."""


class Synthesis:
    """One per call; engine and cache are shared. At most one clause is held."""

    def __init__(self, call: str, speech: Speech, phrases: PhraseCache) -> None:
        self._call = call
        self._speech = speech
        self._phrases = phrases
        self._keeping: set[asyncio.Task[None]] = set()
        self._held: HeldClause | None = None

    async def hold(self, clause: Clause, on_sound: Callable[[], None] = lambda: None) -> None:
        """Makes the clause before it may be said; the next ``pieces`` takes it if its words are the same.

        What was held before is dropped, unless it is this very clause. ``on_sound`` is told once the first
        sound is there.
        """
        if self._held is not None and self._held.text == clause.text:
            if self._held.made_ms:
                on_sound()
            return
        await self.let_go()
        if clause.fixed and await self._phrases.get(self._speech.voice_id, clause.text) is not None:
            on_sound()  # it lies ready
            return
        await self.let_go()  # another may have come while the cache was looked into
        self._held = HeldClause(clause.text, self._render(clause), on_sound)

    async def let_go(self) -> None:
        """Drops what is held: it will not be said."""
        held, self._held = self._held, None
        if held is not None:
            await held.drop()

    async def pieces(self, clause: Clause) -> AsyncGenerator[Piece]:
        """The clause's audio as it comes to be. Closing it stops the engine.

        Raises:
            EngineDown: gone, hung, or it made no sound at all.
        """
        held, self._held = self._held, None
        if held is not None and held.text != clause.text:
            await held.drop()
        elif held is not None:
            began = False
            try:
                async with aclosing(held.take()) as kept:
                    async for piece in kept:
                        began = True
                        yield piece
                return
            except EngineDown:
                if began:
                    raise
        async with aclosing(self._render(clause)) as made:
            async for piece in made:
                yield piece

    async def _render(self, clause: Clause) -> AsyncGenerator[Piece]:
        if clause.fixed:
            kept = await self._phrases.get(self._speech.voice_id, clause.text)
            if kept is not None:
                yield Piece(kept.ulaw, kept.words)
                return
        encoder = UlawEncoder()
        made: list[Piece] = []
        sound = False
        async with aclosing(self._chunks(clause.text)) as chunks:
            async for chunk in chunks:
                piece = Piece(encoder.encode(chunk.audio), chunk.words)
                sound = sound or bool(piece.ulaw)
                if clause.fixed:
                    made.append(piece)
                yield piece
        if not sound:
            raise EngineDown("tts", "no audio")
        if clause.fixed:
            self._keep(clause.text, made)

    async def _chunks(self, text: str) -> AsyncGenerator[SpeechChunk]:
        stream: AsyncIterator[SpeechChunk] = self._speech.say(self._call, text, RATE_HZ)
        try:
            while True:
                try:
                    async with asyncio.timeout(CHUNK_DEADLINE_S):
                        chunk = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise EngineDown("tts", "deadline") from None
                yield chunk
        finally:
            await close(stream)

    def _keep(self, text: str, made: list[Piece]) -> None:
        words = [word for piece in made for word in piece.words]
        ulaw = b"".join(piece.ulaw for piece in made)
        task = asyncio.get_running_loop().create_task(
            self._phrases.put(self._speech.voice_id, text, ulaw, words)
        )
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)


async def close(stream: AsyncIterator[Any]) -> None:
    """Ends an iterator early if it can be (generators can), so that its source stops working."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()
