"""What the callers of ``turns`` say: recorded lines, also with a pause inside, noises, real digits."""

from __future__ import annotations

import random
import re
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from scripts.bench.caller import Step
from scripts.bench.servers import ROOT, BenchError
from voicebot.audio import mulaw
from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.clips import read_wav

BOOK = Path(__file__).with_name("turns.yaml")
LINES = ROOT / "recordings" / "lines"
DONE_MS = 600  # quiet for this long after the bot was heard: it is the caller's turn
OVER_MS = 1500  # into an answer
PAUSE_MS = 600
SELDOM = 2  # all but plain turns: in every second round
_QUIET = 0.01  # peak of 10 ms, of full scale, that counts as silence inside a line: -40 dBFS
_CODE = "518264"
GROUP_PAUSE_MS = (120, 500)  # between the digits of a group, between groups

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class CallPlan:
    """One call: who says what. ``part``: turns, paused, overlaps or digits; ``VOICE/2`` is a second list."""

    part: str
    voice: str
    round: int
    steps: tuple[Step, ...]


def book() -> dict[str, Any]:
    """``turns.yaml``."""
    return yaml.safe_load(BOOK.read_text())


def line(voice: str, name: str) -> Pcm:
    """A recorded line of one voice.

    Raises:
        BenchError: there is none of that name.
    """
    path = LINES / voice / f"{name}.wav"
    if not path.is_file():
        raise BenchError(f"{BOOK.name} names the line {voice}/{name}, which is not under {LINES}")
    return mulaw.decode(read_wav(path))


def with_pause(pcm: Pcm, pause_ms: int = PAUSE_MS) -> Pcm:
    """The line with a pause of exactly ``pause_ms`` at the quietest place of its middle third.

    A pause that is there already becomes so long; otherwise the line is opened between two sounds.
    """
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _QUIET * 32768)
    first, last = int(loud[0]), int(loud[-1])
    blocks = np.abs(pcm[: len(pcm) // 80 * 80].astype(np.int32)).reshape(-1, 80).max(axis=1)
    smooth = np.convolve(blocks, np.ones(5), mode="same")
    low, high = (first + (last - first) // 3) // 80, (first + (last - first) * 2 // 3) // 80
    at = low + int(smooth[low:high].argmin())
    begin = end = at
    quiet = _QUIET * 32768
    while begin > low and blocks[begin - 1] <= quiet:
        begin -= 1
    while end < len(blocks) - 1 and blocks[end] <= quiet:
        end += 1
    return np.concatenate([pcm[: begin * 80], np.zeros(pause_ms * 8, np.int16), pcm[end * 80 :]])


def noise(name: str, seed: int) -> Pcm:
    """A noise of somebody's surroundings, by its name in ``turns.yaml``.

    Raises:
        BenchError: no such noise.
    """
    match name:
        case "cough":
            return sounds.cough(level_dbfs=-22, seed=seed)
        case "door":
            return sounds.door_slam(level_dbfs=-18, seed=seed)
        case "keys":
            return sounds.key_clicks(1200, level_dbfs=-32, seed=seed)
        case "tv":
            clips = [line(voice, "goodbye") for voice in ("awb", "slt", "kal16")]
            return sounds.babble(clips, 1500, voices=3, level_dbfs=-38, seed=seed)
        case _:
            raise BenchError(f"{BOOK.name} names the noise {name!r}; there are cough, door, keys, tv")


def step(voice: str, entry: str, part: str, seed: int) -> Step:
    """One entry of ``turns.yaml``: ``LINE`` or ``LINE:ROLE``."""
    name, _, role = entry.partition(":")
    if role == "noise":
        pcm = noise(name, seed)
    elif part == "paused":
        pcm, role = with_pause(line(voice, name)), "paused"
    else:
        pcm, role = line(voice, name), role or ("turn" if part == "turns" else "long")
    over = role in {"interruption", "backchannel", "noise"}
    return Step(name, mulaw.encode(pcm), "over" if over else "after", OVER_MS if over else DONE_MS, role)


def plans(parts: list[str], rounds: range) -> list[CallPlan]:
    """The recorded callers' calls, round by round; each round begins its lists elsewhere."""
    calls = book()["calls"]
    made: list[CallPlan] = []
    for nth in rounds:
        for part in parts:
            if part != "turns" and nth % SELDOM:
                continue
            for voice, entries in calls[part].items():
                turned = entries if part == "overlaps" else _turned(entries, nth)
                speaker = voice.partition("/")[0]
                steps = [step(speaker, e, part, 100 * nth + n) for n, e in enumerate(turned)]
                made.append(CallPlan(part, voice, nth, tuple(steps)))
    return made


def digit_plans(folder: Path, rounds: range) -> list[CallPlan]:
    """Calls of real people who say a six-digit order number, in groups of three, after asking for an order.

    ``folder`` holds ``{digit}_{speaker}_{take}.wav`` at 8 kHz. The question before is a synthetic voice's.

    Raises:
        BenchError: no such files.
    """
    clips: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.glob("*.wav")):
        if found := re.fullmatch(r"(\d)_(\w+)_(\d+)\.wav", path.name):
            clips.setdefault((found.group(2), found.group(1)), []).append(path)
    speakers = sorted({speaker for speaker, _ in clips})
    if not speakers:
        raise BenchError(f"{folder} holds no recordings named DIGIT_SPEAKER_TAKE.wav")
    made = []
    for nth in rounds:
        for speaker in speakers:
            rng = random.Random(f"{speaker} {nth}")
            parts: list[Pcm] = []
            for place, digit in enumerate(_CODE):
                if place:
                    pause = GROUP_PAUSE_MS[place % 3 == 0]
                    parts.append(np.zeros(pause * 8, np.int16))
                parts.append(sounds.at_level(_real(rng.choice(clips[speaker, digit])), -20))
            code = Step(f"digits_{speaker}", mulaw.encode(np.concatenate(parts)), "after", DONE_MS, "digits")
            ask = step("slt", "where_is_order:ask", "digits", 0)
            made.append(CallPlan("digits", speaker, nth, (ask, code)))
    return made


def _real(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getsampwidth(), file.getnchannels()) != (8000, 2, 1):
            raise BenchError(f"{path} is not 8 kHz mono PCM16")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def _turned(entries: list[str], by: int) -> list[str]:
    at = by % len(entries)
    return entries[at:] + entries[:at]
