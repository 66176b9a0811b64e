"""Training examples made on the fly: every clip goes through another telephone line each time.

Besides whole sentences the model must learn what a streaming engine gives it: two utterances in one window,
speech that is cut off, speech whose beginning was committed and dropped, a forced prefix (even a wrong one),
an earlier text or hot words as prompt, noise without speech, and windows of any length.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer
from torch import Tensor

from . import telephone
from .network import MELS, POSITIONS
from .tokenizer import Ids
from .voices import RATE, Spoken

LONGEST_S = 9.6
FRAMES_IN_BATCH = 3600  # small: steps are what a short run lacks
BUCKET = 48  # frames; few shapes, since the matrix library prepares anew for each
STEPS = 6  # of the decoder, likewise
EASY = 14_000  # examples at first: short whole clips on good lines, until the encoder hears phones at all
EASY_LONGEST_S = 3.0
HARDER = 16_000  # examples more until every kind comes as often as it should
POSITION_S = 0.02
UNSCORED = -100


@dataclass(frozen=True)
class Mix:
    """How often each kind of example comes."""

    noise: float = 0.06
    joined: float = 0.22
    cut_end: float = 0.22
    cut_start: float = 0.07
    timed: float = 0.22
    prompted: float = 0.15
    wrong_prefix: float = 0.10
    full_window: float = 0.35


@dataclass
class Utterance:
    """Audio at 8 kHz with words and phones at their times, still clean."""

    pcm: np.ndarray
    words: list[tuple[str, float, float]]
    phones: list[tuple[int, float]]


@dataclass
class Example:
    """Features [frames, 80], decoder input, targets, and when each target was said (position, -1: never)."""

    mel: np.ndarray
    tokens: list[int]
    targets: list[int]
    said_at: list[float]
    phones: list[int]


@dataclass
class Batch:
    """Padded tensors; `window` is the number of positions the encoder pretends to have."""

    mel: Tensor
    tokens: Tensor
    targets: Tensor
    said_at: Tensor
    phones: Tensor
    phone_counts: Tensor
    positions: Tensor
    window: int


class Examples(torch.utils.data.IterableDataset):
    """Endless batches for one loader process."""

    def __init__(
        self,
        clips: list[Spoken],
        tokenizer: Tokenizer,
        phones: dict[str, int],
        seed: int,
        mix: Mix | None = None,
        made: int = 0,
    ) -> None:
        super().__init__()
        self._clips = clips
        self._phones = phones
        self._tokenizer = tokenizer
        self._ids = Ids(tokenizer)
        self._seed = seed
        self._made = made
        self._mix = mix or Mix()
        self._by_voice: dict[str, list[int]] = {}
        for number, clip in enumerate(clips):
            self._by_voice.setdefault(clip.voice, []).append(number)
        self._features = FeatureExtractor(chunk_length=10)
        self._encoded: dict[str, list[int]] = {}

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        self._rng = random.Random(self._seed)
        self._noise = np.random.default_rng(self._seed)
        order: list[int] = []
        waiting: dict[int, list[Example]] = {}
        while True:
            if not order:
                order = self._rng.sample(range(len(self._clips)), len(self._clips))
            number = order.pop()
            if self._made < EASY and len(self._clips[number].pcm) > EASY_LONGEST_S * RATE:
                continue
            example = self._example(number)
            frames = -(-(len(example.mel) + 2) // BUCKET) * BUCKET
            alike = waiting.setdefault(frames, [])
            alike.append(example)
            if len(alike) == max(1, FRAMES_IN_BATCH // frames):
                yield self._collated(waiting.pop(frames), frames)

    def _example(self, number: int) -> Example:
        rng = self._rng
        self._made += 1
        self._hard = min(1.0, max(0.0, (self._made - EASY) / HARDER))
        if rng.random() < self._mix.noise * self._hard:
            mel = self._mel(telephone.only_noise(self._noise))
            timed = rng.random() < self._mix.timed
            first = self._ids.first_time if timed else self._ids.no_times
            tokens, targets = [self._ids.start, first], [self._ids.no_speech, self._ids.end]
            return Example(mel, tokens, targets, [-1.0, -1.0], [])
        utterance = self._utterance(number)
        earlier: list[str] = []
        seconds = len(utterance.pcm) / RATE
        line = telephone.random_line(self._noise, self._hard)
        kind = rng.random() / max(1e-9, self._hard)
        if kind < self._mix.cut_end and seconds > 0.5:
            at = rng.uniform(0.3, seconds - 0.05)
            utterance.pcm = utterance.pcm[: int(at * RATE)]
            utterance.words = [word for word in utterance.words if word[2] <= at + 0.03]
            utterance.phones = [phone for phone in utterance.phones if phone[1] <= at]
            line = telephone.Line(**{**line.__dict__, "trail_s": 0.0})
        elif kind < self._mix.cut_end + self._mix.cut_start and len(utterance.words) > 3:
            first = rng.randrange(1, len(utterance.words) - 1)
            at = utterance.words[first][1]
            earlier = [word for word, _, _ in utterance.words[:first]]
            utterance.pcm = utterance.pcm[int(at * RATE) :]
            utterance.words = [(w, start - at, end - at) for w, start, end in utterance.words[first:]]
            utterance.phones = [(phone, end - at) for phone, end in utterance.phones if end > at + 0.02]
            line = telephone.Line(**{**line.__dict__, "lead_s": rng.choice([0.0, 0.02, 0.1])})
        heard = telephone.through(utterance.pcm, line, self._noise)
        if rng.random() < 0.05 * self._hard:
            telephone.knock(heard, self._noise)
        words = [
            (word, line.lead_s + start / line.speed, line.lead_s + end / line.speed)
            for word, start, end in utterance.words
            if line.lead_s + end / line.speed < LONGEST_S
        ]
        phones = [phone for phone, _ in utterance.phones]
        return self._labelled(self._mel(heard), words, phones, earlier)

    def _utterance(self, number: int) -> Utterance:
        """A clip, or two or three of one voice with a pause between them."""
        clips = [self._clips[number]]
        if self._rng.random() < self._mix.joined * self._hard:
            others = self._by_voice[clips[0].voice]
            clips += [self._clips[self._rng.choice(others)] for _ in range(self._rng.choice([1, 1, 1, 2]))]
        pieces: list[np.ndarray] = []
        words: list[tuple[str, float, float]] = []
        phones: list[tuple[int, float]] = []
        begins = 0.0
        for clip in clips:
            seconds = len(clip.pcm) / RATE
            if pieces:
                pause = self._rng.uniform(0.05, 0.9)
                if begins + pause + seconds > LONGEST_S * 0.85:
                    break
                pieces.append(np.zeros(int(pause * RATE), np.float32))
                begins += pause
            pieces.append(clip.pcm)
            starts = (0.0, *clip.word_ends[:-1])
            spans = zip(clip.text.split(), starts, clip.word_ends, strict=True)
            words += [(word, begins + start, begins + end) for word, start, end in spans]
            ends = zip(clip.phones, clip.phone_ends, strict=True)
            phones += [(self._phones[phone], begins + end) for phone, end in ends if phone in self._phones]
            begins += seconds
        return Utterance(np.concatenate(pieces), words, phones)

    def _mel(self, heard: np.ndarray) -> np.ndarray:
        heard = heard[: int(LONGEST_S * RATE)]
        mel = self._features(telephone.for_whisper(heard)).T.astype(np.float32)
        rng = self._rng
        frames = len(mel)
        mel += rng.uniform(-0.1, 0.1)
        masks = 2 if rng.random() < self._hard else 0
        for _ in range(rng.randint(0, masks)):
            width = rng.randint(1, 8)
            at = rng.randrange(MELS - width)
            mel[:, at : at + width] = mel.mean()
        for _ in range(rng.randint(0, masks)):
            width = min(frames // 4, rng.randint(1, 12))
            if width:
                at = rng.randrange(frames - width)
                mel[at : at + width] = mel.mean()
        return mel

    def _labelled(
        self, mel: np.ndarray, words: list[tuple[str, float, float]], phones: list[int], earlier: list[str]
    ) -> Example:
        rng, ids = self._rng, self._ids
        tokens: list[int] = []
        said_at: list[float] = []
        first_of: list[int] = []
        for word, start, end in words:
            pieces = self._word(word)
            first_of.append(len(tokens))
            letters = np.cumsum([0, *(len(self._tokenizer.id_to_token(piece)) for piece in pieces)])
            middles = (letters[:-1] + letters[1:]) / 2 / letters[-1]
            tokens += pieces
            said_at += [(start + (end - start) * middle) / POSITION_S for middle in middles]
        scored = list(tokens)
        if len(words) > 2 and rng.random() < self._mix.wrong_prefix:
            # A forced prefix with one wrong word in it: what follows must still be what was said.
            wrong = rng.randrange(len(words) - 1)
            begin, end = first_of[wrong], first_of[wrong + 1]
            other = self._word(rng.choice(rng.choice(self._clips).text.split()))
            tokens = [*tokens[:begin], *other, *tokens[end:]]
            scored = [*[UNSCORED] * (begin + len(other)), *scored[end:]]
            said_at = [*said_at[:begin], *[-1.0] * len(other), *said_at[end:]]
        timed = rng.random() < self._mix.timed
        if not words:
            first = ids.first_time if timed else ids.no_times
            return Example(mel, [ids.start, first], [ids.no_speech, ids.end], [-1.0, -1.0], [])
        if timed:
            begin, end = (
                ids.first_time + min(500, round(t / POSITION_S)) for t in (words[0][1], words[-1][2])
            )
            inputs = [ids.start, begin, *tokens, end]
            targets = [begin, *scored, end, ids.end]
            times = [-1.0, *said_at, -1.0, -1.0]
        else:
            inputs = [ids.start, ids.no_times, *tokens]
            targets = [ids.no_times, *scored, ids.end]
            times = [-1.0, *said_at, -1.0]
        if (earlier and rng.random() < 0.7) or rng.random() < self._mix.prompted:
            prompt = [piece for word in earlier or self._prompt(words) for piece in self._word(word)]
            inputs = [ids.previous, *prompt, *inputs]
            targets = [*[UNSCORED] * (len(prompt) + 1), *targets]
            times = [*[-1.0] * (len(prompt) + 1), *times]
        return Example(mel, inputs, targets, times, phones)

    def _prompt(self, words: list[tuple[str, float, float]]) -> list[str]:
        """Another sentence, or hot words of which some are in this one."""
        if self._rng.random() < 0.5:
            return self._rng.choice(self._clips).text.split()
        hot = [
            self._rng.choice(self._rng.choice(self._clips).text.split())
            for _ in range(self._rng.randint(1, 6))
        ]
        hot += [self._rng.choice(words)[0] for _ in range(self._rng.randint(0, 2))]
        self._rng.shuffle(hot)
        return hot

    def _word(self, word: str) -> list[int]:
        if word not in self._encoded:
            self._encoded[word] = self._tokenizer.encode(" " + word).ids
        return self._encoded[word]

    def _collated(self, batch: list[Example], frames: int) -> Batch:
        rng = self._rng
        steps = -(-max(len(example.tokens) for example in batch) // STEPS) * STEPS
        mel = np.zeros((len(batch), MELS, frames), np.float32)
        tokens = torch.full((len(batch), steps), self._ids.end)
        targets = torch.full((len(batch), steps), UNSCORED)
        said_at = torch.full((len(batch), steps), -1.0)
        for row, example in enumerate(batch):
            mel[row, :, : len(example.mel)] = example.mel.T
            count = len(example.tokens)
            tokens[row, :count] = torch.tensor(example.tokens)
            targets[row, :count] = torch.tensor(example.targets)
            said_at[row, :count] = torch.tensor(example.said_at)
        length = frames // 2
        full = rng.random() < self._mix.full_window
        return Batch(
            torch.from_numpy(mel),
            tokens,
            targets,
            said_at,
            torch.tensor([phone for example in batch for phone in example.phones], dtype=torch.long),
            torch.tensor([len(example.phones) for example in batch]),
            torch.tensor([min(length, len(example.mel) // 2 + 1) for example in batch]),
            POSITIONS if full else rng.randint(length + 10, length + 300),
        )
