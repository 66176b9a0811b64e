"""Whisper's weights and how they are asked: short windows in, readings out. Blocking, thread safe.

CTranslate2 runs the network; faster-whisper's feature extractor and tokenizer stand before and behind it. One
object serves all calls of a host.
"""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import ctranslate2
import numpy as np
import numpy.typing as npt
import soxr
import tokenizers
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer

from voicebot.audio.engines.types import EngineUnavailable
from voicebot.audio.engines.whisper.agreement import HeardWord
from voicebot.audio.engines.whisper.windows import MOST_FRAMES, frames_of, tokens_for

MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
_POSITION_MS = 20
_MOST_PREVIOUS = 96
"""Tokens of earlier text that are given as context; Whisper's own limit is 223."""


@dataclass(frozen=True)
class Window:
    """One decode.

    Attributes:
        pcm: int16 (or float in -1..1), mono, 8 kHz; at most 30 s.
        standing: tokens that the reading must begin with.
        previous: tokens of what was said before this audio.
        readings: how many readings are wanted; more than one costs a beam search.
        ended: the caller is done, this will be answered to: never a very short window.
    """

    pcm: npt.NDArray[Any]
    standing: tuple[int, ...] = ()
    previous: tuple[int, ...] = ()
    readings: int = 1
    ended: bool = False


@dataclass(frozen=True)
class Reading:
    """What was read in a window. ``avg_logprob`` and ``no_speech_prob`` as faster-whisper defines them.

    ``language`` is set, with its probability, where a model of many languages thinks that it is another
    one than the one it was told to read.
    """

    words: tuple[HeardWord, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    alternatives: tuple[str, ...] = ()
    language: str | None = None
    language_prob: float | None = None

    @property
    def text(self) -> str:
        """The words, joined."""
        return joined(self.words)


def joined(words: Sequence[HeardWord]) -> str:
    """Words as a text."""
    return " ".join(w.text for w in words if w.text)


class WhisperModel:
    """The weights of one directory. ``read`` may be called by ``threads`` threads at once.

    Args:
        directory: a CTranslate2 Whisper model, as faster-whisper loads it.
        language: two letters; forced, never guessed.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: decodes at once; each on one core (CPU), weights shared.

    Raises:
        EngineUnavailable: files are missing, of another format, or the model does not know the language.
    """

    def __init__(
        self, directory: Path, *, language: str = "en", device: str = "auto", threads: int = 1
    ) -> None:
        check_directory(directory)
        self.directory = directory
        self.device = _device(device)
        self.compute_type = "float16" if self.device == "cuda" else "int8"
        self.threads = 1 if self.device == "cuda" else threads
        self.most_rows = 8 if self.device == "cuda" else 1
        """Windows read in one batch. On a CPU a row of eight is no cheaper (2 s: 2.0 against 2.3 ms alone,
        10 s: 24 against 17; a model of 2.5 M parameters, int8, one core), so there is none."""
        try:
            self._model = ctranslate2.models.Whisper(
                str(directory),
                device=self.device,
                compute_type=self.compute_type,
                inter_threads=self.threads,
                intra_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"{directory} cannot be loaded by CTranslate2: {error}") from error
        try:
            self._hf = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise EngineUnavailable(f"{directory / 'tokenizer.json'} is no tokenizer: {error}") from error
        language = language.partition("-")[0].lower()
        self._language = language
        self._tokens = self._tokenizer(language)
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._prompt = [*self._tokens.sot_sequence, self._tokens.no_timestamps]
        self._suppressed = self._never_said()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.directory.name}, {self.compute_type} on {self.device}"

    def read(self, windows: Sequence[Window]) -> list[Reading]:
        """Reads the windows, in one batch where their shapes allow it.

        Samples that are no number count as silence. An empty window has no words.
        """
        readings = [Reading()] * len(windows)
        alike: dict[tuple[int, int, int], list[int]] = {}
        for n, window in enumerate(windows):
            if window.pcm.size:
                frames = frames_of(window.pcm.size, ended=window.ended)
                shape = (frames, len(window.previous[-_MOST_PREVIOUS:]), window.readings)
                alike.setdefault(shape, []).append(n)
        for (frames, _, wanted), rows in alike.items():
            for n, reading in zip(
                rows, self._read_alike([windows[n] for n in rows], frames, wanted), strict=True
            ):
                readings[n] = reading
        return readings

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Tokens of a text that begins a word."""
        return tuple(self._tokens.encode(" " + text.strip())) if text.strip() else ()

    def _read_alike(self, windows: list[Window], frames: int, wanted: int) -> list[Reading]:
        batch = np.zeros((len(windows), self._model.n_mels, frames), np.float32)
        spoken: list[int] = []
        for row, window in enumerate(windows):
            mel = self._mel(window.pcm)[:, :frames]
            batch[row, :, : mel.shape[1]] = mel
            spoken.append(mel.shape[1])
        encoded = self._model.encode(ctranslate2.StorageView.from_array(batch), to_cpu=False)
        prompts = [self._prompt_of(w) for w in windows]
        new = max(tokens_for(w.pcm.size) for w in windows)
        # CTranslate2 gives at most half of max_length tokens, the forced ones included.
        longest = max(len(w.standing) for w in windows) + new
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=max(1, wanted),
            num_hypotheses=max(1, wanted),
            max_length=min(448, 2 * longest),
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        texts = [self._text_tokens(result.sequences_ids[0]) for result in results]
        aligned = self._align(encoded, texts, spoken)
        readings = [
            self._reading(result, tokens, alignment, window, frames_spoken)
            for result, tokens, alignment, window, frames_spoken in zip(
                results, texts, aligned, windows, spoken, strict=True
            )
        ]
        if self._model.is_multilingual and any(window.ended for window in windows):
            return [
                self._with_language(reading, guesses)
                for reading, guesses in zip(readings, self._model.detect_language(encoded), strict=True)
            ]
        return readings

    def _with_language(self, reading: Reading, guesses: Sequence[tuple[str, float]]) -> Reading:
        """One step of the decoder more, at the end of a turn only: what language does it sound like?"""
        token, probability = guesses[0]
        language = token.strip("<|>")
        if language == self._language:
            return reading
        return replace(reading, language=language, language_prob=float(probability))

    def _prompt_of(self, window: Window) -> list[int]:
        previous = window.previous[-_MOST_PREVIOUS:]
        before = [self._tokens.sot_prev, *previous] if previous else []
        return [*before, *self._prompt, *window.standing]

    def _text_tokens(self, ids: Sequence[int]) -> list[int]:
        return [i for i in ids if i < self._tokens.eot]

    def _align(self, encoded: Any, texts: list[list[int]], spoken: list[int]) -> list[Any]:
        """Times and probabilities of tokens, by the model's cross attention; None for a row without text."""
        if not any(texts):
            return [None] * len(texts)
        rows = self._model.align(encoded, self._tokens.sot_sequence, texts, spoken)
        return [row if tokens else None for row, tokens in zip(rows, texts, strict=True)]

    def _reading(
        self, result: Any, tokens: list[int], alignment: Any, window: Window, frames: int
    ) -> Reading:
        silence = float(result.no_speech_prob)
        if not tokens or alignment is None:
            return Reading((), None, silence)
        probabilities = [float(p) for p in alignment.text_token_probs]
        words = self._words(tokens, alignment.alignments, probabilities, frames * 10)
        # The score leaves forced tokens out of the sum but not out of the count.
        total = float(result.scores[0]) * len(result.sequences_ids[0])
        total += sum(math.log(max(p, 1e-10)) for p in probabilities[: len(window.standing)])
        text = joined(words)
        others = [self._tokens.decode(self._text_tokens(ids)).strip() for ids in result.sequences_ids[1:]]
        different = tuple(t for t in dict.fromkeys(others) if t and t != text)
        return Reading(words, total / (len(tokens) + 1), silence, different)

    def _words(
        self,
        tokens: list[int],
        alignments: Sequence[tuple[int, int]],
        probabilities: list[float],
        end_ms: int,
    ) -> tuple[HeardWord, ...]:
        begins: dict[int, int] = {}
        ends: dict[int, int] = {}
        for token, position in alignments:
            begins.setdefault(token, position * _POSITION_MS)
            ends[token] = (position + 1) * _POSITION_MS
        words: list[HeardWord] = []
        at = 0
        for text, pieces in self._split(tokens):
            first, last = at, at + len(pieces) - 1
            at += len(pieces)
            start = min(begins.get(first, 0), end_ms)
            probability = sum(probabilities[first:at]) / max(1, len(probabilities[first:at]))
            end = min(end_ms, max(start, ends.get(last, start)))
            words.append(HeardWord(text, tuple(pieces), start, end, round(probability, 4)))
        return tuple(words)

    def _split(self, tokens: list[int]) -> list[tuple[str, list[int]]]:
        """Words with their tokens; punctuation belongs to the word before it."""
        texts, groups = self._tokens.split_to_word_tokens([*tokens, self._tokens.eot])
        found: list[tuple[str, list[int]]] = []
        for text, group in zip(texts, groups, strict=True):
            pieces = [i for i in group if i < self._tokens.eot]
            if not pieces:
                continue
            starts = text[:1].isspace() or not found
            if found and not starts and not any(c.isalnum() for c in text):
                found[-1] = (found[-1][0] + text.strip(), found[-1][1] + pieces)
            else:
                found.append((text.strip(), list(pieces)))
        return found

    def _mel(self, pcm: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """[mels, frames] of 8 kHz audio; the padding to a window is zeros, as faster-whisper's."""
        if pcm.dtype == np.int16:
            audio = pcm.astype(np.float32) / 32768
        else:
            audio = np.nan_to_num(pcm.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
        wide = soxr.resample(audio[: MOST_FRAMES * 80], 8000, 16000).astype(np.float32)
        if wide.size < 400:
            wide = np.pad(wide, (0, 400 - wide.size))
        return cast("npt.NDArray[np.float32]", self._features(wide))

    def _tokenizer(self, language: str) -> Tokenizer:
        try:
            made = Tokenizer(self._hf, self._model.is_multilingual, "transcribe", language)
        except ValueError as error:
            raise EngineUnavailable(f"Whisper knows no language {language!r}") from error
        if not self._model.is_multilingual and language != "en":
            raise EngineUnavailable(
                f"{self.directory.name} hears English only and the language is {language!r}: "
                "take a multilingual model, e.g. whisper:base"
            )
        needed = {
            "<|startoftranscript|>": made.sot,
            "<|endoftext|>": made.eot,
            "<|notimestamps|>": made.no_timestamps,
            f"<|{language}|>": made.language if self._model.is_multilingual else 0,
        }
        missing = [name for name, token in needed.items() if token is None]
        if missing:
            raise EngineUnavailable(
                f"{self.directory / 'tokenizer.json'} lacks {', '.join(missing)}: it does not belong to "
                "this model, or the model does not know the language"
            )
        return made

    def _never_said(self) -> list[int]:
        tokens = self._tokens
        special = (tokens.transcribe, tokens.translate, tokens.sot, tokens.sot_prev, tokens.sot_lm)
        never = {*tokens.non_speech_tokens, *special}
        return sorted(t for t in cast("set[int | None]", never) if t is not None)


def check_directory(directory: Path) -> None:
    """Is everything there, and readable, that a model needs?

    Raises:
        EngineUnavailable: says what is missing or damaged.
    """
    missing = [name for name in MODEL_FILES if not (directory / name).is_file()]
    if missing:
        raise EngineUnavailable(f"{directory} is no faster-whisper model: it lacks {', '.join(missing)}")
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise EngineUnavailable(f"{directory / 'config.json'} is damaged: {error}") from error


def find_directory(model: str, kept_in: Path | None = None) -> Path:
    """The directory of a model: a path, a name under ``kept_in``, or one that faster-whisper fetches.

    Raises:
        EngineUnavailable: it is not here and cannot be fetched; says what to do.
    """
    for candidate in (Path(model).expanduser(), *((kept_in / "whisper" / model,) if kept_in else ())):
        if candidate.is_dir():
            return candidate.resolve()
    if model.startswith((".", "/", "~")):
        raise EngineUnavailable(f"there is no Whisper model in {model}: give a directory with model.bin")
    fetch = importlib.import_module("faster_whisper.utils").download_model
    try:
        return Path(fetch(model, local_files_only=bool(os.environ.get("HF_HUB_OFFLINE"))))
    except Exception as error:  # the hub's client raises many kinds; each means that it is not here
        why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise EngineUnavailable(
            f"Whisper {model!r} is not on this machine and could not be fetched ({why}). Put a model "
            "directory into the data directory under models/whisper/NAME, or give its path"
        ) from error


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    try:
        return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"
    except RuntimeError:
        return "cpu"
