"""Which engines to run: what the settings ask for, or for ``auto`` the best that is already here.

``auto`` looks only at this machine (the data directory and the local Hugging Face cache) and never at
the network; a model asked for by name may be downloaded by its host. A model that was made for a demo is
never picked by ``auto``. What was picked, and what would be better, stands in ``EngineChoice.notes`` for
the operator to read at start.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voicebot.audio.engines.types import EngineUnavailable
from voicebot.core.settings import Settings

Role = Literal["stt", "tts", "turn"]

WHISPER_ON_CPU = ("base.en", "base", "tiny.en", "tiny", "small.en", "small", "distil-small.en")
"""Best first among those that answer within about a second on a CPU core; larger ones are left out.

A plain decode pads to 30 s of audio: tiny 0.4 s, base 0.9 s, small 2.7 s of one core (int8)."""

WHISPER_ON_GPU = (
    "large-v3-turbo",
    "turbo",
    "large-v3",
    "distil-large-v3.5",
    "distil-large-v3",
    "large-v2",
    "medium.en",
    "medium",
    *("distil-medium.en", "small.en", "small", "distil-small.en", "base.en", "base", "tiny.en", "tiny"),
)

PIPER_QUALITIES = ("high", "medium", "low", "x_low")
"""Best first; all are faster than real time on a CPU core."""

DEMO_MARK = "voicebot-model.json"
"""Beside a model made here: ``{"demo": true}`` keeps ``auto`` away from it."""

_WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True)
class EngineSpec:
    """One engine to run.

    Attributes:
        role: what it is for, and the name of its socket and in errors.
        kind: which host, as in ``host KIND``.
        model: directory, file, name, voice or service; None for the engine's own.
        voice_id: speech only; part of the phrase cache's key.
        language: Whisper and cloud services only; it is told, never guessed.
    """

    role: Role
    kind: str
    model: str | None = None
    voice_id: str = ""
    language: str = "en"


@dataclass(frozen=True)
class EngineChoice:
    """The engines of this server, and what an operator should know about the choice."""

    stt: EngineSpec
    tts: EngineSpec
    turn: EngineSpec = EngineSpec("turn", "smart-turn")
    notes: tuple[str, ...] = ()

    def specs(self) -> tuple[EngineSpec, ...]:
        """All of them."""
        return (self.stt, self.tts, self.turn)


@dataclass(frozen=True)
class Machine:
    """What the choice depends on besides the settings: made by ``here()``, or by a test."""

    hub: Path
    has_gpu: bool
    installed: Callable[[str], bool]

    @classmethod
    def here(cls) -> Machine:
        """What is here. Looks, loads nothing, asks nobody."""
        return cls(_hub_cache(), _has_gpu(), lambda module: importlib.util.find_spec(module) is not None)


def models_dir(settings: Settings) -> Path:
    """Where models pulled for this server lie."""
    return settings.data_dir / "models"


def choose(settings: Settings, machine: Machine | None = None) -> EngineChoice:
    """The engines that ``settings`` ask for.

    Raises:
        EngineUnavailable: what was asked for is not there and cannot be fetched; says what to do.
    """
    machine = machine or Machine.here()
    stt, stt_notes = _choose_stt(settings, machine)
    tts, tts_notes = _choose_tts(settings, machine)
    return EngineChoice(stt, tts, notes=(*stt_notes, *tts_notes))


def _choose_stt(settings: Settings, machine: Machine) -> tuple[EngineSpec, tuple[str, ...]]:
    head, _, tail = settings.stt.partition(":")
    folder = models_dir(settings) / "whisper"
    if head == "whisper":
        return EngineSpec("stt", "whisper", str(_named_whisper(tail, folder)), language=settings.language), ()
    if head == "pipecat":
        return EngineSpec("stt", "pipecat", tail, language=settings.language), (
            f"recognition: {tail} through Pipecat; callers' unmasked speech leaves this machine",
        )
    if head == "auto":
        ranking = WHISPER_ON_GPU if machine.has_gpu else WHISPER_ON_CPU
        found = dict(_whispers_on_disk(folder, machine.hub))
        for name in ranking:
            if name in found and _speaks(name, settings.language):
                spec = EngineSpec("stt", "whisper", str(found[name]), language=settings.language)
                return spec, (f"recognition: Whisper {name}",)
    if not _speaks("en", settings.language):
        raise EngineUnavailable(
            f"PocketSphinx hears English only and VOICEBOT_LANGUAGE is {settings.language!r}: "
            "set VOICEBOT_STT=whisper:base or a cloud service"
        )
    _demand(machine, "pocketsphinx", "PocketSphinx", "pip install pocketsphinx")
    return EngineSpec("stt", "sphinx"), (
        "recognition: PocketSphinx, a FALLBACK that hears only the deployment's phrases and digits, and real "
        "voices poorly; far better: voicebot models pull base.en",
    )


def _choose_tts(settings: Settings, machine: Machine) -> tuple[EngineSpec, tuple[str, ...]]:
    head, _, tail = settings.tts.partition(":")
    folder = models_dir(settings) / "piper"
    if head == "piper":
        _demand(machine, "piper", "Piper", "pip install 'voicebot[gpl]'")
        model = _named_piper(tail, folder, machine.hub)
        return EngineSpec("tts", "piper", str(model), f"piper/{Path(model).name.removesuffix('.onnx')}"), ()
    if head == "auto" and machine.installed("piper"):
        for voice in _piper_voices(folder, machine.hub, settings.language):
            name = voice.name.removesuffix(".onnx")
            return EngineSpec("tts", "piper", str(voice), f"piper/{name}"), (f"speech: Piper {name}",)
    _demand(machine, "espeakng_loader", "eSpeak NG", "pip install 'voicebot[gpl]'")
    voice = "en-us" if settings.language == "en" else settings.language
    return EngineSpec("tts", "espeak", voice, f"espeak/{voice}/175"), (
        "speech: eSpeak NG, a FALLBACK that is understood but sounds like a machine; better: "
        "voicebot models pull en_US-ljspeech-medium",
    )


def _demand(machine: Machine, module: str, name: str, remedy: str) -> None:
    if not machine.installed(module):
        raise EngineUnavailable(f"{name} is not installed: {remedy}")


def _speaks(model: str, language: str) -> bool:
    english_only = model == "en" or model.endswith(".en")
    return not english_only or language == "en" or language.startswith("en-")


def _named_whisper(name: str, folder: Path) -> Path | str:
    """A directory, one of ours, or a name for the hub; a path that is not there is an error."""
    for candidate in (Path(name).expanduser(), folder / name):
        if candidate.is_dir():
            missing = [f for f in _WHISPER_FILES if not (candidate / f).is_file()]
            if missing:
                raise EngineUnavailable(
                    f"{candidate} is no faster-whisper model: it lacks {', '.join(missing)}"
                )
            return candidate.resolve()
    if name.startswith((".", "/", "~")):
        raise EngineUnavailable(
            f"there is no Whisper model in {name}: give a directory with model.bin, or a name"
        )
    return name


def _named_piper(name: str, folder: Path, hub: Path) -> Path | str:
    for candidate in (Path(name).expanduser(), folder / f"{name}.onnx"):
        if candidate.is_file():
            if not candidate.with_name(candidate.name + ".json").is_file():
                raise EngineUnavailable(f"the voice {candidate} lacks its {candidate.name}.json beside it")
            return candidate.resolve()
    if name.endswith(".onnx") or name.startswith((".", "/", "~")):
        raise EngineUnavailable(
            f"there is no Piper voice {name}: give an .onnx file, or a name like en_US-lessac-medium"
        )
    return next((v for v in _hub_voices(hub) if v.name == f"{name}.onnx"), name)


def _whispers_on_disk(folder: Path, hub: Path) -> Iterator[tuple[str, Path]]:
    """Name and directory of every complete model; ours after the hub's, so that ours win."""
    for snapshot in hub.glob("models--*--faster-*whisper-*/snapshots/*"):
        _, _, name = snapshot.parent.parent.name.partition("whisper-")
        distilled = "distil-" if "faster-distil-whisper" in snapshot.parent.parent.name else ""
        if _complete(snapshot):
            yield distilled + name, snapshot
    if folder.is_dir():
        for directory in sorted(folder.iterdir()):
            if _complete(directory) and not _is_demo(directory):
                yield directory.name.removeprefix("faster-whisper-"), directory.resolve()


def _complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in _WHISPER_FILES)


def _is_demo(directory: Path) -> bool:
    mark = directory / DEMO_MARK
    if not mark.is_file():
        return False
    try:
        return bool(json.loads(mark.read_text(encoding="utf-8")).get("demo"))
    except (ValueError, AttributeError):
        return True


def _piper_voices(folder: Path, hub: Path, language: str) -> list[Path]:
    """Usable voices of the language, best quality first, ours before the hub's."""
    ours = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    voices = [
        v
        for v in (*ours, *_hub_voices(hub))
        if v.with_name(v.name + ".json").is_file()
        and v.name.startswith(language.replace("-", "_"))
        and not _is_demo(v.parent)
    ]

    def quality(voice: Path) -> int:
        grade = voice.name.removesuffix(".onnx").rpartition("-")[2]
        return PIPER_QUALITIES.index(grade) if grade in PIPER_QUALITIES else len(PIPER_QUALITIES)

    return sorted((v.resolve() for v in voices), key=quality)


def _hub_voices(hub: Path) -> list[Path]:
    return sorted(hub.glob("models--rhasspy--piper-voices/snapshots/*/*/*/*/*/*.onnx"))


def _hub_cache() -> Path:
    """Where huggingface_hub keeps its files, by its own environment variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"


def _has_gpu() -> bool:
    """Is there an NVIDIA device? Asked of the kernel: CUDA's libraries are for the hosts to load."""
    return Path("/dev/nvidia0").exists()
