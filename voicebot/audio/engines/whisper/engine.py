"""Whisper as a host loads it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from voicebot.audio.engines.whisper.model import WhisperModel, Window, find_directory
from voicebot.audio.engines.whisper.transcriber import WhisperTranscriber
from voicebot.audio.engines.work import Workshop

MOST_THREADS = 4


class WhisperEngine:
    """One model for all calls of a host. Blocking to make; ``transcriber`` is its face.

    Args:
        model: a directory, a name under ``kept_in``/whisper, or a name that faster-whisper knows.
        kept_in: where models pulled for this server lie.
        language: of the callers.
        audio_clock: see ``WhisperTranscriber``.
        threads: decodes at once; by default half the cores (calls need the others), at most four.

    Raises:
        EngineUnavailable: it cannot be loaded; the message says why.
    """

    kind = "whisper"

    def __init__(
        self,
        model: str,
        kept_in: Path | None = None,
        *,
        language: str = "en",
        audio_clock: bool = False,
        threads: int | None = None,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        wanted = threads or max(1, min(MOST_THREADS, cores // 2))
        self._weights = WhisperModel(find_directory(model, kept_in), language=language, threads=wanted)
        self.threads = self._weights.threads
        self.model = self._weights.name
        self.notes: tuple[str, ...] = ()
        self._audio_clock = audio_clock

    def warm_up(self) -> None:
        """Reads noise in windows of the usual sizes, so that the first caller does not pay for it."""
        noise = np.random.default_rng(0).normal(0, 300, 80000).astype(np.int16)
        for seconds in (1, 3, 5, 8):
            self._weights.read([Window(noise[: seconds * 8000])])

    def transcriber(self, workshop: Workshop) -> WhisperTranscriber:
        """The asynchronous face; decodes run in ``workshop``."""
        return WhisperTranscriber(self._weights, workshop, audio_clock=self._audio_clock)
