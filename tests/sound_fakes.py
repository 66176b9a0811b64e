"""Fakes with behaviour for the sound side: engines at their protocols, and a line like Twilio's."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voicebot.audio import mulaw
from voicebot.audio.engines.types import EngineDown, SpeechChunk, SpokenWord, Transcript
from voicebot.core.conversation import Clause, Expects

TONE = mulaw.encode((8000 * np.sin(np.arange(160) * 2 * math.pi * 400 / 8000)).astype(np.int16))
"""20 ms of what ``ToneVoice`` takes for a voice."""

QUIET = bytes([mulaw.SILENCE]) * 160


class ToneVoice:
    """Voice activity that takes any loud window for a voice (``VoiceActivity``)."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        return 0.95 if np.abs(window.astype(int)).mean() > 300 else 0.02


@dataclass
class FakeRecognition:
    """Says what the script says of this utterance; counts what it was fed."""

    ears: FakeEars
    text: str
    expects: Expects
    on_partial: Callable[[Transcript], None]
    fed: bytearray = field(default_factory=bytearray)
    packets: list[int] = field(default_factory=list)
    finished: bool = False
    cancelled: bool = False
    peeks: int = 0

    def feed(self, pcm16_8k: bytes) -> None:
        self.fed += pcm16_8k
        self.packets.append(len(pcm16_8k))

    async def peek(self) -> Transcript:
        self.peeks += 1
        return await self._decode(final=False)

    async def finish(self) -> Transcript:
        self.finished = True
        return await self._decode(final=True)

    async def cancel(self) -> None:
        self.cancelled = True

    async def _decode(self, *, final: bool) -> Transcript:
        await asyncio.sleep(self.ears.decode_s)
        if self.ears.down:
            raise EngineDown("stt", "unavailable")
        text = self.ears.so_far(bytes(self.fed), self.text) if self.ears.so_far else self.text
        return Transcript(text, final, confidence=0.9, alternatives=("other",))


@dataclass
class FakeEars:
    """A ``Transcriber``: the n-th utterance has the n-th text."""

    texts: Iterable[str] = ()
    decode_s: float = 0.02
    open_s: float = 0.005
    down: bool = False
    so_far: Callable[[bytes, str], str] | None = None
    opened: list[FakeRecognition] = field(default_factory=list)

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> FakeRecognition:
        await asyncio.sleep(self.open_s)
        if self.down:
            raise EngineDown("stt", "unavailable")
        texts = list(self.texts)
        text = texts[len(self.opened)] if len(self.opened) < len(texts) else ""
        recognition = FakeRecognition(self, text, expects, on_partial)
        self.opened.append(recognition)
        return recognition


@dataclass
class FakeJudge:
    """A ``TurnJudge``: answers ``verdict(number of times asked before)``."""

    verdict: Callable[[int], float] = lambda _: 0.95
    takes_s: float = 0.045
    down: bool = False
    asked: list[int] = field(default_factory=list)

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        self.asked.append(len(pcm16_8k))
        number = len(self.asked) - 1
        await asyncio.sleep(self.takes_s)
        if self.down:
            raise EngineDown("turn", "unavailable")
        return self.verdict(number)


@dataclass
class FakeSpeech:
    """A ``Speech``: 300 ms a word, in chunks of 50 ms, ``rate`` times faster than real time."""

    rate: float = 20.0
    first_s: float = 0.03
    word_ms: int = 300
    voice_id: str = "fake/1"
    down_after_chunks: list[int] = field(default_factory=list)
    hangs: bool = False
    word_times: bool = True
    said: list[str] = field(default_factory=list)
    speaking: int = 0
    made_ms: int = 0

    async def say(self, call: str, text: str, rate_hz: int = 8000) -> AsyncIterator[SpeechChunk]:
        self.said.append(text)
        self.speaking += 1
        try:
            async for chunk in self._chunks(text):
                yield chunk
        finally:
            self.speaking -= 1

    async def _chunks(self, text: str) -> AsyncIterator[SpeechChunk]:
        dies_after = self.down_after_chunks.pop(0) if self.down_after_chunks else None
        await asyncio.sleep(3600 if self.hangs else self.first_s)
        words = text.split()
        chunks = len(words) * self.word_ms // 50
        for number in range(chunks):
            if dies_after is not None and number >= dies_after:
                raise EngineDown("tts", "unavailable")
            at_ms = number * 50
            starting: tuple[SpokenWord, ...] = ()
            if self.word_times and at_ms % self.word_ms == 0:
                starting = (SpokenWord(words[at_ms // self.word_ms], at_ms, at_ms + self.word_ms),)
            self.made_ms += 50
            level = 1000 + (len(self.said) * 37 + number) % 500
            yield SpeechChunk(np.full(400, level, dtype="<i2").tobytes(), starting)
            await asyncio.sleep(0.05 / self.rate)
        if dies_after is not None and dies_after >= chunks:
            raise EngineDown("tts", "unavailable")


class Ear:
    """The caller's end of a line (``Wire``): plays in real time, returns marks as Twilio does.

    ``heard`` is what really came out: ``(second it began, mu-law)``; ``delay_s`` is one way.
    """

    def __init__(self, delay_s: float = 0.0, *, returns_marks: bool = True) -> None:
        self.delay_s = delay_s
        self.returns_marks = returns_marks
        self.on_mark: Callable[[str], None] = lambda _: None
        self.log: list[tuple[float, str, object]] = []
        self.gaps: list[float] = []
        self._queue: list[tuple[str, object]] = []
        self._travelling: deque[tuple[str, object]] = deque()
        self._returning: deque[str] = deque()
        self._wake = asyncio.Event()
        self._cleared = asyncio.Event()
        self.heard: list[tuple[float, bytes]] = []
        self.fails_after: int | None = None
        self._player = asyncio.get_running_loop().create_task(self._play())

    async def media(self, ulaw: bytes) -> None:
        self._arrive("media", ulaw)

    async def mark(self, name: str) -> None:
        self._arrive("mark", name)

    async def clear(self) -> None:
        self._arrive("clear", None)

    async def close(self) -> None:
        self._player.cancel()
        await asyncio.wait([self._player])

    @property
    def heard_ms(self) -> int:
        return sum(len(ulaw) for _, ulaw in self.heard) // 8

    def buffered_ms(self) -> int:
        return sum(len(x) for kind, x in self._queue if kind == "media") // 8  # type: ignore[arg-type]

    def _arrive(self, kind: str, what: object) -> None:
        if self.fails_after is not None:
            if self.fails_after == 0:
                raise ConnectionResetError("gone")
            self.fails_after -= 1
        loop = asyncio.get_running_loop()
        self.log.append((loop.time(), kind, what))
        self._travelling.append((kind, what))  # the loop does not keep the order of equal timers
        loop.call_later(self.delay_s, lambda: self._take(*self._travelling.popleft()))

    def _take(self, kind: str, what: object) -> None:
        if kind == "clear":
            marks = [name for k, name in self._queue if k == "mark"]
            self._queue.clear()
            self._cleared.set()
            for name in marks:
                self._return(str(name))
        else:
            self._queue.append((kind, what))
            self._wake.set()

    def _return(self, name: str) -> None:
        if self.returns_marks:
            self._returning.append(name)
            asyncio.get_running_loop().call_later(
                self.delay_s, lambda: self.on_mark(self._returning.popleft())
            )

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            kind, what = self._queue[0]
            if kind == "mark":
                self._queue.pop(0)
                self._return(str(what))
                continue
            assert isinstance(what, bytes)
            now = loop.time()
            if now > free_at + 1e-6 and self.heard:
                self.gaps.append(now - free_at)
            self._cleared.clear()
            try:
                async with asyncio.timeout(len(what) / 8000):
                    await self._cleared.wait()
                played = int((loop.time() - now) * 8000)
                self.heard.append((now, what[:played]))
            except TimeoutError:
                self.heard.append((now, what))
                if self._queue and self._queue[0][1] is what:  # else it was cleared in this very moment
                    self._queue.pop(0)
            free_at = loop.time()


async def clauses_of(*texts: str, fixed: bool = False, pause_s: float = 0.0) -> AsyncIterator[Clause]:
    for text in texts:
        await asyncio.sleep(pause_s)
        yield Clause(text=text, fixed=fixed)
