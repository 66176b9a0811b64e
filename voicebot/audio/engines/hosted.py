"""What an engine inside a host looks like, and how blocking ones become asynchronous.

An engine is written as plain blocking code (``RecognitionEngine``, ``SpeechEngine``, ``JudgeEngine``);
``HostedTranscriber`` and ``HostedSpeech`` run it on a bounded ``Workshop``, in order per utterance and
fairly between utterances, and show the same faces that the call nodes see.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import structlog

from voicebot.audio.engines.types import RATE_HZ, EngineDown, SpeechChunk, Transcript
from voicebot.audio.engines.work import Workshop
from voicebot.core.conversation import Expects

log = structlog.get_logger(__name__)

SLICE_BYTES = RATE_HZ * 2 // 5
"""Most audio decoded in one go (200 ms), so that one call's backlog does not starve the others."""

MAX_UTTERANCE_BYTES = 60 * RATE_HZ * 2
"""Audio of one utterance that is decoded (60 s); nobody's turn is longer, hold music is. More is dropped."""

MAX_TEXT = 2000
"""Characters of one clause to speak; about two minutes of speech."""


class Decoding(Protocol):
    """One utterance inside an engine. Called from one thread at a time, never concurrently."""

    def feed(self, pcm16_8k: bytes) -> Transcript | None:
        """Decodes more audio; returns a partial if it changed."""
        ...

    def peek(self) -> Transcript:
        """Everything so far, as if it ended here; goes on afterwards."""
        ...

    def finish(self) -> Transcript:
        """The final transcript."""
        ...

    def close(self) -> None:
        """Gives the place back; always called once, last."""
        ...


class RecognitionEngine(Protocol):
    """A recogniser: blocking, loaded once."""

    kind: str
    model: str
    notes: tuple[str, ...]
    threads: int
    """How many decodings may compute at once."""

    def warm_up(self) -> None:
        """Decodes something, so that the first caller does not pay for loading."""
        ...

    def open(self, expects: Expects, call: str = "") -> Decoding:
        """A place for one utterance of ``call``; what an engine learns of a line stays with that call.

        Raises:
            PlacesTaken: all are in use.
        """
        ...


Emit = Callable[[SpeechChunk], bool]
"""Takes a chunk; False: nobody listens any more, stop."""


class SpeechEngine(Protocol):
    """A voice: blocking, loaded once."""

    kind: str
    model: str
    voice_id: str
    notes: tuple[str, ...]
    threads: int

    def warm_up(self) -> None:
        """Says something to nobody."""
        ...

    def say(self, text: str, rate_hz: int, emit: Emit) -> None:
        """Speaks the clause into ``emit``, as it is made; returns soon after ``emit`` said False."""
        ...


class JudgeEngine(Protocol):
    """A turn judge: blocking, loaded once."""

    kind: str
    model: str
    notes: tuple[str, ...]
    threads: int

    def warm_up(self) -> None:
        """Judges silence once."""
        ...

    def probability(self, pcm16_8k: bytes) -> float:
        """Probability that the turn is over."""
        ...


class HostedTranscriber:
    """``Transcriber`` on a blocking engine."""

    def __init__(self, engine: RecognitionEngine, workshop: Workshop) -> None:
        self._engine = engine
        self._workshop = workshop

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> HostedRecognition:
        """See ``Transcriber.open``.

        Raises:
            PlacesTaken: the engine or the line in front of it is full.
        """
        opening = asyncio.ensure_future(self._workshop.run(self._engine.open, expects, call))
        try:
            decoding = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A thread is opening it all the same; nobody else will give its place back.
            opening.add_done_callback(_close_unused)
            raise
        return HostedRecognition(call, decoding, self._workshop, on_partial)


def _close_unused(opening: asyncio.Future[Decoding]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class HostedRecognition:
    """One utterance: what was asked of it is done in order, one slice at a time, off the loop."""

    def __init__(
        self,
        call: str,
        decoding: Decoding,
        workshop: Workshop,
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self._call = call
        self._decoding = decoding
        self._workshop = workshop
        self._on_partial = on_partial
        self._fed_bytes = 0
        self._due: deque[bytes | _Question] = deque()
        self._poke = asyncio.Event()
        self._failed: BaseException | None = None
        self._runner = asyncio.create_task(self._run())

    def feed(self, pcm16_8k: bytes) -> None:
        """See ``Recognition.feed``. An odd byte at the end of a packet is dropped."""
        usable = len(pcm16_8k) & ~1
        room = MAX_UTTERANCE_BYTES - self._fed_bytes
        if room <= 0 or not usable:
            return
        if usable >= room:
            log.warning("utterance_too_long", call=self._call, engine_takes_s=MAX_UTTERANCE_BYTES / 16000)
            usable = room
        self._fed_bytes += usable
        self._due.extend(pcm16_8k[at : min(at + SLICE_BYTES, usable)] for at in range(0, usable, SLICE_BYTES))
        self._poke.set()

    async def peek(self) -> Transcript:
        """See ``Recognition.peek``."""
        return await self._ask(self._decoding.peek)

    async def finish(self) -> Transcript:
        """See ``Recognition.finish``."""
        try:
            return await self._ask(self._decoding.finish)
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """See ``Recognition.cancel``."""
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)

    async def _ask(self, question: Callable[[], Transcript]) -> Transcript:
        if self._failed is not None:
            raise EngineDown("engine", "the decoder failed on this utterance") from self._failed
        answer: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        self._due.append(_Question(question, answer))
        self._poke.set()
        return await answer

    async def _run(self) -> None:
        under_way: asyncio.Task[None] | None = None
        try:
            while True:
                while not self._due:
                    self._poke.clear()
                    await self._poke.wait()
                due = self._due.popleft()
                under_way = asyncio.create_task(self._do(due))
                await asyncio.shield(under_way)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._failed = error
            log.exception("decoder_failed", call=self._call)
        finally:
            if under_way is not None and not under_way.done():
                # The decoder is in use by a thread; it must not be given back under its feet.
                await asyncio.gather(under_way, return_exceptions=True)
            self._decoding.close()
            for due in self._due:
                if isinstance(due, _Question) and not due.answer.done():
                    due.answer.set_exception(EngineDown("engine", "recognition was closed"))

    async def _do(self, due: bytes | _Question) -> None:
        if isinstance(due, bytes):
            partial = await self._workshop.run(self._decoding.feed, due)
            if partial is not None:
                self._on_partial(partial)
            return
        try:
            transcript = await self._workshop.run(due.ask)
        except Exception as error:
            if not due.answer.done():
                due.answer.set_exception(error)
            raise
        if not due.answer.done():
            due.answer.set_result(transcript)


class _Question:
    """A peek or the finish, in line behind the audio fed before it."""

    def __init__(self, ask: Callable[[], Transcript], answer: asyncio.Future[Transcript]) -> None:
        self.ask = ask
        self.answer = answer


class HostedSpeech:
    """Streams a blocking voice."""

    def __init__(self, engine: SpeechEngine, workshop: Workshop) -> None:
        self._engine = engine
        self._workshop = workshop

    @property
    def voice_id(self) -> str:
        """See ``Speech.voice_id``."""
        return self._engine.voice_id

    async def say(self, call: str, text: str, rate_hz: int = RATE_HZ) -> AsyncIterator[SpeechChunk]:
        """See ``Speech.say``.

        Raises:
            ValueError: the text is longer than ``MAX_TEXT`` or the rate is not 8000..48000 Hz.
            PlacesTaken: the line is full.
        """
        if len(text) > MAX_TEXT:
            raise ValueError(f"a clause has at most {MAX_TEXT} characters, this one {len(text)}")
        if not 8000 <= rate_hz <= 48000:
            raise ValueError(f"rate_hz is {rate_hz}; 8000 to 48000 can be made")
        if not text.strip():
            return
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()  # bounded by MAX_TEXT
        stopped = False

        def make() -> None:
            def emit(chunk: SpeechChunk) -> bool:
                if not stopped:
                    loop.call_soon_threadsafe(made.put_nowait, chunk)
                return not stopped

            self._engine.say(text, rate_hz, emit)

        job = asyncio.ensure_future(self._workshop.run(make))
        job.add_done_callback(lambda _: made.put_nowait(None))  # behind the last chunk
        try:
            while (chunk := await made.get()) is not None:
                yield chunk
            await job
        finally:
            stopped = True
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
