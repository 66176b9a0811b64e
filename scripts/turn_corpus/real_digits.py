"""Digit strings by people, from single takes of the Free Spoken Digit Dataset, with pauses between groups.

The takes lie in a folder as ``{digit}_{speaker}_{take}.wav`` and are not part of this repository (CC BY-SA
4.0, Jakobovski/free-spoken-digit-dataset). What is made of them stays on the machine.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import soundfile
import soxr

from scripts.demo_whisper.grammar import DIGITS
from scripts.turn_corpus.patterns import GROUPS, Turn
from scripts.turn_corpus.speech import Floats, Heard, over_the_line, pause_ms

GAP_MS = (40, 140)
"""Between two digits of a group."""
LEAST_PAUSE_MS = 300


class Speakers:
    """The takes of a folder, by speaker and digit."""

    def __init__(self, folder: Path) -> None:
        self._takes: dict[str, dict[int, list[Path]]] = {}
        for path in sorted(folder.glob("*_*_*.wav")):
            digit, speaker, _ = path.stem.split("_")
            self._takes.setdefault(speaker, {}).setdefault(int(digit), []).append(path)

    @property
    def names(self) -> list[str]:
        """Speakers who have every digit."""
        return [name for name, takes in self._takes.items() if len(takes) == len(DIGITS)]

    def say(self, speaker: str, rng: random.Random) -> tuple[Turn, Heard]:
        """A number of four to ten digits in groups."""
        count = rng.choice([4, 5, 6, 6, 6, 10])
        groups: list[Floats] = []
        phrases: list[str] = []
        for size in rng.choice(GROUPS[count]):
            digits = [rng.randrange(10) for _ in range(size)]
            phrases.append(" ".join(DIGITS[d] for d in digits))
            groups.append(self._group(speaker, digits, rng))
        pauses = [max(LEAST_PAUSE_MS, pause_ms(rng)) for _ in groups[1:]]
        turn = Turn(f"real {count}", tuple(phrases), "digits", count)
        return turn, over_the_line(groups, pauses, rng)

    def _group(self, speaker: str, digits: list[int], rng: random.Random) -> Floats:
        pieces: list[Floats] = []
        for n, digit in enumerate(digits):
            if n:
                pieces.append(np.zeros(rng.randint(*GAP_MS) * 8, np.float32))
            pcm, rate = soundfile.read(rng.choice(self._takes[speaker][digit]), dtype="float32")
            pcm = soxr.resample(pcm, rate, 8000).astype(np.float32)
            pieces.append(pcm / (np.sqrt(np.mean(pcm**2)) + 1e-9))
        return np.concatenate(pieces)
