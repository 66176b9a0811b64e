"""Scores a model directory the way it will be used: stock faster-whisper, greedy, and short windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import ctranslate2
import numpy as np
import soundfile
import soxr
import yaml
from faster_whisper import WhisperModel

from . import telephone
from .grammar import normalised
from .telephone import Line
from .tokenizer import Ids
from .voices import RATE, Spoken

GREEDY = {
    "language": "en",
    "temperature": 0.0,
    "beam_size": 1,
    "condition_on_previous_text": False,
    "without_timestamps": True,
    "no_speech_threshold": None,
    "log_prob_threshold": None,
    "compression_ratio_threshold": None,
    "max_new_tokens": 60,
}
MARGIN_FRAMES = 40  # frames of padding behind the speech in a short window


@dataclass(frozen=True)
class Heard:
    """What came out; `logprob` and `no_speech` are Whisper's, None when no segment did."""

    text: str
    logprob: float | None
    no_speech: float | None


def heard_audio(clip: Spoken, line: Line | None = None, seed: int = 0) -> np.ndarray:
    """The clip over a good line (25 dB), 16 kHz."""
    rng = np.random.default_rng([seed, len(clip.pcm)])
    return telephone.for_whisper(telephone.through(clip.pcm, line or Line(), rng))


class Ear:
    """One model directory, one thread."""

    def __init__(self, path: Path, compute_type: str = "int8") -> None:
        self._model = WhisperModel(str(path), device="cpu", compute_type=compute_type, cpu_threads=1)
        self._ids = Ids(self._model.hf_tokenizer)

    def stock(self, audio: np.ndarray, **options: object) -> Heard:
        """As faster-whisper does it: 30 s window."""
        segments = list(self._model.transcribe(audio, **{**GREEDY, **options})[0])
        if not segments:
            return Heard("", None, None)
        text = " ".join(segment.text.strip() for segment in segments)
        return Heard(
            normalised(text),
            float(np.mean([segment.avg_logprob for segment in segments])),
            float(np.mean([segment.no_speech_prob for segment in segments])),
        )

    def short(self, audio: np.ndarray, prefix: str = "", margin: int = MARGIN_FRAMES) -> Heard:
        """A window as long as the audio and a margin, with a forced prefix."""
        tokenizer = self._model.hf_tokenizer
        mel = self._model.feature_extractor(audio)
        frames = min(3000, mel.shape[-1] + margin)
        frames += frames % 2
        padded = np.zeros((1, 80, frames), np.float32)
        padded[0, :, : mel.shape[-1]] = mel[:, :frames]
        forced = tokenizer.encode(" " + prefix).ids if prefix else []
        result = self._model.model.generate(
            ctranslate2.StorageView.from_array(padded),
            [[self._ids.start, self._ids.no_times, *forced]],
            beam_size=1,
            max_length=60 + len(forced),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        found = [token for token in result.sequences_ids[0] if token < self._ids.end]
        logprob = result.scores[0] * len(result.sequences_ids[0]) / (len(result.sequences_ids[0]) + 1)
        text = normalised(prefix + tokenizer.decode(found))
        return Heard(text, logprob, result.no_speech_prob)


def errors(reference: str, heard: str) -> int:
    """Word errors: substitutions, deletions and insertions."""
    left, right = reference.split(), heard.split()
    row = list(range(len(right) + 1))
    for i, word in enumerate(left, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def wer(pairs: Iterable[tuple[str, str]]) -> float:
    """Percent, over all words."""
    pairs = list(pairs)
    return 100 * sum(errors(*pair) for pair in pairs) / max(1, sum(len(ref.split()) for ref, _ in pairs))


def by_voice(
    clips: Sequence[Spoken], hear: Callable[[np.ndarray], Heard]
) -> dict[str, list[tuple[str, Heard]]]:
    """Voice -> (reference, heard), over a good line."""
    found: dict[str, list[tuple[str, Heard]]] = {}
    for clip in clips:
        found.setdefault(clip.voice, []).append((clip.text, hear(heard_audio(clip))))
    return found


def caller_lines(folder: Path) -> list[tuple[str, str, np.ndarray]]:
    """The demo callers' own recordings: (voice, words, 16 kHz audio over the phone)."""
    found = []
    for entry in yaml.safe_load((folder / "lines.yaml").read_text()):
        path = folder / entry["voice"] / f"{entry['name']}.wav"
        if not entry["text"] or not path.exists():
            continue
        pcm, rate = soundfile.read(path, dtype="float32")
        if rate != RATE:
            pcm = soxr.resample(pcm, rate, RATE).astype(np.float32)
        pcm = np.concatenate([np.zeros(RATE // 5, np.float32), pcm, np.zeros(RATE // 4, np.float32)])
        audio = telephone.for_whisper(telephone.mulaw(pcm))
        found.append((entry["voice"], normalised(entry["text"]), audio))
    return found


def noises(count: int, seed: int) -> list[np.ndarray]:
    """Clips without speech, 16 kHz."""
    rng = np.random.default_rng(seed)
    return [telephone.for_whisper(telephone.only_noise(rng)) for _ in range(count)]


def below(values: Iterable[float | None], threshold: float) -> float:
    """Percent of values below the threshold; no value counts as below."""
    values = list(values)
    return 100 * sum(value is None or value < threshold for value in values) / max(1, len(values))


def middle(values: Iterable[float | None]) -> float:
    """Median of those there are."""
    return median([value for value in values if value is not None] or [float("nan")])


def seconds_per_clip(hear: Callable[[np.ndarray], Heard], seconds: float = 3.0, repeats: int = 12) -> float:
    """Processor seconds for a clip of that length on one thread (what else runs does not count)."""
    audio = noises(1, 3)[0]
    audio = np.resize(audio, int(seconds * 2 * RATE))
    hear(audio)
    started = time.process_time()
    for _ in range(repeats):
        hear(audio)
    return (time.process_time() - started) / repeats
