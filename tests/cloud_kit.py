"""A cloud recogniser without a cloud: Pipecat's own base class and frames, a made-up provider behind it.

The provider reads a byte of loudness per 100 ms as a word, which makes each caller's words recognisable.
How it behaves is in the environment (``CLOUD_KIT``), since it runs inside an engine host.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService, STTService
from pipecat.utils.time import time_now_iso8601

STEP = 500
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def spoken(*numbers: int) -> bytes:
    """PCM16 at 8 kHz: 100 ms of a level per number."""
    return b"".join(np.full(800, (n + 1) * STEP, np.int16).tobytes() for n in numbers)


def read(pcm: bytes, rate_hz: int = 8000) -> str:
    """The words of ``spoken`` audio."""
    samples = np.frombuffer(pcm, np.int16)
    step = rate_hz // 10
    levels = [int(np.median(samples[at : at + step])) for at in range(0, samples.size - step // 2, step)]
    return " ".join(WORDS[round(level / STEP) - 1] for level in levels if level > STEP // 2)


class StreamingCloud(STTService):
    """Interims while it hears, one final when the end of speech is signalled.

    ``behaviour``: ``finalizes`` says so; ``plain`` does not; ``slow`` answers when ``may_answer`` is set;
    ``breaks`` reports an error on the first audio; ``dead`` cannot be reached.
    """

    def __init__(self, *, api_key: str, behaviour: str | None = None, rate_hz: int | None = None, **kw: Any):
        super().__init__(
            settings=STTSettings(model=None, language=None), sample_rate=rate_hz, ttfs_p99_latency=0.1, **kw
        )
        self.api_key = api_key
        self.behaviour = behaviour or os.environ.get("CLOUD_KIT", "finalizes")
        self.may_answer = asyncio.Event()
        self._pcm = b""

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        if self.behaviour == "dead":
            await asyncio.sleep(3600)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        if self.behaviour == "breaks":
            raise ConnectionError("the provider hung up on: my card is 1234")
        self._pcm += audio
        yield InterimTranscriptionFrame(read(self._pcm, self.sample_rate), "", time_now_iso8601())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            text, self._pcm = read(self._pcm, self.sample_rate), b""
            if self.behaviour == "slow":
                self.create_task(self._later(text))
                return
            if self.behaviour == "finalizes":
                self.request_finalize()
                self.confirm_finalize()
            await self.push_frame(TranscriptionFrame(text, "", time_now_iso8601()))

    async def _later(self, text: str) -> None:
        await self.may_answer.wait()
        await self.push_frame(TranscriptionFrame(text, "", time_now_iso8601(), finalized=True))


class SegmentCloud(SegmentedSTTService):
    """Reads a whole utterance after its end, as upload services do."""

    def __init__(self, *, api_key: str, **kw: Any):
        super().__init__(settings=STTSettings(model=None, language=None), ttfs_p99_latency=0.1, **kw)

    @property
    def wants_wav_segments(self) -> bool:
        return False

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield TranscriptionFrame(read(audio), "", time_now_iso8601())
