"""Reads a clause of a bot's speech with PocketSphinx and a small language model of cues and background.

In process and blocking: about 0.15 s per second of speech on one core. Clean synthetic speech lacks the noise
that every real line has, and PocketSphinx reads it badly for that: white noise is added first. The background
keeps every other sound from being read as a cue. ``docs/local-twilio.md`` has the measurements.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from .phrases import GENERIC

RATE_HZ = 8000
_MODEL_HZ = 16000
_NOISE = 150.0  # standard deviation, of 32767
_PAD_MS = 100
_CUE_WEIGHT = 8


class UnknownWordsError(Exception):
    """Cues with words that the dictionary lacks; the message names them."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = sorted(words)
        super().__init__(
            f"the caller's ears do not know {', '.join(map(repr, self.words))}: "
            "write American English as it is spoken, e.g. 'post code', 'e mail', 'nine'"
        )


def normal(text: str) -> str:
    """Lower-case words with single spaces, as recognised text is."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    path = Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"
    for line in path.read_text(encoding="utf-8").splitlines():
        word = line.split(" ", 1)[0]
        found.setdefault(re.sub(r"\(\d+\)$", "", word), []).append(line)
    return {word: tuple(lines) for word, lines in found.items()}


def unknown_words(phrases: Iterable[str]) -> set[str]:
    """Words that the ears could never hear."""
    known = _dictionary()
    return {word for phrase in phrases for word in normal(phrase).split() if word not in known}


class Recogniser:
    """Reads clauses. One thread only.

    Args:
        cues: what the caller listens for; counted more than the background.
        also: other things the bot may well say (names of goods, carriers).

    Raises:
        UnknownWordsError: a cue has a word that is not in the dictionary (in ``also`` it is left out).
    """

    def __init__(self, cues: Iterable[str], also: Iterable[str] = ()) -> None:
        heard_for = [normal(cue) for cue in cues]
        if unknown := unknown_words(heard_for):
            raise UnknownWordsError(unknown)
        background = [p for p in map(normal, (*GENERIC, *also)) if p and not unknown_words([p])]
        sentences = heard_for * _CUE_WEIGHT + background
        words = {word for sentence in sentences for word in sentence.split()}
        with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
            dictionary, model = Path(folder) / "words.dict", Path(folder) / "words.lm"
            dictionary.write_text("\n".join(line for w in sorted(words) for line in _dictionary()[w]) + "\n")
            counts = ArpaBoLM(text="\n".join(f"<s> {s} </s>" for s in sentences))
            counts.compute()
            counts.write_file(str(model))
            self._decoder = Decoder(
                hmm=str(Path(get_model_path()) / "en-us" / "en-us"),
                dict=str(dictionary),
                lm=str(model),
                loglevel="FATAL",
            )
        self._random = np.random.default_rng(1)

    def read(self, pcm: npt.NDArray[np.int16]) -> str:
        """One clause of PCM16 at 8 kHz -> words, perhaps none."""
        pad = np.zeros(_PAD_MS * RATE_HZ // 1000, np.float32)
        wide = soxr.resample(np.concatenate([pad, pcm.astype(np.float32), pad]), RATE_HZ, _MODEL_HZ)
        noisy = np.asarray(wide) + self._random.normal(0, _NOISE, len(wide))
        audio = np.clip(noisy, -32768, 32767).astype(np.int16).tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(audio, no_search=False, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return normal(hypothesis.hypstr) if hypothesis is not None else ""
