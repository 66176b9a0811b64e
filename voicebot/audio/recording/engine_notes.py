"""Engines whose answers are noted beside a call: what they said, of how much audio, and how long it took.

Thin wraps behind the engines' own faces. What is noted is personal like the sound itself, and is sealed with
it; who keeps it decides what must not be kept (``channels.phone.evidence``).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict
from typing import Any

from voicebot.audio.engines.types import (
    RATE_HZ,
    EngineDown,
    Recognition,
    Speech,
    SpeechChunk,
    SpokenWord,
    Transcriber,
    Transcript,
    TurnJudge,
    Word,
)
from voicebot.core.clock import Clock
from voicebot.core.conversation import Expects

Note = Callable[[dict[str, Any]], None]

STT = "engine.stt"
TURN = "engine.turn"
TTS = "engine.tts"

_BYTES_PER_MS = RATE_HZ * 2 // 1000


def text_key(text: str) -> str:
    """Names a clause without saying it."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]


def transcript_dict(transcript: Transcript) -> dict[str, Any]:
    """As JSON holds it; what says nothing is left out."""
    made = asdict(transcript)
    made["words"] = [[w.text, w.start_ms, w.end_ms, w.confidence] for w in transcript.words]
    return {name: value for name, value in made.items() if value not in (None, (), [], 0, "")} | {
        "text": transcript.text,
        "final": transcript.final,
    }


def transcript_from(made: dict[str, Any]) -> Transcript:
    """And back."""
    fields: dict[str, Any] = dict(made)
    fields["words"] = tuple(Word(str(w[0]), int(w[1]), int(w[2]), w[3]) for w in made.get("words", ()))
    fields["alternatives"] = tuple(made.get("alternatives", ()))
    return Transcript(**fields)


class NotedTranscriber:
    """`Transcriber` of one call. ``note`` gets one fact for each utterance, when it is over.

    Its ``answers``: ``[what, fed_ms, took_ms, transcript]``: what was said (``partial``, ``peek``, ``final``;
    ``down`` with the reason), after how much audio, and how long after it was asked for (0 for partials).
    """

    def __init__(self, inner: Transcriber, note: Note, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._inner = inner
        self._note = note
        self._clock = clock
        self._now_ms = now_ms
        self._opened = 0

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> NotedRecognition:
        """See `Transcriber`."""
        self._opened += 1
        fact: dict[str, Any] = {
            "type": STT,
            "at_ms": self._now_ms(),
            "n": self._opened,
            "expects": expects.model_dump(exclude_none=True),
            "answers": [],
        }
        noted = NotedRecognition(fact, self._note, self._clock)
        began_s = self._clock()

        def partial(transcript: Transcript) -> None:
            noted.answered("partial", 0.0, transcript)
            on_partial(transcript)

        try:
            noted.inner = await self._inner.open(call, expects, partial)
        except EngineDown as down:
            noted.down(down, began_s)
            noted.over()
            raise
        fact["open_ms"] = round((self._clock() - began_s) * 1000, 1)
        return noted


class NotedRecognition:
    """`Recognition` of one utterance."""

    inner: Recognition

    def __init__(self, fact: dict[str, Any], note: Note, clock: Clock) -> None:
        self._fact = fact
        self._note = note
        self._clock = clock
        self._fed = 0
        self._over = False

    def feed(self, pcm16_8k: bytes) -> None:
        """See `Recognition`."""
        self._fed += len(pcm16_8k)
        self.inner.feed(pcm16_8k)

    async def peek(self) -> Transcript:
        """See `Recognition`."""
        began_s = self._clock()
        try:
            transcript = await self.inner.peek()
        except EngineDown as down:
            self.down(down, began_s)
            raise
        self.answered("peek", began_s, transcript)
        return transcript

    async def finish(self) -> Transcript:
        """See `Recognition`."""
        began_s = self._clock()
        try:
            transcript = await self.inner.finish()
            self.answered("final", began_s, transcript)
            return transcript
        except EngineDown as down:
            self.down(down, began_s)
            raise
        finally:
            self.over()

    async def cancel(self) -> None:
        """See `Recognition`."""
        self.over()
        await self.inner.cancel()

    def answered(self, what: str, began_s: float, transcript: Transcript) -> None:
        """Notes an answer; ``began_s`` 0: nobody waited for it."""
        took_ms = round((self._clock() - began_s) * 1000, 1) if began_s else 0.0
        self._fact["answers"].append([what, self._fed // _BYTES_PER_MS, took_ms, transcript_dict(transcript)])

    def down(self, down: EngineDown, began_s: float) -> None:
        """Notes that there was none."""
        took_ms = round((self._clock() - began_s) * 1000, 1)
        self._fact["answers"].append(["down", self._fed // _BYTES_PER_MS, took_ms, {"reason": down.reason}])

    def over(self) -> None:
        """The utterance is over; twice is once."""
        if not self._over:
            self._over = True
            self._note({**self._fact, "fed_ms": self._fed // _BYTES_PER_MS})


class NotedJudge:
    """`TurnJudge` of one call."""

    def __init__(self, inner: TurnJudge, note: Note, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._inner = inner
        self._note = note
        self._clock = clock
        self._now_ms = now_ms

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        """See `TurnJudge`."""
        at_ms, began_s = self._now_ms(), self._clock()
        fact: dict[str, Any] = {"type": TURN, "at_ms": at_ms, "audio_ms": len(pcm16_8k) // _BYTES_PER_MS}
        try:
            probability = await self._inner.probability(call, pcm16_8k)
            fact["probability"] = round(probability, 6)
            return probability
        except EngineDown as down:
            fact["down"] = down.reason
            raise
        finally:
            if len(fact) > len(("type", "at_ms", "audio_ms")):  # else nobody waited for it to the end
                self._note({**fact, "took_ms": round((self._clock() - began_s) * 1000, 1)})


class NotedSpeech:
    """`Speech` of one call: of each clause its length and its words' times, not its words."""

    def __init__(self, inner: Speech, note: Note, clock: Clock) -> None:
        self._inner = inner
        self._note = note
        self._clock = clock

    @property
    def voice_id(self) -> str:
        """See `Speech`."""
        return self._inner.voice_id

    async def say(self, call: str, text: str, rate_hz: int = RATE_HZ) -> AsyncIterator[SpeechChunk]:
        """See `Speech`."""
        began_s = self._clock()
        first_ms: float | None = None
        size = 0
        words: list[SpokenWord] = []
        whole = False
        stream = self._inner.say(call, text, rate_hz)
        try:
            async for chunk in stream:
                if first_ms is None and chunk.audio:
                    first_ms = round((self._clock() - began_s) * 1000, 1)
                size += len(chunk.audio)
                words += chunk.words
                yield chunk
            whole = True
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
            if whole:
                self._note(spoken(text, size * 1000 // (rate_hz * 2), words, first_ms))


def spoken(text: str, audio_ms: int, words: Iterable[SpokenWord], first_ms: float | None) -> dict[str, Any]:
    """The fact of a clause."""
    return {
        "type": TTS,
        "key": text_key(text),
        "audio_ms": audio_ms,
        "first_ms": first_ms,
        "words": [[word.start_ms, word.end_ms] for word in words],
    }
