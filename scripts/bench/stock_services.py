"""Our engine hosts as plain Pipecat services, and an answerer in place of a language model.

What a bot out of Pipecat's book would have: recognition of whole VAD segments, speech sentence by
sentence, everything else at Pipecat's defaults. Only the engines are the same as voicebot's, so that
a comparison shows the house around them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from faster_whisper import WhisperModel
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from scripts.bench.answers import Answers
from scripts.bench.shadow import AROUND_S, tokens_of
from voicebot.audio.engines.types import EngineDown, Speech, Transcriber, Transcript
from voicebot.core.conversation import FREE

RATE_HZ = 8000
PACKET_BYTES = RATE_HZ // 10 * 2  # 100 ms of PCM16, what voicebot sends too


class HostSTT(SegmentedSTTService):
    """Recognises each VAD segment on the engine host, after it ended."""

    def __init__(self, transcriber: Transcriber, call: str) -> None:
        super().__init__(settings=STTSettings(model=None, language=None))
        self._transcriber = transcriber
        self._call = call

    @property
    def wants_wav_segments(self) -> bool:
        """Raw PCM16, as Pipecat's own Whisper service takes it."""
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        """One segment (PCM16 at 8 kHz) to at most one transcript."""

        def ignore(partial: Transcript) -> None:
            """A segmented service has no use for partials."""

        try:
            recognition = await self._transcriber.open(self._call, FREE, ignore)
            for start in range(0, len(audio), PACKET_BYTES):
                recognition.feed(audio[start : start + PACKET_BYTES])
            transcript = await recognition.finish()
        except EngineDown as error:
            yield ErrorFrame(error=str(error))
            return
        if transcript.text:
            yield TranscriptionFrame(transcript.text, "", time_now_iso8601())


class PhoneWhisperSTT(WhisperSTTService):
    """Pipecat's own Whisper service on a telephone line, made no worse than a careful user would have it.

    Three things differ from its defaults, all in its favour. It is given 16 kHz: fed 8 kHz as it comes, it
    would hear double speed. Its model is loaded before the first call and shared; it would load one per call,
    on the event loop. It decodes once (temperature 0); it would try up to five higher temperatures when a
    poor model doubts its words. The beam of five, the windows of 30 s and the threads are its own.
    """

    def __init__(self, model: Path, *, shadow: Path | None = None) -> None:
        self._shadow = shadow
        settings = WhisperSTTService.Settings(model=str(model), language=Language.EN)
        super().__init__(device="cpu", compute_type="int8", settings=settings)

    def _load(self) -> None:
        """Takes the one that is loaded, or loads it with once-only decoding."""
        key = str(self._settings.model)
        if key not in _LOADED:
            super()._load()
            loaded = self._model
            assert loaded is not None
            transcribe = functools.partial(loaded.transcribe, temperature=0.0)
            if self._shadow is not None:
                transcribe = _after(WhisperModel(str(self._shadow), "cpu", compute_type="int8"), transcribe)
            loaded.transcribe = transcribe  # type: ignore[method-assign]
            _LOADED[key] = loaded
        self._model = _LOADED[key]

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        """One segment (PCM16 at 8 kHz) to at most one transcript."""
        wide = soxr.resample(np.frombuffer(audio, np.int16), RATE_HZ, 2 * RATE_HZ)
        async for frame in super().run_stt(wide.tobytes()):
            yield frame


_LOADED: dict[str, object] = {}
"""Whisper models by folder."""


def _after(shadow: WhisperModel, transcribe: Callable[..., Any]) -> Callable[..., Any]:
    """``transcribe`` once ``shadow`` has decoded the same segment, as ``shadow.py`` describes."""

    def both(audio: np.ndarray, **arguments: Any) -> Any:
        segments, _ = shadow.transcribe(
            audio,
            language="en",
            temperature=0.0,
            max_new_tokens=tokens_of(len(audio) / (2 * RATE_HZ) - AROUND_S),
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        list(segments)
        return transcribe(audio, **arguments)

    return both


class HostTTS(TTSService):
    """Speaks each sentence on the engine host; audio goes on as it is made."""

    def __init__(self, speech: Speech, call: str) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=RATE_HZ,
            settings=TTSSettings(model=None, voice=speech.voice_id, language=None),
        )
        self._speech = speech
        self._call = call

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """One sentence to audio frames of PCM16 at 8 kHz."""
        try:
            async for chunk in self._speech.say(self._call, text, RATE_HZ):
                if chunk.audio:
                    yield TTSAudioRawFrame(chunk.audio, RATE_HZ, 1, context_id=context_id)
        except EngineDown as error:
            yield ErrorFrame(error=str(error))


class CannedLLM(LLMService):
    """Streams the canned answer to the caller's last words, token by token."""

    def __init__(self, answers: Answers) -> None:
        unused = {field.name: None for field in dataclasses.fields(LLMSettings) if field.name != "extra"}
        super().__init__(settings=LLMSettings(**{**unused, "model": "canned"}))
        self._answers = answers

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answers a context, passes on everything else."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        said = [m["content"] for m in frame.context.messages if m.get("role") == "user"]
        await self.push_frame(LLMFullResponseStartFrame())
        await asyncio.sleep(self._answers.first_token_s)
        for token in self._answers.tokens(str(said[-1]) if said else ""):
            await self.push_frame(LLMTextFrame(token))
            if self._answers.token_s:
                await asyncio.sleep(self._answers.token_s)
        await self.push_frame(LLMFullResponseEndFrame())
