"""Fixed phrases, rendered once per voice: in memory, and on disk for the next start.

One file per (voice, text) under ``data_dir/phrases``: a mu-law WAV that any player opens. Fixed phrases
come from the deployment, so nothing personal lies there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import structlog

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Speech, SpokenWord
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.wavefile import NotAPhrase, SpokenAudio, from_wav, to_wav

log = structlog.get_logger(__name__)

MEMORY_BYTES = 32 * 1024 * 1024
"""About an hour of speech; the phrase not used for longest leaves first."""


class PhraseCache:
    """One per process, shared by its calls (one event loop). ``directory`` None: memory only."""

    def __init__(self, directory: Path | None, memory_bytes: int = MEMORY_BYTES) -> None:
        self._directory = directory
        self._memory: OrderedDict[str, SpokenAudio] = OrderedDict()
        self._memory_bytes = memory_bytes
        self._held = 0

    async def get(self, voice_id: str, text: str) -> SpokenAudio | None:
        """The phrase, from memory or disk; None if it was not rendered yet. A damaged file is dropped."""
        key = _key(voice_id, text)
        audio = self._memory.get(key)
        if audio is not None:
            self._memory.move_to_end(key)
            return audio
        if self._directory is None:
            return None
        audio = await asyncio.to_thread(_read, self._directory / f"{key}.wav")
        if audio is not None:
            self._keep(key, audio)
        return audio

    async def put(self, voice_id: str, text: str, ulaw: bytes, words: Iterable[SpokenWord]) -> None:
        """Keeps a rendered phrase. A full or read-only disk costs a log line, nothing else."""
        audio = SpokenAudio(ulaw, tuple(words), _plain(text))
        key = _key(voice_id, text)
        self._keep(key, audio)
        if self._directory is not None:
            await asyncio.to_thread(_write, self._directory / f"{key}.wav", to_wav(audio))

    async def warm(self, speech: Speech, texts: Iterable[str]) -> int:
        """Renders what is missing of ``texts``, one after the other; returns how many were rendered.

        Raises:
            EngineDown: the engine is gone; what was rendered so far is kept.
        """
        rendered = 0
        for text in texts:
            if await self.get(speech.voice_id, text) is not None:
                continue
            ulaw = UlawEncoder()
            parts: list[bytes] = []
            words: list[SpokenWord] = []
            async for chunk in speech.say("warmup", text, RATE_HZ):
                parts.append(ulaw.encode(chunk.audio))
                words.extend(chunk.words)
            if not any(parts):
                raise EngineDown("tts", "no audio")
            await self.put(speech.voice_id, text, b"".join(parts), words)
            rendered += 1
        return rendered

    def _keep(self, key: str, audio: SpokenAudio) -> None:
        old = self._memory.pop(key, None)
        self._held += len(audio.ulaw) - (len(old.ulaw) if old else 0)
        self._memory[key] = audio
        while self._held > self._memory_bytes and len(self._memory) > 1:
            _, dropped = self._memory.popitem(last=False)
            self._held -= len(dropped.ulaw)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _key(voice_id: str, text: str) -> str:
    return hashlib.sha256(f"1\n{voice_id}\n{_plain(text)}".encode()).hexdigest()[:40]


def _read(path: Path) -> SpokenAudio | None:
    try:
        return from_wav(path.read_bytes())
    except FileNotFoundError:
        return None
    except (NotAPhrase, OSError) as error:
        log.warning("phrase_unreadable", file=path.name, reason=str(error))
        return None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also when two processes write the same phrase."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.warning("phrase_not_kept", file=path.name, reason=str(error))
