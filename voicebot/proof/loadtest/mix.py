"""Who phones: a mix of callers' scripts with voices, noise and thinking time, read from YAML, strictly.

A script is one of ``docs/local-twilio.md``. Load callers go by sound alone: they hear when the bot speaks and
stops, not what it says. So ``until`` and ``answers`` of a script have no effect, and a step is over when the
bot has answered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebot.core.documents import parse_yaml
from voicebot.proof.simulation.script import CallScript, read_script

from .plan import LoadError

NoiseKind = Literal["white", "pink", "hum", "babble", "keys", "music"]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Noise(_Strict):
    """What is on a caller's line, also while they are silent."""

    kind: NoiseKind
    snr_db: float = Field(ge=-5, le=60)
    """How far it lies below the speech."""


class MixEntry(_Strict):
    """One kind of caller."""

    script: str = Field(min_length=1)
    """A file beside the mix."""
    name: str | None = None
    """In reports; else the script's."""
    weight: float = Field(default=1.0, gt=0, le=1000)
    """Of how many calls, against the others'."""
    voices: tuple[str, ...] = Field(default=(), strict=False)
    """In turn; folders of recorded lines, or ``espeak:NAME`` (``espeak:en-us+f3``), which is rendered before
    the run from the lines' words. None: the script's own."""
    noise: Noise | None = None
    pauses_ms: tuple[int, ...] = Field(default=(), strict=False)
    """Thinking times, in turn, in place of the script's ``pause_ms``."""


class _MixFile(_Strict):
    callers: tuple[MixEntry, ...] = Field(min_length=1, strict=False)


@dataclass(frozen=True)
class CallerKind:
    """One kind of caller with one voice and one thinking time, and how often it phones."""

    name: str
    script: CallScript
    weight: float
    noise: Noise | None = None

    @property
    def hears_nothing_of(self) -> tuple[str, ...]:
        """Cues of the script, which a load caller cannot hear."""
        return self.script.cues


def read_mix(path: Path) -> list[CallerKind]:
    """The kinds of callers of a mix file.

    Raises:
        LoadError: missing, no YAML, or not of the format; each wrong place is named.
        ScriptError: one of its scripts.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"cannot read the mix {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise LoadError(f"{path} is no YAML: {error}") from error
    try:
        mix = _MixFile.model_validate(data)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, e['loc'])) or 'the mix'}: {e['msg']}" for e in error.errors()]
        raise LoadError(f"{path} is no mix of callers:\n  " + "\n  ".join(places)) from error
    return [kind for entry in mix.callers for kind in _kinds(entry, path.parent)]


def read_folder(folder: Path) -> list[CallerKind]:
    """Every script of a folder, each as often as any other.

    Raises:
        LoadError: there is none.
        ScriptError: one of them.
    """
    paths = [path for path in sorted(folder.glob("*.yaml")) if path.name not in {"mix.yaml", "texts.yaml"}]
    if not paths:
        raise LoadError(f"no scripts (*.yaml) in {folder}")
    return [CallerKind(path.stem, read_script(path), 1.0) for path in paths]


def _kinds(entry: MixEntry, folder: Path) -> list[CallerKind]:
    path = folder / entry.script
    script = read_script(path)
    voices = entry.voices or (script.voice,)
    pauses = entry.pauses_ms or (script.pause_ms,)
    count = max(len(voices), len(pauses))
    return [
        CallerKind(
            entry.name or path.stem,
            script.model_copy(update={"voice": voices[n % len(voices)], "pause_ms": pauses[n % len(pauses)]}),
            entry.weight / count,
            entry.noise,
        )
        for n in range(count)
    ]


def order(kinds: Sequence[CallerKind], *, line: int, seed: int, count: int) -> list[int]:
    """Which kinds phone on one line, one after the other: indices; the same seed gives the same."""
    chance = random.Random(f"{seed}/{line}")
    return chance.choices(range(len(kinds)), weights=[kind.weight for kind in kinds], k=count)
