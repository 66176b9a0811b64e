"""A turn as sound: synthetic voices with pauses put in, through a telephone line. 8 kHz.

A pause is made in one of two ways. *Cut*: the sentence is spoken in one go and parted at a word, so that the
voice does not fall before the pause, as when a caller thinks. *Apart*: each phrase is spoken for itself, so
that it does.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scripts.demo_whisper import telephone
from scripts.demo_whisper.grammar import Sentence
from scripts.demo_whisper.voices import RATE, Voices
from scripts.turn_corpus.patterns import Turn
from voicebot.audio import mulaw as ulaw

Floats = npt.NDArray[np.float32]

FIT_VOICES = ("flite:slt", "flite:rms", "espeak:en-us", "espeak:en-gb", "espeak:en-us+f4")
HELD_OUT_VOICES = ("flite:awb", "flite:kal16", "espeak:en-us+m3", "espeak:en-us+f1")

SHORTEST_MS, LONGEST_MS = 200, 1500
CUT_SHARE = 0.6
LEAD_MS = 320
TRAIL_MS = 1500
SNRS_DB = (None, 30.0, 25.0, 20.0, 15.0, 10.0)
SEARCH_MS = 60
FADE = 40  # samples
AUDIBLE, LINE_NOISE = 300, 25  # of 32768


@dataclass(frozen=True)
class Heard:
    """What the other end of the line gets, and the truth about it.

    Attributes:
        pcm: int16 after mu-law, with ``LEAD_MS`` before the speech and ``TRAIL_MS`` behind it.
        end_ms: where the last phrase ends.
        pauses: (begin, length) of the pauses that were put in, ms.
        snr_db: speech over noise; None without noise.
    """

    pcm: npt.NDArray[np.int16]
    end_ms: int
    pauses: tuple[tuple[int, int], ...]
    snr_db: float | None


class Booth:
    """Speaks turns. Keeps one wave file at a time in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._voices = Voices(folder)

    def say(self, turn: Turn, voice: str, rng: random.Random) -> Heard:
        """The turn in a voice, over a line drawn from ``rng``.

        Raises:
            SynthesisError: the voice gave no speech for a phrase.
        """
        cut = len(turn.phrases) > 1 and rng.random() < CUT_SHARE
        phrases = self._cut(turn, voice, rng) if cut else self._apart(turn, voice, rng)
        lengths = [pause_ms(rng) for _ in phrases[1:]]
        return over_the_line(phrases, lengths, rng)

    def _apart(self, turn: Turn, voice: str, rng: random.Random) -> list[Floats]:
        last = len(turn.phrases) - 1
        spoken = [
            phrase + (rng.choice(["", "."]) if n == last else ",") for n, phrase in enumerate(turn.phrases)
        ]
        return [
            self._voices.say(Sentence(phrase, text), voice).pcm.astype(np.float32)
            for phrase, text in zip(turn.phrases, spoken, strict=True)
        ]

    def _cut(self, turn: Turn, voice: str, rng: random.Random) -> list[Floats]:
        spoken = self._voices.say(Sentence(turn.text, turn.text + rng.choice(["", "."])), voice)
        pcm = spoken.pcm.astype(np.float32)
        words = 0
        places = [0]
        for phrase in turn.phrases[:-1]:
            words += len(phrase.split())
            places.append(_quietest(pcm, round(spoken.word_ends[words - 1] * RATE)))
        places.append(pcm.size)
        return [_faded(pcm[a:b]) for a, b in itertools.pairwise(places) if b - a > RATE // 20]


def pause_ms(rng: random.Random) -> int:
    """Short pauses are commoner than long ones: even on a logarithmic scale."""
    return round(SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** rng.random())


def over_the_line(phrases: list[Floats], pauses_ms: list[int], rng: random.Random) -> Heard:
    """Phrases with pauses between them, at a caller's level, in noise, through band and mu-law."""
    numbers = np.random.default_rng(rng.getrandbits(32))
    pieces = [np.zeros(LEAD_MS * 8, np.float32)]
    made: list[tuple[int, int]] = []
    for n, phrase in enumerate(phrases):
        if n:
            made.append((sum(p.size for p in pieces) // 8, pauses_ms[n - 1]))
            pieces.append(np.zeros(pauses_ms[n - 1] * 8, np.float32))
        pieces.append(phrase)
    end_ms = sum(p.size for p in pieces) // 8
    speech = np.concatenate([*pieces, np.zeros(TRAIL_MS * 8, np.float32)])
    speech = speech / (np.sqrt(np.mean(np.concatenate(phrases) ** 2)) + 1e-9)
    snr_db = rng.choice(SNRS_DB)
    if snr_db is not None:
        kind = rng.choice(telephone.NOISES)
        speech = speech + telephone.noise(speech.size, kind, numbers) * 10 ** (-snr_db / 20)
    heard = telephone.mulaw(telephone.in_band(speech) * 10 ** (rng.uniform(-28, -16) / 20))
    return Heard(np.round(heard * 32767).astype(np.int16), end_ms, tuple(made), snr_db)


def recorded(wav: bytes) -> Heard:
    """A recorded line (the bytes of its WAV file, mu-law) as it is, with a little noise around it."""
    silence = bytes([ulaw.SILENCE])
    data = wav[wav.index(b"data") + 8 :]
    pcm = ulaw.decode(silence * LEAD_MS * 8 + data + silence * TRAIL_MS * 8)
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE)
    noise = np.random.default_rng(0).normal(0, LINE_NOISE, pcm.size)
    heard = np.clip(pcm + noise, -32768, 32767).astype(np.int16)
    return Heard(heard, int(loud[-1]) // 8, (), None)


def _quietest(pcm: Floats, at: int) -> int:
    """The quietest 10 ms near a word's end, whose time is an estimate for some voices."""
    around = range(max(0, at - SEARCH_MS * 8), min(pcm.size - 80, at + SEARCH_MS * 8), 40)
    return min(around, key=lambda n: float(np.mean(pcm[n : n + 80] ** 2)), default=at) + 40


def _faded(pcm: Floats) -> Floats:
    shaped = pcm.copy()
    ramp = np.linspace(0, 1, FADE, dtype=np.float32)
    shaped[:FADE] *= ramp
    shaped[-FADE:] *= ramp[::-1]
    return shaped
