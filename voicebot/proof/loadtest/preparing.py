"""Makes the callers' sound before a run, once: lines, spoken where no file has them, with their noise.

What is made is kept in a folder by what it was made of, so that the next run begins at once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voicebot.audio.mulaw import decode, encode
from voicebot.core.documents import parse_yaml
from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.analysis import spans
from voicebot.proof.simulation.script import CallScript, Line, ScriptError, load_lines

from .mix import CallerKind, Noise
from .plan import LoadError

RENDERED = "espeak:"
"""Before the name of a voice that is rendered."""

_NOISE_MS = 10_000
_VERSION = "2"


@dataclass(frozen=True)
class Caller:
    """A kind of caller, ready to phone. ``background``: mu-law of the line's noise."""

    name: str
    voice: str
    script: CallScript
    weight: float
    lines: dict[str, Line]
    background: bytes | None


async def prepare(
    kinds: Sequence[CallerKind], *, lines: Path, texts: Path | None, cache: Path
) -> list[Caller]:
    """Every kind with its sound.

    Args:
        kinds: who phones.
        lines: folder of recorded lines with ``lines.yaml``.
        texts: words of lines that are rendered and stand in no ``lines.yaml``: YAML, name to words.
        cache: where what is made is kept.

    Raises:
        ScriptError: a line is missing or unusable.
        LoadError: a voice that cannot be rendered, or lines without words.
    """
    words = await asyncio.to_thread(_words, lines, texts, cache)
    babble: list[sounds.Pcm] = []
    made: list[Caller] = []
    for kind in kinds:
        voice = kind.script.voice
        if voice.startswith(RENDERED):
            clean = await _rendered(kind.script, voice.removeprefix(RENDERED), words, cache)
        else:
            clean = await asyncio.to_thread(load_lines, lines, kind.script)
        if kind.noise is not None and kind.noise.kind == "babble" and not babble:
            babble = _speech(lines)
        spoken, background = await asyncio.to_thread(_noisy, clean, kind.noise, babble, cache)
        made.append(Caller(kind.name, voice, kind.script, kind.weight, spoken, background))
    return made


def as_file(callers: Sequence[Caller], folder: Path) -> Path:
    """Writes them for other processes; see ``of_file``."""
    listed = [_listed(caller) for caller in callers]
    path = folder / "callers.json"
    path.write_text(json.dumps(listed))
    return path


def _listed(caller: Caller) -> dict[str, Any]:
    around = caller.background
    return {
        "name": caller.name,
        "voice": caller.voice,
        "weight": caller.weight,
        "script": caller.script.model_dump(mode="json"),
        "lines": {name: _line(line) for name, line in caller.lines.items()},
        "background": None if around is None else base64.b64encode(around).decode(),
    }


def _line(line: Line) -> dict[str, Any]:
    ulaw = base64.b64encode(line.ulaw).decode()
    return {"text": line.text, "ulaw": ulaw, "voiced_ms": line.voiced_ms}


def of_file(path: Path) -> list[Caller]:
    """What ``as_file`` wrote."""
    return [
        Caller(
            name=data["name"],
            voice=data["voice"],
            script=CallScript.model_validate_json(json.dumps(data["script"])),
            weight=data["weight"],
            lines={
                name: Line(
                    name=name,
                    text=line["text"],
                    ulaw=base64.b64decode(line["ulaw"]),
                    voiced_ms=tuple(line["voiced_ms"]) if line["voiced_ms"] is not None else None,
                )
                for name, line in data["lines"].items()
            },
            background=None if data["background"] is None else base64.b64decode(data["background"]),
        )
        for data in json.loads(path.read_text())
    ]


def _words(lines: Path, texts: Path | None, cache: Path) -> dict[str, str]:
    """What each line says, by its name; makes the folder of what is kept."""
    cache.mkdir(parents=True, exist_ok=True)
    try:
        listed = parse_yaml((lines / "lines.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(f"cannot read {lines / 'lines.yaml'}: {error.strerror}") from error
    words: dict[str, str] = {}
    for entry in listed:  # the same name may say something else in another voice: the first stands
        words.setdefault(str(entry["name"]), str(entry.get("text", "")))
    if texts is not None and texts.is_file():
        more = parse_yaml(texts.read_text(encoding="utf-8"))
        if not isinstance(more, dict):
            raise LoadError(f"{texts}: write one line per line, NAME: its words")
        words |= {str(name): str(text) for name, text in more.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return words


async def _rendered(script: CallScript, voice: str, words: dict[str, str], cache: Path) -> dict[str, Line]:
    wanted: dict[str, str] = {}
    for name in script.line_names:
        plain = name.rpartition("/")[2]
        if plain not in words:
            raise LoadError(f"no words for the line {plain!r}: add it to texts.yaml beside the mix")
        wanted[name] = words[plain]
    where = {name: cache / f"{_key('line', voice, text)}.ulaw" for name, text in wanted.items()}
    missing = {name: wanted[name] for name, path in where.items() if not path.is_file()}
    if missing:
        for name, ulaw in (await _speak(voice, missing)).items():
            where[name].write_bytes(ulaw)
    return {name: Line(name=name, text=text, ulaw=where[name].read_bytes()) for name, text in wanted.items()}


async def _speak(voice: str, lines: dict[str, str]) -> dict[str, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voicebot.proof.loadtest.rendering"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(json.dumps({"voice": voice, "lines": lines}).encode())
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise LoadError(f"the voice {voice} could not be rendered (exit {process.returncode})") from error
    if "error" in answer:
        raise LoadError(f"the voice {voice} could not be rendered: {answer['error']}")
    return {name: base64.b64decode(ulaw) for name, ulaw in answer["lines"].items()}


def _noisy(
    clean: dict[str, Line], noise: Noise | None, babble: list[sounds.Pcm], cache: Path
) -> tuple[dict[str, Line], bytes | None]:
    """The lines with where their words are, under noise if there is any, and that noise alone."""
    placed = {name: line.model_copy(update={"voiced_ms": _voiced(line)}) for name, line in clean.items()}
    if noise is None or not placed:
        return placed, None
    level = max(sounds.level_of(decode(line.ulaw)) for line in placed.values()) - noise.snr_db
    path = cache / f"{_key('noise', noise.kind, f'{level:.1f}', str(len(babble)))}.ulaw"
    if not path.is_file():
        path.write_bytes(encode(_noise(noise, level, babble)))
    around = path.read_bytes()
    under = decode(around)
    spoken: dict[str, Line] = {}
    for name, line in placed.items():
        mixed = sounds.mixed(decode(line.ulaw), np.resize(under, len(line.ulaw)))
        spoken[name] = line.model_copy(update={"ulaw": encode(mixed)})
    return spoken, around


def _noise(noise: Noise, level: float, babble: list[sounds.Pcm]) -> sounds.Pcm:
    match noise.kind:
        case "white":
            return sounds.white_noise(_NOISE_MS, level_dbfs=level)
        case "pink":
            return sounds.pink_noise(_NOISE_MS, level_dbfs=level)
        case "hum":
            return sounds.mains_hum(_NOISE_MS, level_dbfs=level)
        case "keys":
            return sounds.key_clicks(_NOISE_MS, level_dbfs=level)
        case "music":
            return sounds.hold_music(_NOISE_MS, level_dbfs=level)
        case "babble":
            return sounds.babble(babble, _NOISE_MS, level_dbfs=level)


def _speech(lines: Path) -> list[sounds.Pcm]:
    """Some of the recorded lines, for other people in the room."""
    from voicebot.proof.simulation.clips import read_wav

    found = sorted(lines.glob("*/*.wav"))[::7][:24]
    return [decode(read_wav(path)) for path in found if path.parent.name != "noise"]


def _voiced(line: Line) -> tuple[int, int]:
    voiced = spans(decode(line.ulaw), join_ms=10_000)
    return (int(voiced[0].start_ms), int(voiced[-1].end_ms)) if voiced else (0, 0)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join((_VERSION, *parts)).encode()).hexdigest()[:24]
