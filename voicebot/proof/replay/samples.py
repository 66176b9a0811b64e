"""Makes recordings with synthetic callers, in virtual time: the real pipeline, engines and recorder.

with SampleMaker.open(settings) as maker:
    made = maker.make(SampleScript.read(path), lines, folder)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml
from pydantic import Field

from voicebot.audio import mulaw
from voicebot.audio.engines.choice import choose, models_dir
from voicebot.audio.recording.writer import Recorder
from voicebot.core.settings import Settings
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.clock import HALF_PAST_TEN
from voicebot.proof.evals.reading import read_set
from voicebot.proof.evals.scratch import prepare, scratch_database
from voicebot.proof.replay.caller import ScriptedParty
from voicebot.proof.replay.engines import InlineJudge, InlineTranscriber, whisper
from voicebot.proof.replay.facts import CallFacts, code_of, settings_of
from voicebot.proof.replay.pace import Pace
from voicebot.proof.replay.stage import Engines, Held, Scene, Session, hold
from voicebot.proof.replay.voice import HostedVoice
from voicebot.proof.simulation.mind import Outcome
from voicebot.proof.simulation.script import PartyScript, load_lines
from voicebot.proof.virtual_time import run


class SampleScript(PartyScript):
    """A caller's script, and what is around it. ``noise_dbfs``: of the room, white; ``phone``: the number."""

    about: str
    noise_dbfs: float | None = Field(default=None, le=-20)
    phone: str | None = None
    expect: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])


@dataclass(frozen=True)
class Made:
    """A recording: its path without suffix, and how its caller fared."""

    path: Path
    steps: tuple[Outcome, ...]
    held: Held


class SampleMaker:
    """Loaded engines, a database and a deployment, for as many calls as are wanted."""

    def __init__(self, settings: Settings, deployment: Deployment, url: str, stack: ExitStack) -> None:
        choice = choose(settings)
        self._settings = settings
        self._deployment = deployment
        self._url = url
        self._pace = Pace()
        self._code = code_of(deployment, settings)
        self._spec = choice.stt
        self._engine = _engine(choice.stt, settings, deployment)
        self._voice = HostedVoice(choice.tts, models_dir(settings))
        stack.callback(self._voice.close)
        from voicebot.audio.engines.smart_turn import SmartTurnEngine

        self._judge = SmartTurnEngine()
        self._models = {
            "stt": {"kind": choice.stt.kind, "model": choice.stt.model or ""},
            "tts": {"kind": choice.tts.kind, "model": choice.tts.voice_id},
            "turn": {"kind": choice.turn.kind, "model": self._judge.model},
        }
        rules = read_set(deployment.folder / "business" / "golden").rules
        zone = ZoneInfo(deployment.phrases.time_zone)
        self._at = datetime.combine(rules.today, HALF_PAST_TEN, zone)

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Generator[SampleMaker]:
        """With a database of its own.

        Raises:
            EngineMissing, EngineUnavailable: an engine is not here.
        """
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        deployment = Deployment.load(settings.deployment)
        rules = read_set(deployment.folder / "business" / "golden").rules
        with ExitStack() as stack:
            url = stack.enter_context(scratch_database())
            asyncio.run(prepare(url, deployment, rules))
            yield cls(settings, deployment, url, stack)

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
        facts = CallFacts(
            started_at=self._at,
            caller=script.phone,
            settings=settings_of(self._settings),
            engines=self._models,
            versions=self._code,
        )

        async def call() -> Held:
            recorder = Recorder(base, key, f"sample-{name}")
            recorder.event(facts.event())
            scene = Scene(
                url=self._url,
                deployment=self._deployment,
                settings=self._settings,
                parts=self._deployment.pipeline("phone"),
                pace=self._pace,
                started_at=self._at,
                caller=script.phone,
                off=frozenset(),
                engines=lambda _: Engines(self._hearing(), InlineJudge(self._judge, self._pace), self._voice),
            )
            return await hold(scene, (Session(party, recorder),))

        held = run(call(), inline=True, stuck_s=60.0)
        return Made(base, tuple(party.caller.mind.outcomes), held)

    def _hearing(self) -> Any:
        if self._spec.kind == "sphinx":
            return InlineTranscriber(self._engine, self._pace)
        return whisper(self._engine, self._pace)


def read_sample(path: Path) -> SampleScript:
    """A script file of `recordings/samples/scripts`."""
    return SampleScript.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


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
