"""Engines for tests: one real host process under its supervisor, and made-up engines behind the real wire."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloud_kit

from voicebot.audio.engines.choice import EngineChoice, EngineSpec, Role
from voicebot.audio.engines.hosted import Emit, HostedSpeech, HostedTranscriber
from voicebot.audio.engines.hosts import EngineHosts, WatchPolicy
from voicebot.audio.engines.server import EngineServer
from voicebot.audio.engines.types import SpeechChunk, SpokenWord, Transcript
from voicebot.audio.engines.work import PlacesTaken, Workshop
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Expects

PATIENT = WatchPolicy(tries_at_start=1, ping_deadline_s=10.0, hung_after_s=30.0)
"""One try: a test that expects a refusal does not wait for the others. A host that is only slow lives."""


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


class _One(EngineChoice):
    """A server with a single engine."""

    def specs(self) -> tuple[EngineSpec, ...]:
        return (self.stt,)


@dataclass
class Hosted:
    """A supervised host. ``target`` is where it answers, before and after a restart."""

    hosts: EngineHosts
    role: Role
    target: str

    @property
    def pid(self) -> int | None:
        return self.hosts.pids().get(self.role)

    async def until(self, condition: Callable[[], bool], within_s: float = 30.0) -> None:
        """Waits for a condition; generous, since the machine may be busy."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def hosting(
    kind: str,
    model: str | None = None,
    *,
    role: Role = "stt",
    policy: WatchPolicy = PATIENT,
    models: Path | None = None,
) -> AsyncIterator[Hosted]:
    """One engine in a process of its own, warm; ended at the end."""
    spec = EngineSpec(role, kind, model)
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        hosts = EngineHosts(_One(spec, spec), Path(folder), models=models, policy=policy)
        await hosts.start()
        try:
            yield Hosted(hosts, role, f"unix:{folder}/{role}.sock")
        finally:
            await hosts.stop()


@dataclass
class LevelEngine:
    """A recogniser that reads ``cloud_kit.spoken`` audio; ``hold`` wedges it while it is set, and opening
    waits while ``may_open`` is not. ``opening`` and ``held`` count who came so far.
    """

    places: int = 4
    threads: int = 2
    kind: str = "levels"
    model: str = "levels"
    notes: tuple[str, ...] = ()
    hold: threading.Event = field(default_factory=threading.Event)
    open_now: int = 0
    opened: int = 0
    may_open: threading.Event = field(default_factory=_set)
    opening: int = 0
    held: int = 0

    def warm_up(self) -> None: ...

    def open(self, expects: Expects, call: str = "") -> LevelDecoding:
        if self.open_now >= self.places:
            raise PlacesTaken(f"{self.places} utterances are being recognised")
        self.opening += 1
        self.may_open.wait()
        self.open_now += 1
        self.opened += 1
        return LevelDecoding(self)


class LevelDecoding:
    """One utterance of it. Says so if two threads ever meet in it."""

    def __init__(self, engine: LevelEngine) -> None:
        self._engine = engine
        self._pcm = b""
        self._inside = threading.Lock()

    def feed(self, pcm16_8k: bytes) -> Transcript | None:
        with self._entered():
            self._pcm += pcm16_8k
            return self._transcript(final=False) if len(self._pcm) < 160_000 else None

    def peek(self) -> Transcript:
        with self._entered():
            return self._transcript(final=False)

    def finish(self) -> Transcript:
        with self._entered():
            return self._transcript(final=True)

    def close(self) -> None:
        self._engine.open_now -= 1

    def _entered(self) -> threading.Lock:
        assert not self._inside.locked(), "two threads in one decoding"
        self._engine.held += self._engine.hold.is_set()
        while self._engine.hold.is_set():
            time.sleep(0.01)
        return self._inside

    def _transcript(self, *, final: bool) -> Transcript:
        return Transcript(cloud_kit.read(self._pcm), final, audio_ms=len(self._pcm) // 16)


@dataclass
class LetterVoice:
    """A voice that takes 10 ms for each letter; ``hold`` wedges it while it is set, ``word_s`` goes into each
    word. ``held`` counts who waited so far.
    """

    threads: int = 1
    kind: str = "letters"
    model: str = "letters"
    voice_id: str = "letters/1"
    notes: tuple[str, ...] = ()
    hold: threading.Event = field(default_factory=threading.Event)
    word_s: float = 0.0
    held: int = 0
    emitted: int = 0

    def warm_up(self) -> None: ...

    def say(self, text: str, rate_hz: int, emit: Emit) -> None:
        at = 0
        for word in text.split():
            self.held += self.hold.is_set()
            while self.hold.is_set():
                time.sleep(0.01)
            time.sleep(self.word_s)
            ms = 10 * len(word)
            self.emitted += 1
            if not emit(SpeechChunk(bytes(rate_hz * ms // 1000 * 2), (SpokenWord(word, at, at + ms),))):
                return
            at += ms


@asynccontextmanager
async def serving_engine(
    engine: Any, *, line: int = 64, clock: Clock = monotonic, kind: str = "made up"
) -> AsyncIterator[str]:
    """An engine behind the real server on a Unix socket, in this process; yields its target."""
    workshop = Workshop("engine", engine.threads, line, clock)
    server = EngineServer(kind, engine.model, workshop=workshop)
    if hasattr(engine, "open"):
        server.recognise_with(HostedTranscriber(engine, workshop))
    elif hasattr(engine, "say"):
        server.speak_with(HostedSpeech(engine, workshop))
    else:
        server.judge_with(engine, workshop)
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        target = f"unix:{folder}/e.sock"
        await server.listen(target)
        server.ready()
        try:
            yield target
        finally:
            if hasattr(engine, "hold"):
                engine.hold.clear()
            if hasattr(engine, "may_open"):
                engine.may_open.set()
            await server.stop(0.1)
            workshop.close()
