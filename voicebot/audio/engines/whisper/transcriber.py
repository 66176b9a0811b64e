"""All calls of a host on one model: ``Transcriber`` over ``utterance``, ``line`` and ``pace``. The shell.

Everything but the decode itself happens on the event loop, so no lock is needed and no state changes across
an ``await``. A decode runs on the workshop's threads; its window is taken when a thread is free, so it is
never stale.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from voicebot.audio.engines.types import EngineDown, EngineReport, Transcript
from voicebot.audio.engines.whisper.line import Line, Urgency
from voicebot.audio.engines.whisper.model import Reading, Window
from voicebot.audio.engines.whisper.pace import AUDIO_CLOCK_MS, Pace
from voicebot.audio.engines.whisper.utterance import Asked, Moment, Utterance
from voicebot.audio.engines.work import PlacesTaken, Workshop
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Expects

log = structlog.get_logger(__name__)

PLACES = 64
"""Utterances at once in one host; each holds up to 30 s of audio (0.5 MB) and its words."""

LONGEST_WAIT_S = 1.5
"""If a final or peek has waited this long, the host is past its limit and takes no new utterance."""

_FRAME_BYTES = 320


class Reader(Protocol):
    """What reads windows: ``WhisperModel``, or a fake with its behaviour."""

    threads: int
    most_rows: int

    def read(self, windows: Sequence[Window]) -> list[Reading]:
        """Blocking; see ``WhisperModel.read``."""
        ...


class WhisperTranscriber:
    """``Transcriber`` for every call of a host.

    Args:
        reader: the model.
        workshop: where decodes run; it has at least ``reader.threads`` threads. None: on the loop itself,
            which stands still meanwhile (for virtual time, where that takes none; never beside a live call).
        places: utterances at once.
        audio_clock: decode at fixed points of the audio, one window at a time, however long it takes: the
            same audio then gives the same transcripts every time (replay, virtual time).
        clock: seconds.
    """

    def __init__(
        self,
        reader: Reader,
        workshop: Workshop | None,
        *,
        places: int = PLACES,
        audio_clock: bool = False,
        clock: Clock = monotonic,
    ) -> None:
        self.audio_clock = audio_clock
        self.counts: Counter[str] = Counter()
        self._reader = reader
        self._workshop = workshop
        self._places = places
        self._clock = clock
        self._line: Line[WhisperRecognition] = Line()
        self._pace = Pace(reader.threads)
        self._rows = 1 if audio_clock else reader.most_rows
        self._free = reader.threads
        self._open: set[WhisperRecognition] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> WhisperRecognition:
        """See ``Transcriber.open``.

        Raises:
            PlacesTaken: too many utterances are open, or those that are wait too long.
        """
        if len(self._open) >= self._places:
            self.counts["refused"] += 1
            raise PlacesTaken(f"{self._places} utterances are being recognised")
        waited = self._line.oldest_s(self._clock())
        if waited > LONGEST_WAIT_S:
            self.counts["refused"] += 1
            raise PlacesTaken(f"callers have been waiting for {waited:.1f} s for their words")
        recognition = WhisperRecognition(self, call, Utterance(expects), on_partial)
        self._open.add(recognition)
        return recognition

    def report(self) -> EngineReport:
        """For ``Describe`` and admission."""
        now = self._clock()
        counts = {**self.counts, "partials_replaced": self._line.replaced}
        return EngineReport(self._pace.load(now), len(self._open), len(self._line), counts)

    # --- for recognitions -------------------------------------------------------------

    @property
    def partial_ms(self) -> int:
        """New audio after which an utterance is read again."""
        return AUDIO_CLOCK_MS if self.audio_clock else self._pace.partial_ms(len(self._open))

    def want(self, recognition: WhisperRecognition, call: str, urgency: Urgency) -> None:
        """Puts an utterance into the line."""
        self._line.put(recognition, call, urgency, self._clock())
        self._start()

    def closed(self, recognition: WhisperRecognition, call: str) -> None:
        """An utterance is over; twice is once."""
        self._line.drop(recognition)
        self._open.discard(recognition)
        if not any(other.call == call for other in self._open):
            self._line.forget(call)

    def _start(self) -> None:
        while self._free > 0 and len(self._line):
            batch = [(r, asked) for r in self._line.take(self._rows) if (asked := r.begin()) is not None]
            if not batch:
                continue
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._decode(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _decode(self, batch: list[tuple[WhisperRecognition, Asked]]) -> None:
        began = self._clock()
        try:
            windows = [asked.window for _, asked in batch]
            if self._workshop is None:
                readings = self._reader.read(windows)
            else:
                readings = await self._workshop.run(self._reader.read, windows)
        except Exception as error:
            self.counts["failed"] += len(batch)
            log.exception("whisper_decode_failed", calls=[r.call for r, _ in batch])
            for recognition, _ in batch:
                recognition.failed(error)
        else:
            for (recognition, asked), reading in zip(batch, readings, strict=True):
                recognition.heard(asked, reading)
        finally:
            now = self._clock()
            self._pace.ran(now - began, len(batch), now)
            self._free += 1
            self._start()


class WhisperRecognition:
    """``Recognition`` of one utterance."""

    def __init__(
        self,
        owner: WhisperTranscriber,
        call: str,
        utterance: Utterance,
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self.call = call
        self._owner = owner
        self._utterance = utterance
        self._on_partial = on_partial
        self._busy = False
        self._closed = False
        self._failure: BaseException | None = None
        self._wanted: Urgency | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._asking = 0  # peeks and finishes that are not answered yet
        self._moments: deque[Moment] = deque()

    # --- Recognition ------------------------------------------------------------------

    def feed(self, pcm16_8k: bytes) -> None:
        """See ``Recognition.feed``."""
        if self._closed or self._failure is not None:
            return
        if self._owner.audio_clock:
            self._feed_by_the_audio(pcm16_8k)
            return
        self._utterance.feed(pcm16_8k)
        self._look()

    async def peek(self) -> Transcript:
        """See ``Recognition.peek``."""
        return await self._ask(final=False)

    async def finish(self) -> Transcript:
        """See ``Recognition.finish``."""
        try:
            return await self._ask(final=True)
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """See ``Recognition.cancel``."""
        if self._closed:
            return
        self._closed = True
        self._owner.closed(self, self.call)
        for future in self._waiting:
            if not future.done():
                future.set_exception(EngineDown("whisper", "recognition was closed"))
        if self._utterance.lost_ms:
            self._owner.counts["audio_lost_ms"] += self._utterance.lost_ms
            log.warning("whisper_fell_behind", call=self.call, lost_ms=self._utterance.lost_ms)
        stopped = +self._utterance.stopped
        if stopped:
            for why, count in stopped.items():
                self._owner.counts[f"invented_{why}"] += count
            log.info("invented_words_stopped", call=self.call, **{str(w): n for w, n in stopped.items()})

    # --- for the transcriber ----------------------------------------------------------

    def begin(self) -> Asked | None:
        """The window to read now; None if nothing is due any more."""
        if self._closed or self._busy:
            return None
        if self._moments:
            asked = self._utterance.ask(final=False, moment=self._moments.popleft())
        elif self._utterance.settled():
            return None
        else:
            asked = self._utterance.ask(final=self._asking > 0)
            self._owner.counts["finals"] += self._asking > 0
        self._owner.counts["tails" if asked.ended else "partials"] += 1
        self._busy = True
        return asked

    def heard(self, asked: Asked, reading: Reading) -> None:
        """What was read."""
        self._busy = False
        if self._closed:
            return
        if self._utterance.hear(asked, reading):
            self._on_partial(self._utterance.transcript(final=False))
        self._wake()
        wanted, self._wanted = self._wanted, None
        if wanted is not None or self._moments:
            self._want(Urgency.PARTIAL if wanted is None else wanted)
        else:
            self._look()

    def failed(self, error: BaseException) -> None:
        """The decode failed: this utterance is lost, others go on."""
        self._busy = False
        self._failure = error
        self._wake()

    # --- own --------------------------------------------------------------------------

    async def _ask(self, *, final: bool) -> Transcript:
        self._asking += 1
        try:
            return await self._answer(final=final)
        finally:
            self._asking -= 1

    async def _answer(self, *, final: bool) -> Transcript:
        upto_ms = self._utterance.fed_ms
        at_once = True
        while True:
            if self._failure is not None:
                raise EngineDown("whisper", "the decoder failed on this utterance") from self._failure
            if self._closed:
                raise EngineDown("whisper", "recognition was closed")
            pending = self._owner.audio_clock and (self._moments or self._busy)
            if not pending and self._utterance.settled(upto_ms):
                self._owner.counts["answered_at_once" if at_once else "answered"] += 1
                return self._utterance.transcript(final=final)
            at_once = False
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            self._want(Urgency.FINAL if final else Urgency.PEEK)
            await future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _look(self) -> None:
        urgency = self._utterance.due(self._owner.partial_ms)
        if urgency is not None and not self._owner.audio_clock:
            self._want(urgency)

    def _want(self, urgency: Urgency) -> None:
        if self._busy:
            self._wanted = urgency if self._wanted is None else min(self._wanted, urgency)
        else:
            self._owner.want(self, self.call, urgency)

    def _feed_by_the_audio(self, pcm16_8k: bytes) -> None:
        """Twenty ms at a time, so that it does not matter how the audio was packed."""
        for at in range(0, len(pcm16_8k) & ~1, _FRAME_BYTES):
            self._utterance.feed(pcm16_8k[at : at + _FRAME_BYTES])
            if self._utterance.due(AUDIO_CLOCK_MS) is not None:
                self._moments.append(self._utterance.moment())
                self._utterance.mark_asked()
        if self._moments:
            self._want(Urgency.PARTIAL)
