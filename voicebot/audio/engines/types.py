"""What an engine hears and says, and the three faces that hearing and speaking code against.

Types only: no gRPC, no model, no asyncio beyond the signatures. The real implementations live in
``client``; tests put fakes with behaviour behind the same protocols. Audio is always PCM16, mono,
little endian; times are milliseconds from the first sample that was fed (or spoken).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from voicebot.core.conversation import Expects

RATE_HZ = 8000
"""The rate of the telephone, and of everything that is fed to an engine."""


class EngineError(Exception):
    """Root of what can go wrong with an engine.

    ::

        EngineError
        ├── EngineDown         gone, hung, or past its deadline: fall back, it is being restarted
        │   └── EngineOverloaded   alive, but every place is taken: fall back, do not restart
        └── EngineUnavailable  cannot be started as configured: mend the setting or install it
    """


class EngineDown(EngineError):  # states, not errors: the listener acts on them by name
    """The engine did not answer in time, or is gone; the request is lost, the next may work.

    Attributes:
        engine: which engine, e.g. ``stt`` or ``sphinx``.
        reason: short, without anything the caller said, e.g. ``deadline``, ``unavailable``.
    """

    def __init__(self, engine: str, reason: str) -> None:
        self.engine = engine
        self.reason = reason
        super().__init__(f"engine {engine} is down: {reason} (its supervisor restarts it)")


class EngineOverloaded(EngineDown):
    """The engine is well, but all its places are taken; raise its bound or add a replica."""


class EngineUnavailable(EngineError):  # same
    """The engine cannot be started as asked; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Word:
    """One recognised word. Times in ms from the first sample fed; ``confidence`` in 0..1 or None."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True)
class Transcript:
    """What an engine makes of the audio fed so far.

    ``text`` is lower case without punctuation for PocketSphinx and as the model writes it for Whisper;
    empty when nothing was recognised. ``confidence`` is in 0..1 (None: the engine gives none for a
    partial). ``alternatives`` are other readings, best first, without ``text`` itself. The last three
    numbers are Whisper's and None elsewhere. ``audio_ms`` is how much audio it has read. ``standing`` is
    how many of a partial's words, from the front, will not change while the caller speaks on (0: unknown).
    ``dropped`` says why words at its end were thrown away as invented (``loop``, ``no_speech``, ...).
    ``language`` is another language than the one that is read, with its probability, where the engine says
    that it sounds like one (two letters).
    """

    text: str
    final: bool
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    alternatives: tuple[str, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    audio_ms: int = 0
    standing: int = 0
    dropped: str | None = None
    language: str | None = None
    language_prob: float | None = None


@dataclass(frozen=True)
class EngineReport:
    """How an engine is doing. ``load`` is the busy share of its threads over the last seconds, 0..1."""

    load: float
    utterances: int
    waiting: int
    counts: dict[str, int]


class Recognition(Protocol):
    """One utterance being recognised. Belongs to one call; not shared."""

    def feed(self, pcm16_8k: bytes) -> None:
        """Hands over more audio (PCM16 at 8 kHz, packets of 60-100 ms, pre-roll included).

        Never blocks and never raises for a lost engine: that shows at ``peek`` or ``finish``.
        """
        ...

    async def peek(self) -> Transcript:
        """Everything fed so far, decoded now; recognition goes on afterwards.

        Raises:
            EngineDown: the engine is gone or did not answer within its deadline.
        """
        ...

    async def finish(self) -> Transcript:
        """The final transcript; the recognition is closed afterwards, whatever happens.

        Raises:
            EngineDown: the engine is gone or did not answer within its deadline.
        """
        ...

    async def cancel(self) -> None:
        """Drops the utterance. Safe at any time, also twice; never raises ``EngineDown``."""
        ...


class Transcriber(Protocol):
    """Speech to text. One per node, shared by its calls."""

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> Recognition:
        """Starts an utterance of ``call``; ``on_partial`` is called on the event loop, in order.

        ``expects`` is what was just asked; it may select a grammar. ``on_partial`` is never called
        after ``finish`` returned or ``cancel`` was called.

        Raises:
            EngineDown: the engine is gone, hung or full (``EngineOverloaded``).
        """
        ...


@dataclass(frozen=True)
class SpokenWord:
    """One spoken word, times in ms relative to the start of the clause's audio."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class SpeechChunk:
    """A piece of synthesised audio: PCM16 mono at the rate that was asked for.

    ``words`` are those whose times became known with this chunk, in order. Over one clause the
    concatenated ``words`` are all words of the text, their times on the axis of the concatenated
    ``audio``. The last chunk may have words and no audio.
    """

    audio: bytes
    words: tuple[SpokenWord, ...] = ()


class Speech(Protocol):
    """Text to speech. One per node, shared by its calls."""

    @property
    def voice_id(self) -> str:
        """Names voice and speed, e.g. ``espeak/en-us/175``; part of the phrase cache's key."""
        ...

    def say(self, call: str, text: str, rate_hz: int = RATE_HZ) -> AsyncIterator[SpeechChunk]:
        """Speaks one clause; chunks arrive as they are made. Closing the iterator stops the engine.

        Raises (while iterating):
            EngineDown: the engine is gone, hung or full.
        """
        ...


class TurnJudge(Protocol):
    """Says whether a caller sounds finished. One per node, shared by its calls."""

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        """Probability in 0..1 that the turn is over, from its audio so far (the last 8 s count).

        Raises:
            EngineDown: the engine is gone, hung or full.
        """
        ...
