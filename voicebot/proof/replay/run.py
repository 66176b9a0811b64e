"""Runs recorded calls again: the recording as the caller, today's pipeline as the bot, in virtual time.

with Replayer.open(options, settings, first) as replayer:
    replayed = replayer.replay(call)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from voicebot.audio.engines.choice import EngineSpec, choose, models_dir
from voicebot.audio.engines.types import EngineUnavailable, Transcriber
from voicebot.audio.hearing.events import CallerFinished, SpeechStarted, TurnEnded
from voicebot.audio.recording.reader import Problem, Recording
from voicebot.channels.phone.call import PhoneCall
from voicebot.core.conversation import TurnTimings
from voicebot.core.settings import Settings
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.writer import make_writers
from voicebot.dialogue.generation.writers import Writers
from voicebot.proof.replay.compare import Difference, Tolerance, differences
from voicebot.proof.replay.engines import InlineJudge, InlineTranscriber, whisper
from voicebot.proof.replay.errors import EngineMissing, NotReplayable
from voicebot.proof.replay.facts import CallFacts, facts_in
from voicebot.proof.replay.leg import STAYS_MS, RecordedParty, VirtualLeg
from voicebot.proof.replay.log import event_log
from voicebot.proof.replay.outside import NO_ANSWER, Answers, RecordedConnector, RecordedGenerator
from voicebot.proof.replay.pace import Pace
from voicebot.proof.replay.recorded import RecordedJudge, RecordedTranscriber
from voicebot.proof.replay.stage import Engines, Scene, Session, hold
from voicebot.proof.replay.taken import KeptTurn, kept_turns, messages_of, missing_in
from voicebot.proof.replay.tape import MemoryTape
from voicebot.proof.replay.turns import ReplayTurn, turns_in
from voicebot.proof.replay.voice import HostedVoice, RecordedVoice
from voicebot.proof.replay.world import World
from voicebot.proof.virtual_time import run

OLDEST_DAY = datetime(2026, 1, 5, 16, 30, tzinfo=UTC)
"""When a call began whose recording does not say it: a Monday in the morning of the reference shop."""


Progress = Callable[[int, int], None]
"""Told of a run: ms of the call that are over, and how long it is."""


@dataclass(frozen=True)
class Options:
    """What is asked for.

    ``engines``: ``local``, those of the recording as they are here, or ``recorded``, its own answers.
    ``stt``, ``tts``: others than the recording's. ``until``, ``since``: turns.
    """

    engines: Literal["local", "recorded"] = "local"
    stt: str | None = None
    tts: str | None = None
    live_tools: bool = False
    live_model: bool = False
    until: int | None = None
    since: int = 1
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True)
class RecordedCall:
    """A call to be run: its name for people, and the recordings of its media sessions, oldest first."""

    name: str
    sessions: tuple[Recording, ...]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of all its sessions."""
        return [event for session in self.sessions for event in session.events]


@dataclass(frozen=True)
class Replayed:
    """How it went."""

    name: str
    was: list[ReplayTurn]
    now: list[ReplayTurn]
    differences: list[Difference]
    problems: list[Problem]
    notes: list[str]
    log: bytes
    outcome: str
    virtual_s: float
    real_s: float

    @property
    def ok(self) -> bool:
        """Nothing differs beyond its tolerance."""
        return not any(one.beyond for one in self.differences)


class Replayer:
    """What the calls of a run share: a database of its own, the deployment, engines that are loaded once."""

    def __init__(
        self, options: Options, settings: Settings, deployment: Deployment, world: World, stack: ExitStack
    ) -> None:
        self._options = options
        self._settings = settings
        self._deployment = deployment
        self._world = world
        self._stack = stack
        self._parts = deployment.pipeline("replay")
        self._transcribers: dict[tuple[str, str | None], Any] = {}
        self._voices: dict[str, HostedVoice] = {}
        self._judge: Any = None
        self._writers: Writers | None = None

    @classmethod
    @contextmanager
    def open(
        cls,
        options: Options,
        settings: Settings,
        day: date,
        *,
        deployment: Deployment | None = None,
        url: str | None = None,
    ) -> Generator[Replayer]:
        """A replayer with a database of its own, made for the day of the calls.

        Args:
            options: what is asked for.
            settings: of this machine: the deployment, where models lie, whom to ask with ``live_model``.
            day: on which the shop's records stand, for ``live_tools``.
            deployment: loaded already.
            url: an empty database with the schema, instead of one of its own.

        Raises:
            DeploymentError, EmbeddedPostgresError, ShopSetupError: it cannot be used.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        made = deployment or Deployment.load(settings.deployment)
        with ExitStack() as stack:
            world = stack.enter_context(World.made(made, settings, day, url))
            yield cls(options, settings, made, world, stack)

    def replay(self, call: RecordedCall, progress: Progress | None = None) -> Replayed:
        """Runs one call. ``progress`` is told how many ms of how many, every second of the call.

        Raises:
            NotReplayable: the recording lacks what it needs.
            EngineMissing: an engine or model is not here.
        """
        began_s = time.monotonic()
        events = call.events
        facts = facts_in(events)
        if not call.sessions or not any(session.ulaw.shape[0] for session in call.sessions):
            raise NotReplayable(f"{call.name} holds no sound: nothing can be heard again")
        if facts is None or not any(event.get("type") == "turn.committed" for event in events):
            raise NotReplayable(
                f"{call.name} says nothing of its turns: an older program recorded it "
                "(its sound can be exported, see docs/recording.md)"
            )
        notes = self._changes(facts)
        pace = Pace.of(events)
        answers = Answers(events)
        settings = self._settings.model_copy(update=_as_then(facts))
        voice = self._voice(facts, events)
        hear = None if self._options.engines == "recorded" else self._transcriber(facts, pace)

        def engines(now_ms: Callable[[], int]) -> Engines:
            if hear is None:
                return Engines(RecordedTranscriber(events, now_ms), RecordedJudge(events, now_ms), voice)
            return Engines(hear, InlineJudge(self._smart_turn(), pace), voice)

        tapes = [MemoryTape() for _ in call.sessions]
        sessions = tuple(
            Session(
                RecordedParty(messages_of(one), STAYS_MS if one is call.sessions[-1] else 0),
                tape,
                resumed=nth > 0,
            )
            for nth, (one, tape) in enumerate(zip(call.sessions, tapes, strict=True))
        )
        kept = [kept_turns(one.events) for one in call.sessions]
        scene = Scene(
            url=self._world.url,
            deployment=self._deployment,
            settings=settings,
            parts=self._parts,
            pace=pace,
            started_at=facts.started_at,
            caller=facts.caller,
            off=frozenset(facts.off),
            engines=engines,
            connector=None
            if self._options.live_tools
            else lambda like: RecordedConnector(answers, like, pace.read_s),
            writers=self._writing(answers),
            meet=_Meeting(kept, tapes, self._options.until, _told(progress, call.sessions)).meet,
        )
        try:
            held = run(hold(scene, sessions), inline=True, stuck_s=60.0)
        finally:
            self._world.wipe()
        told = [event for tape in tapes for event in tape.events]
        was, now = turns_in(events), turns_in(told)
        notes += [
            f"the recording holds no answer of {event['asked']!r} to what was asked at {event['at_ms']} ms"
            for event in told
            if event["type"] == NO_ANSWER
        ]
        found = differences(
            was, now, self._options.tolerance, first=self._options.since, last=self._options.until
        )
        return Replayed(
            name=call.name,
            was=was,
            now=now,
            differences=found,
            problems=[problem for one in call.sessions for problem in missing_in(one)],
            notes=notes,
            log=event_log(told, (m for tape in tapes for m in tape.out), held.stored),
            outcome=" then ".join(f"{one.kind} ({one.reason})" for one in held.outcomes),
            virtual_s=held.virtual_s,
            real_s=time.monotonic() - began_s,
        )

    # --- engines ----------------------------------------------------------------------

    def _transcriber(self, facts: CallFacts, pace: Pace) -> Transcriber:
        spec = self._stt_spec(facts)
        known = (spec.kind, spec.model)
        if known not in self._transcribers:
            self._transcribers[known] = self._load(spec)
        engine = self._transcribers[known]
        return InlineTranscriber(engine, pace) if spec.kind == "sphinx" else whisper(engine, pace)

    def _stt_spec(self, facts: CallFacts) -> EngineSpec:
        wanted = self._options.stt or facts.settings.get("stt") or "auto"
        heard_by = facts.engines.get("stt", {})
        if self._options.stt is None and wanted == "auto" and heard_by.get("kind") in {"sphinx", "whisper"}:
            wanted = "sphinx" if heard_by["kind"] == "sphinx" else f"whisper:{heard_by['model']}"
        try:
            spec = choose(self._settings.model_copy(update={"stt": wanted})).stt
        except EngineUnavailable as error:
            raise EngineMissing(
                f"{_heard(wanted)} {error}; or --stt sphinx, or --engines recorded"
            ) from error
        if spec.kind not in {"sphinx", "whisper"}:
            raise EngineMissing(
                f"{_heard(wanted)} {spec.kind} cannot be run in virtual time: "
                "--engines recorded, --stt sphinx, or --real-time"
            )
        return spec

    def _load(self, spec: EngineSpec) -> Any:
        if spec.kind == "sphinx":
            from voicebot.audio.engines.sphinx import SphinxEngine

            return SphinxEngine(self._deployment.folder / "business" / "phrases.yaml")
        from voicebot.audio.engines.whisper.model import WhisperModel

        try:
            directory = _on_disk(spec.model or "", models_dir(self._settings))
            return WhisperModel(directory, language=spec.language, threads=1)
        except EngineUnavailable as error:
            name = Path(spec.model or "?").name
            raise EngineMissing(
                f"Whisper {name}, which is to hear the call, is not on this machine: "
                f"voicebot models pull {name}, or --stt sphinx, or --engines recorded"
            ) from error

    def _smart_turn(self) -> Any:
        if self._judge is None:
            from voicebot.audio.engines.smart_turn import SmartTurnEngine

            self._judge = SmartTurnEngine()
        return self._judge

    def _voice(self, facts: CallFacts, events: list[dict[str, Any]]) -> Any:
        if self._options.engines == "recorded":
            return RecordedVoice(events)
        wanted = self._options.tts or facts.settings.get("tts") or "auto"
        try:
            spec = choose(self._settings.model_copy(update={"tts": wanted, "stt": "sphinx"})).tts
        except EngineUnavailable as error:
            raise EngineMissing(f"the voice {wanted}: {error}; or --engines recorded") from error
        if spec.voice_id not in self._voices:
            made = HostedVoice(spec, models_dir(self._settings))
            self._stack.callback(made.close)
            self._voices[spec.voice_id] = made
        return self._voices[spec.voice_id]

    def _writing(self, answers: Answers) -> Writers | None:
        if self._options.live_model:
            return None
        grounded = GroundedResponder(self._deployment.phrases)
        if not answers.writers:
            return Writers(grounded, models=self._deployment.models)
        settings, d = self._settings, self._deployment
        today = make_writers(settings, d.prompts, d.models, d.phrases)
        by_route = {w.route: w.generator for route in ("small", "strong") for w in today.chain(_route(route))}
        small, strong = by_route.get(_route("small")), by_route.get(_route("strong"))
        return Writers(
            grounded,
            None if small is None else RecordedGenerator(answers, small),
            None if strong is None else RecordedGenerator(answers, strong),
            models=d.models,
        )

    def _changes(self, facts: CallFacts) -> list[str]:
        from voicebot.proof.replay.facts import code_of

        now = code_of(self._deployment, self._settings)
        changed = [name for name, was in facts.versions.items() if now.get(name) not in {None, was}]
        return [f"changed since it was recorded: {', '.join(changed)}"] if changed else []


class _Meeting:
    """What happens to each session's call beside its caller: turns that are told, and where it is left."""

    def __init__(
        self,
        kept: list[list[KeptTurn]],
        tapes: list[MemoryTape],
        until: int | None,
        told: list[Callable[[int], None]],
    ) -> None:
        self._kept = list(kept)
        self._tapes = list(tapes)
        self._until = until
        self._told = told
        self._tasks: set[asyncio.Task[None]] = set()

    def meet(self, call: PhoneCall, leg: VirtualLeg) -> None:
        """A session begins."""
        for turn in self._kept.pop(0):
            self._begin(_tell(call, turn))
        tape = self._tapes.pop(0)
        if self._until is not None:
            self._begin(_leave(tape, leg, self._until))
        if self._told:
            self._begin(_watch(call, self._told.pop(0)))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _tell(call: PhoneCall, turn: KeptTurn) -> None:
    """A turn whose sound is not there any more, told at its moments."""
    await _until(lambda: call.now_ms() >= turn.started_ms)
    call.listener.caller_active()
    call.hear(SpeechStarted(turn.started_ms))
    await _until(lambda: call.now_ms() >= turn.ended_ms)
    now_ms = call.now_ms()
    call.listener.caller_active()
    call.hear(CallerFinished(now_ms, max(0, now_ms - (turn.utterance.last_voiced_ms or now_ms))))
    timings = TurnTimings(last_voiced_ms=turn.utterance.last_voiced_ms, turn_ended_ms=now_ms, final_ms=now_ms)
    call.hear(TurnEnded(turn.utterance, now_ms, timings))


def _told(progress: Progress | None, sessions: tuple[Recording, ...]) -> list[Callable[[int], None]]:
    """For each session: who is told how far it is."""
    if progress is None:
        return []
    lengths = [session.ulaw.shape[0] // 8 for session in sessions]
    return [partial(_tell_far, progress, sum(lengths[:n]), sum(lengths)) for n in range(len(lengths))]


def _tell_far(progress: Progress, before_ms: int, of_ms: int, at_ms: int) -> None:
    progress(min(of_ms, before_ms + at_ms), of_ms)


async def _watch(call: PhoneCall, told: Callable[[int], None]) -> None:
    while not call.over.done():
        told(call.now_ms())
        await asyncio.sleep(1.0)


async def _leave(tape: MemoryTape, leg: VirtualLeg, until: int) -> None:
    """Hangs up once the turn is closed."""
    await _until(lambda: any(e["type"] == "turn.heard" and e["turn"] >= until for e in tape.events))
    await leg.close()


async def _until(due: Callable[[], bool]) -> None:
    """Looks every 20 ms, which in virtual time costs nothing."""
    while not due():  # noqa: ASYNC110  # there is no event for a moment of the media clock
        await asyncio.sleep(0.02)


def _on_disk(model: str, kept_in: Path) -> Path:
    """A Whisper that is here; a replay fetches nothing."""
    from voicebot.audio.engines.whisper.model import find_directory

    name, before = "HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE")
    os.environ[name] = "1"
    try:
        return find_directory(model, kept_in)
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _as_then(facts: CallFacts) -> dict[str, Any]:
    """Settings of the recording that are no part of the code."""
    names = ("silence_s", "speculation", "language")
    return {name: facts.settings[name] for name in names if name in facts.settings}


def _heard(wanted: str) -> str:
    return f"the call was heard by {wanted}:"


def _route(name: str) -> Any:
    from voicebot.core.conversation import Route

    return Route(name)
