"""Synthetic voices: text in, clean speech at 8 kHz with the end of every word and phone out.

flite reports phone times for what it speaks. For the other programs the phone times of flite's `kal` are
stretched to the length of the speech: good enough to know which words a cut clip still holds.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .grammar import Sentence

RATE = 8000

# Shares of the training speech. Names: program:voice.
TRAINING = {
    "flite:slt": 15.0, "flite:awb": 15.0, "flite:rms": 15.0, "flite:kal16": 9.0, "flite:kal": 4.0,
    "festival:cmu_us_slt_arctic_hts": 5.0, "festival:kal_diphone": 4.0, "espeak:en-us": 9.0,
    "espeak:en-gb": 3.0,
    "espeak:en-gb-x-rp": 2.0, "espeak:en-gb-scotland": 2.0, "espeak:en-us+m1": 2.0, "espeak:en-us+m3": 2.0,
    "espeak:en-us+m7": 2.0, "espeak:en-us+f2": 2.0, "espeak:en-us+f4": 2.0, "espeak:en-us+f5": 1.0,
    "espeak:en-gb+f3": 1.0, "espeak:en-us+klatt2": 1.0, "espeak:en-us+linda": 1.0, "espeak:en-us+Andy": 1.0,
    "espeak:en-us+Alicia": 1.0, "espeak:en-us+Mike": 1.0,
}  # fmt: skip
HELD_OUT = ("festival:ked_diphone", "espeak:en-us+f1", "espeak:en-029")


class SynthesisError(RuntimeError):
    """A program gave no speech: says which one and for which text."""


@dataclass(frozen=True)
class Spoken:
    """`pcm` is float32 at 8 kHz without silence at the ends; times are seconds from its start."""

    text: str
    voice: str
    pcm: np.ndarray
    word_ends: tuple[float, ...]
    phones: tuple[str, ...]
    phone_ends: tuple[float, ...]


class Voices:
    """Speaks sentences. `workdir` holds one wave file at a time."""

    def __init__(self, workdir: Path) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self._wave = workdir / "spoken.wav"

    def say(self, sentence: Sentence, voice: str, rng: random.Random | None = None) -> Spoken:
        """With `rng` the speed and the pitch vary as callers' do, else the voice's own are used.

        Raises:
            SynthesisError: the program failed or the wave is empty.
        """
        program, _, name = voice.partition(":")
        if program == "flite":
            phones = _flite(name, sentence.spoken, self._wave, rng)
        elif program == "espeak":
            speed, pitch = (rng.randint(130, 190), rng.randint(30, 70)) if rng else (155, 50)
            _run(
                [
                    "espeak-ng",
                    "-v",
                    name,
                    "-s",
                    str(speed),
                    "-p",
                    str(pitch),
                    "-w",
                    str(self._wave),
                    sentence.spoken,
                ]
            )
            phones = _flite("kal", sentence.spoken, None, None)
        else:
            raise SynthesisError(f"{voice}: use say_all for festival")
        return self._cut(sentence, voice, phones)

    def say_all(self, sentences: list[Sentence], name: str, rng: random.Random | None = None) -> list[Spoken]:
        """Festival starts slowly, so it speaks many sentences in one process."""
        folder = self._wave.parent / "festival"
        folder.mkdir(exist_ok=True)
        lines = [f"(voice_{name})"]
        for number, sentence in enumerate(sentences):
            stretch = rng.uniform(0.85, 1.2) if rng else 1.0
            lines.append(f"(Parameter.set 'Duration_Stretch {stretch:.2f})")
            wave = folder / f"{number}.wav"
            lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{sentence.spoken}")) "{wave}" \'riff)')
        script = folder / "say.scm"
        script.write_text("\n".join(lines))
        _run(["festival", "--batch", str(script)])
        spoken = []
        for number, sentence in enumerate(sentences):
            self._wave = folder / f"{number}.wav"
            phones = _flite("kal", sentence.spoken, None, None)
            spoken.append(self._cut(sentence, f"festival:{name}", phones))
            self._wave.unlink()
        self._wave = folder.parent / "spoken.wav"
        return spoken

    def _cut(self, sentence: Sentence, voice: str, phones: list[tuple[str, float]]) -> Spoken:
        pcm, rate = soundfile.read(self._wave, dtype="float32")
        loud = np.flatnonzero(np.abs(pcm) > np.abs(pcm).max(initial=0) * 0.01)
        if len(loud) < rate // 20:
            raise SynthesisError(f"{voice} gave no speech for {sentence.spoken!r}")
        pcm = soxr.resample(pcm[loud[0] : loud[-1] + 1], rate, RATE).astype(np.float32)
        spoken = [(phone, end) for phone, end in phones if phone != "pau"]
        starts_at = (
            next((end for phone, end in phones if phone == "pau"), 0.0) if phones[0][0] == "pau" else 0.0
        )
        scale = len(pcm) / RATE / max(0.05, spoken[-1][1] - starts_at)
        ends = [(end - starts_at) * scale for _, end in spoken]
        counts = np.cumsum([_phone_count(word) for word in sentence.text.split()])
        last = np.clip(np.rint(counts * len(ends) / counts[-1]).astype(int) - 1, 0, len(ends) - 1)
        return Spoken(
            sentence.text, voice, pcm, tuple(ends[i] for i in last), tuple(p for p, _ in spoken), tuple(ends)
        )


def _flite(voice: str, text: str, wave: Path | None, rng: random.Random | None) -> list[tuple[str, float]]:
    command = ["flite", "-voice", voice, "-psdur"]
    if rng:
        command += ["--setf", f"duration_stretch={rng.uniform(0.85, 1.2):.2f}"]
        if voice.startswith("kal"):
            command += ["--setf", f"int_f0_target_mean={rng.randint(85, 170)}"]
    printed = _run([*command, "-t", text, str(wave) if wave else "none"])
    phones = [entry.rpartition(":") for entry in printed.split()]
    return [(name, float(end)) for name, _, end in phones]


@cache
def _phone_count(word: str) -> int:
    return max(1, sum(phone != "pau" for phone, _ in _flite("kal", word, None, None)))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SynthesisError(f"{command[0]} failed ({done.returncode}): {done.stderr[-300:]}")
    return done.stdout
