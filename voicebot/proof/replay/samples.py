"""Makes recordings with synthetic callers, in virtual time: the real pipeline, engines and recorder.

with SampleMaker.open(settings) as maker:
    made = maker.make(SampleScript.read(path), lines, folder)
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml
from pydantic import Field, ValidationError

from voicebot.audio import mulaw
from voicebot.audio.engines.choice import EngineSpec, choose, models_dir
from voicebot.audio.engines.types import Transcriber
from voicebot.audio.recording.writer import Recorder
from voicebot.core.documents import parse_yaml
from voicebot.core.settings import Settings
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.clock import HALF_PAST_TEN
from voicebot.proof.replay.caller import ScriptedParty
from voicebot.proof.replay.engines import InlineJudge, InlineTranscriber, whisper
from voicebot.proof.replay.expected import Expected
from voicebot.proof.replay.facts import CallFacts, code_of, settings_of
from voicebot.proof.replay.pace import Pace
from voicebot.proof.replay.stage import Engines, Held, Scene, Session, hold
from voicebot.proof.replay.voice import HostedVoice
from voicebot.proof.replay.world import World
from voicebot.proof.simulation.mind import Outcome
from voicebot.proof.simulation.script import PartyScript, ScriptError, load_lines
from voicebot.proof.virtual_time import run

DAY = date(2026, 11, 18)
"""On which every sample is phoned, a Wednesday: the shop's records are made for it."""


class SampleScript(PartyScript):
    """A caller's script, and what is around it.

    ``stt``: who hears. ``noise_dbfs``: of the room, white. ``phone``: the caller's number. ``expect``: what a
    replay must show, see `Expected`.
    """

    about: str
    stt: str = "sphinx"
    noise_dbfs: float | None = Field(default=None, le=-20)
    phone: str | None = None
    expect: Expected | None = None


@dataclass(frozen=True)
class Made:
    """A recording: its path without suffix, and how its caller fared."""

    path: Path
    steps: tuple[Outcome, ...]
    held: Held


class SampleMaker:
    """Loaded engines, a database and a deployment, for as many calls as are wanted."""

    def __init__(self, settings: Settings, deployment: Deployment, world: World, stack: ExitStack) -> None:
        choice = choose(settings)
        self._stt: dict[str, tuple[EngineSpec, Any]] = {}
        self._settings = settings
        self._deployment = deployment
        self._world = world
        self._pace = Pace()
        self._code = code_of(deployment, settings)
        self._voice = HostedVoice(choice.tts, models_dir(settings))
        stack.callback(self._voice.close)
        from voicebot.audio.engines.smart_turn import SmartTurnEngine

        self._judge = SmartTurnEngine()
        self._models = {
            "tts": {"kind": choice.tts.kind, "model": choice.tts.voice_id},
            "turn": {"kind": choice.turn.kind, "model": self._judge.model},
        }
        zone = ZoneInfo(deployment.phrases.time_zone)
        self._at = datetime.combine(DAY, HALF_PAST_TEN, zone)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Generator[SampleMaker]:
        """With a database of its own.

        Raises:
            EngineMissing, EngineUnavailable: an engine is not here.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        deployment = Deployment.load(settings.deployment)
        with ExitStack() as stack:
            world = stack.enter_context(World.made(deployment, settings, DAY))
            yield cls(settings, deployment, world, stack)

    def make(self, name: str, script: SampleScript, folder: Path, key: bytes) -> Made:
        """Phones with the script; the recording lies in ``folder`` afterwards, in place of an older one.

        Raises:
            ScriptError: its lines cannot be used.
        """
        base = folder / name
        for old in (base.with_name(f"{name}.vbrec"), base.with_name(f"{name}.vbevents")):
            old.unlink(missing_ok=True)
        lines = load_lines(self._deployment.folder / "recordings" / "lines", script)
        party = ScriptedParty(script, lines, _room(script.noise_dbfs))
        settings = self._settings.model_copy(update={"stt": script.stt})
        spec, engine = self._engine(settings)
        heard_by = {"kind": spec.kind, "model": Path(spec.model or "").name}
        facts = CallFacts(
            started_at=self._at,
            caller=script.phone,
            settings=settings_of(settings),
            engines={"stt": heard_by, **self._models},
            versions=self._code,
        )

        def hearing() -> Transcriber:
            return (
                InlineTranscriber(engine, self._pace)
                if spec.kind == "sphinx"
                else whisper(engine, self._pace)
            )

        async def call() -> Held:
            recorder = Recorder(base, key, f"sample-{name}")
            recorder.event(facts.event())
            scene = Scene(
                url=self._world.url,
                deployment=self._deployment,
                settings=settings,
                parts=self._deployment.pipeline("phone"),
                pace=self._pace,
                started_at=self._at,
                caller=script.phone,
                off=frozenset(),
                engines=lambda _: Engines(hearing(), InlineJudge(self._judge, self._pace), self._voice),
            )
            return await hold(scene, (Session(party, recorder),))

        try:
            held = run(call(), inline=True, stuck_s=60.0)
        finally:
            self._world.wipe()
        return Made(base, tuple(party.caller.mind.outcomes), held)

    def _engine(self, settings: Settings) -> tuple[EngineSpec, Any]:
        """Loaded once."""
        if settings.stt not in self._stt:
            spec = choose(settings).stt
            self._stt[settings.stt] = spec, _engine(spec, settings, self._deployment)
        return self._stt[settings.stt]


def read_sample(path: Path) -> SampleScript:
    """A script file of `recordings/samples`.

    Raises:
        ScriptError: it cannot be used.
    """
    try:
        return SampleScript.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ScriptError(f"{path} is no sample's script: {error}") from error


def _engine(spec: Any, settings: Settings, deployment: Deployment) -> Any:
    if spec.kind == "sphinx":
        from voicebot.audio.engines.sphinx import SphinxEngine

        return SphinxEngine(deployment.folder / "business" / "phrases.yaml")
    from voicebot.audio.engines.whisper.model import WhisperModel, find_directory

    return WhisperModel(find_directory(spec.model, models_dir(settings)), language=spec.language, threads=1)


def _room(noise_dbfs: float | None) -> list[bytes] | None:
    """Two seconds of white noise at a level, 20 ms each; None: a silent line."""
    if noise_dbfs is None:
        return None
    rms = 32768 * 10 ** (noise_dbfs / 20)
    noise = np.random.default_rng(7).normal(0, rms, 16_000).astype(np.int16)
    ulaw = mulaw.encode(noise)
    return [ulaw[at : at + 160] for at in range(0, len(ulaw), 160)]
