"""A clause becomes mu-law: from the phrase cache, or from the engine as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Speech, SpeechChunk, SpokenWord
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.core.conversation import Clause

CHUNK_DEADLINE_S = 2.5
"""An engine that makes no audio for so long is taken for hung; the caller may wait 3 s in all."""


@dataclass(frozen=True)
class Piece:
    """Some of a clause's audio (mu-law, 8 kHz), and the words whose times are known with it."""

    ulaw: bytes
    words: tuple[SpokenWord, ...] = ()


class Synthesis:
    """One per call; engine and cache are shared."""

    def __init__(self, call: str, speech: Speech, phrases: PhraseCache) -> None:
        self._call = call
        self._speech = speech
        self._phrases = phrases
        self._keeping: set[asyncio.Task[None]] = set()

    async def pieces(self, clause: Clause) -> AsyncGenerator[Piece]:
        """The clause's audio as it comes to be. Closing it stops the engine.

        Raises:
            EngineDown: gone, hung, or it made no sound at all.
        """
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
