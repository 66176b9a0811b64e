"""Today's engines in virtual time: their work is done at once, their answers come at the recording's pace.

The same sound gives the same answers at the same moments, every time. What computes runs on the loop itself,
which stands still meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from voicebot.audio.engines.hosted import SLICE_BYTES, Decoding, JudgeEngine, RecognitionEngine
from voicebot.audio.engines.types import (
    RATE_HZ,
    Recognition,
    SpeechChunk,
    SpokenWord,
    Transcriber,
    Transcript,
)
from voicebot.audio.engines.whisper.transcriber import Reader, WhisperTranscriber
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.wavefile import SpokenAudio
from voicebot.core.conversation import Expects
from voicebot.proof.replay.pace import Pace

CHUNK_MS = 100


class Voice(Protocol):
    """Makes the sound of a text, whole and at once; the same every time."""

    voice_id: str

    def speak(self, text: str) -> tuple[bytes, tuple[SpokenWord, ...]]:
        """PCM16 at 8 kHz and the times of its words.

        Raises:
            EngineDown: it cannot.
        """
        ...


class InlineTranscriber:
    """`Transcriber` on a blocking recogniser (PocketSphinx)."""

    def __init__(self, engine: RecognitionEngine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> InlineRecognition:
        """See `Transcriber`."""
        await asyncio.sleep(self._pace.open_s)
        return InlineRecognition(self._engine.open(expects, call), on_partial, self._pace)


class InlineRecognition:
    """One utterance."""

    def __init__(self, decoding: Decoding, on_partial: Callable[[Transcript], None], pace: Pace) -> None:
        self._decoding = decoding
        self._on_partial = on_partial
        self._pace = pace
        self._open = True

    def feed(self, pcm16_8k: bytes) -> None:
        """See `Recognition`."""
        if not self._open:
            return
        for at in range(0, len(pcm16_8k) & ~1, SLICE_BYTES):
            partial = self._decoding.feed(pcm16_8k[at : at + SLICE_BYTES])
            if partial is not None:
                asyncio.get_running_loop().call_later(self._pace.partial_s, self._tell, partial)

    async def peek(self) -> Transcript:
        """See `Recognition`."""
        answer = self._decoding.peek()
        await asyncio.sleep(self._pace.answer_s)
        return answer

    async def finish(self) -> Transcript:
        """See `Recognition`."""
        answer = self._decoding.finish()
        await self.cancel()
        await asyncio.sleep(self._pace.answer_s)
        return answer

    async def cancel(self) -> None:
        """See `Recognition`."""
        if self._open:
            self._open = False
            self._decoding.close()

    def _tell(self, partial: Transcript) -> None:
        if self._open:
            self._on_partial(partial)


class PacedTranscriber:
    """`Transcriber` whose answers come later than they were made."""

    def __init__(self, inner: Transcriber, pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> PacedRecognition:
        """See `Transcriber`."""
        await asyncio.sleep(self._pace.open_s)
        paced = PacedRecognition(self._pace, on_partial)
        paced.inner = await self._inner.open(call, expects, paced.partial)
        return paced


class PacedRecognition:
    """One utterance."""

    inner: Recognition

    def __init__(self, pace: Pace, on_partial: Callable[[Transcript], None]) -> None:
        self._pace = pace
        self._on_partial = on_partial
        self._open = True

    def partial(self, transcript: Transcript) -> None:
        """What the engine told by itself."""
        asyncio.get_running_loop().call_later(self._pace.partial_s, self._tell, transcript)

    def feed(self, pcm16_8k: bytes) -> None:
        """See `Recognition`."""
        self.inner.feed(pcm16_8k)

    async def peek(self) -> Transcript:
        """See `Recognition`."""
        answer = await self.inner.peek()
        await asyncio.sleep(self._pace.answer_s)
        return answer

    async def finish(self) -> Transcript:
        """See `Recognition`."""
        answer = await self.inner.finish()
        self._open = False
        await asyncio.sleep(self._pace.answer_s)
        return answer

    async def cancel(self) -> None:
        """See `Recognition`."""
        self._open = False
        await self.inner.cancel()

    def _tell(self, transcript: Transcript) -> None:
        if self._open:
            self._on_partial(transcript)


def whisper(reader: Reader, pace: Pace) -> Transcriber:
    """Whisper by the audio's own clock, one window at a time, on the loop."""
    return PacedTranscriber(WhisperTranscriber(reader, None, audio_clock=True), pace)


class InlineJudge:
    """`TurnJudge` on a blocking one."""

    def __init__(self, engine: JudgeEngine, pace: Pace) -> None:
        self._engine = engine
        self._pace = pace

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        """See `TurnJudge`."""
        answer = self._engine.probability(pcm16_8k)
        await asyncio.sleep(self._pace.judge_s)
        return answer


class VoicedSpeech:
    """`Speech` of a voice: the first sound at its pace, the rest much faster than it is heard."""

    def __init__(self, voice: Voice, pace: Pace) -> None:
        self._voice = voice
        self._pace = pace

    @property
    def voice_id(self) -> str:
        """See `Speech`."""
        return self._voice.voice_id

    async def say(self, call: str, text: str, rate_hz: int = RATE_HZ) -> AsyncIterator[SpeechChunk]:
        """See `Speech`."""
        pcm, words = self._voice.speak(text)
        await asyncio.sleep(self._pace.speech_s)
        step = CHUNK_MS * RATE_HZ * 2 // 1000
        for at in range(0, len(pcm), step):
            from_ms, to_ms = at * CHUNK_MS // step, (at + step) * CHUNK_MS // step
            last = at + step >= len(pcm)
            due = tuple(w for w in words if from_ms <= w.start_ms and (last or w.start_ms < to_ms))
            yield SpeechChunk(pcm[at : at + step], due)
            await asyncio.sleep(0.002)


class ReadyPhrases(PhraseCache):
    """Every fixed phrase lies ready, as in a node that is warm; made when it is first asked for."""

    def __init__(self, voice: Voice) -> None:
        super().__init__(None)
        self._voice = voice

    async def get(self, voice_id: str, text: str) -> SpokenAudio | None:
        """See `PhraseCache`."""
        kept = await super().get(voice_id, text)
        if kept is None:
            pcm, words = self._voice.speak(text)
            await self.put(voice_id, text, UlawEncoder().encode(pcm), words)
            kept = await super().get(voice_id, text)
        return kept
