"""Cloud recognisers through Pipecat's services: ``VOICEBOT_STT=pipecat:SERVICE``.

A call keeps one connection to the service for its utterances, since a connection takes longer than an
answer may. Beginning and end of an utterance are told to the service as Pipecat's voice activity frames,
which its services know how to read (flush, commit, a segment to upload). A connection whose utterance
was not answered to its end is not used again: a late transcript must not become part of the next one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import structlog
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from voicebot.audio.engines.pipecat_lookup import find_service
from voicebot.audio.engines.pipecat_utterance import CloudUtterance
from voicebot.audio.engines.resampling import Resampler
from voicebot.audio.engines.types import RATE_HZ, EngineDown, EngineReport, EngineUnavailable, Transcript
from voicebot.audio.engines.work import PlacesTaken, Workshop
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Expects

log = structlog.get_logger(__name__)

PLACES = 64
"""Connections at once in one host."""

IDLE_S = 60.0
"""A connection that no utterance has used for this long is closed; services bill for open ones."""

MAX_UTTERANCE_BYTES = 60 * RATE_HZ * 2
"""Audio of one utterance that goes to the service; more is hold music and costs money."""

_CLOSE_WITHIN_S = 5.0


class PipecatEngine:
    """A service found by name, as a host loads it; ``transcriber`` is its face.

    Args:
        service: see ``find_service``.
        language: of the callers.

    Raises:
        EngineUnavailable: unknown service, missing package or key.
    """

    kind = "pipecat"
    threads = 1
    notes: tuple[str, ...] = ("callers' unmasked speech leaves this machine",)

    def __init__(self, service: str, *, language: str = "en") -> None:
        self._make = find_service(service, language)
        self.model = service

    def warm_up(self) -> None:
        """Nothing: the service is reached when the first caller speaks."""

    def transcriber(self, workshop: Workshop) -> PipecatTranscriber:
        """The asynchronous face.

        Raises:
            EngineUnavailable: the service cannot be made with what the environment has.
        """
        try:
            self._make()
        except Exception as error:  # each service has errors of its own; none of them is temporary
            raise EngineUnavailable(
                f"the service {self.model} cannot be made: {type(error).__name__}: {error}"
            ) from error
        return PipecatTranscriber(self._make)


class PipecatTranscriber:
    """``Transcriber`` over a Pipecat service.

    Args:
        make: makes one instance of the service; called once per connection.
        places: connections at once.
        idle_s: see ``IDLE_S``.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        places: int = PLACES,
        idle_s: float = IDLE_S,
        clock: Clock = monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._make = make
        self._places = places
        self._idle_s = idle_s
        self._clock = clock
        self._idle: dict[str, tuple[_Connection, asyncio.TimerHandle]] = {}
        self._busy = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> PipecatRecognition:
        """See ``Transcriber.open``. Does not wait for the service: that shows at ``peek`` or ``finish``.

        Raises:
            PlacesTaken: too many connections are open.
        """
        connection = self._take_idle(call)
        if connection is None:
            if self._busy + len(self._idle) >= self._places:
                self.counts["refused"] += 1
                raise PlacesTaken(f"{self._places} connections to the service are open")
            self.counts["connections"] += 1
            connection = _Connection(self._make())
        self._busy += 1
        self.counts["utterances"] += 1
        return PipecatRecognition(
            connection, on_partial, self._clock, lambda ok: self._done(call, connection, ok)
        )

    def report(self) -> EngineReport:
        """For ``Describe`` and admission."""
        return EngineReport(0.0, self._busy, 0, dict(self.counts))

    async def close(self) -> None:
        """Ends every idle connection and waits for those that are ending."""
        for call in list(self._idle):
            self._expire(call)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _take_idle(self, call: str) -> _Connection | None:
        found = self._idle.pop(call, None)
        if found is None:
            return None
        connection, timer = found
        timer.cancel()
        if connection.lost is None:
            return connection
        self._end(connection)
        return None

    def _done(self, call: str, connection: _Connection, usable: bool) -> None:
        self._busy -= 1
        if not usable or connection.lost is not None or call in self._idle:
            self.counts["lost"] += connection.lost is not None
            self._end(connection)
            return
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._expire, call)
        self._idle[call] = (connection, timer)

    def _expire(self, call: str) -> None:
        connection, timer = self._idle.pop(call)
        timer.cancel()
        self._end(connection)

    def _end(self, connection: _Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class PipecatRecognition:
    """One utterance on a connection. Belongs to one call."""

    def __init__(
        self,
        connection: _Connection,
        on_partial: Callable[[Transcript], None],
        clock: Clock,
        done: Callable[[bool], None],
    ) -> None:
        self._connection = connection
        self._on_partial = on_partial
        self._clock = clock
        self._done = done
        self._utterance = CloudUtterance()
        self._changed = asyncio.Event()
        self._fed_bytes = 0
        self._over = False
        connection.listen(self._heard)
        connection.send(VADUserStartedSpeakingFrame())

    def feed(self, pcm16_8k: bytes) -> None:
        """See ``Recognition.feed``."""
        usable = min(len(pcm16_8k) & ~1, MAX_UTTERANCE_BYTES - self._fed_bytes)
        if self._over or usable <= 0:
            return
        self._fed_bytes += usable
        self._utterance.fed(usable)
        self._connection.send_audio(pcm16_8k[:usable])

    async def peek(self) -> Transcript:
        """See ``Recognition.peek``. What the service has said so far: it cannot be asked to hurry.

        Raises:
            EngineDown: the service is lost.
        """
        self._check()
        return self._utterance.transcript(final=False)

    async def finish(self) -> Transcript:
        """See ``Recognition.finish``.

        Raises:
            EngineDown: the service is lost, or was never reached.
        """
        try:
            self._check()
            self._connection.send(VADUserStoppedSpeakingFrame())
            self._connection.send(UserStoppedSpeakingFrame())
            self._utterance.ended(self._clock())
            while (wait_s := self._utterance.due(self._clock())) > 0:
                self._changed.clear()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                self._check()
            if not self._connection.ready:
                raise EngineDown("pipecat", "the service was not reached in time")
            return self._utterance.transcript(final=True)
        finally:
            self._release()

    async def cancel(self) -> None:
        """See ``Recognition.cancel``."""
        self._release()

    def _check(self) -> None:
        if self._connection.lost is not None:
            raise EngineDown("pipecat", self._connection.lost)

    def _release(self) -> None:
        if not self._over:
            self._over = True
            self._connection.listen(None)
            self._done(self._utterance.complete)

    def _heard(self, frame: Frame | None) -> None:
        """A transcript, or None when the connection was lost."""
        match frame:
            case TranscriptionFrame():
                self._utterance.final(frame.text, finalized=frame.finalized, now=self._clock())
            case InterimTranscriptionFrame():
                self._utterance.interim(frame.text)
            case _:
                pass
        self._changed.set()
        if frame is not None:
            self._on_partial(self._utterance.transcript(final=False))


class _Connection:
    """A pipeline of one service, and what came out of it. Not shared between calls."""

    def __init__(self, service: Any) -> None:
        self.lost: str | None = None
        self.ready = False
        self._service = service
        self._listener: Callable[[Frame | None], None] | None = None
        self._resampler: Resampler | None = None
        self._outbox: asyncio.Queue[Frame | bytes] = asyncio.Queue()  # bounded by MAX_UTTERANCE_BYTES
        self._worker = PipelineWorker(
            Pipeline([service, _Tap(self._heard)]),
            params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
            cancel_on_idle_timeout=False,
            idle_timeout_secs=None,
            enable_rtvi=False,
            enable_turn_tracking=False,
        )
        self._started = asyncio.Event()

        async def on_started(worker: PipelineWorker, frame: Frame) -> None:
            self.ready = True
            self._started.set()

        async def on_error(worker: PipelineWorker, frame: ErrorFrame) -> None:
            # The service's own words may quote what was said; its category does not.
            category = str(frame.category.value) if frame.category is not None else "error"
            self._lose(f"the service failed: {category}")

        self._worker.add_event_handler("on_pipeline_started", on_started)
        self._worker.add_event_handler("on_pipeline_error", on_error)
        self._runner = asyncio.create_task(self._run())
        self._writer = asyncio.create_task(self._write())

    def listen(self, listener: Callable[[Frame | None], None] | None) -> None:
        """Who gets the transcripts from now on."""
        self._listener = listener

    def send(self, frame: Frame) -> None:
        """Never blocks."""
        self._outbox.put_nowait(frame)

    def send_audio(self, pcm16_8k: bytes) -> None:
        """Never blocks; goes to the service at the rate that it takes."""
        self._outbox.put_nowait(pcm16_8k)

    async def close(self) -> None:
        """Ends the connection; never raises."""
        self._lose("the connection was closed")
        self._writer.cancel()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await self._worker.cancel()
                await asyncio.gather(self._runner, self._writer, return_exceptions=True)
        except TimeoutError:
            log.warning("service_did_not_close", within_s=_CLOSE_WITHIN_S)
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        try:
            runner = WorkerRunner(handle_sigint=False)
            await runner.add_workers(self._worker)
            await runner.run()
        except Exception as error:
            log.error("service_pipeline_failed", error=type(error).__name__)
            self._lose(f"the service failed: {type(error).__name__}")
        else:
            self._lose("the service ended the connection")

    async def _write(self) -> None:
        await self._started.wait()
        while True:
            due = await self._outbox.get()
            if isinstance(due, bytes):
                await self._send_on(due, last=False)
                continue
            if isinstance(due, VADUserStoppedSpeakingFrame):
                await self._send_on(b"", last=True)
            await self._worker.queue_frame(due)

    async def _send_on(self, pcm16_8k: bytes, *, last: bool) -> None:
        """At the service's own rate: some take one only, whatever the pipeline has."""
        rate_hz = int(self._service.sample_rate) or RATE_HZ
        if self._resampler is None:
            self._resampler = Resampler(RATE_HZ, rate_hz)
        audio = self._resampler.feed(np.frombuffer(pcm16_8k, dtype=np.int16), last=last)
        if last:
            self._resampler = None
        if audio:
            frame = InputAudioRawFrame(audio=audio, sample_rate=rate_hz, num_channels=1)
            await self._worker.queue_frame(frame)

    def _heard(self, frame: Frame) -> None:
        if self._listener is not None:
            self._listener(frame)

    def _lose(self, reason: str) -> None:
        if self.lost is None:
            self.lost = reason
            if self._listener is not None:
                self._listener(None)


class _Tap(FrameProcessor):
    """The end of the pipeline: tells the transcripts."""

    def __init__(self, heard: Callable[[Frame], None]) -> None:
        super().__init__()
        self._heard = heard

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame | InterimTranscriptionFrame):
            self._heard(frame)
        await self.push_frame(frame, direction)
