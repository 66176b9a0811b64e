"""A byte-level tokenizer in Whisper's form: text tokens, then `<|endoftext|>`, then the special tokens.

The order of the special tokens and the presence of every one of them matter: faster-whisper looks each up
by name. " -" and " '" are trained as single tokens because Whisper's suppression list is built from the
first token of those strings, and a bare space must not get onto that list.
"""

from __future__ import annotations

import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from .grammar import LETTERS, Grammar

TEXT_TOKENS = 1000
TIMESTAMPS = 501  # 0.00 to 10.00 s in steps of 20 ms
SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip


class Ids:
    """The special tokens' numbers."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        find = tokenizer.token_to_id
        self.end = find("<|endoftext|>")
        self.start = find("<|startoftranscript|>")
        self.previous = find("<|startofprev|>")
        self.no_speech = find("<|nospeech|>")
        self.no_times = find("<|notimestamps|>")
        self.first_time = self.no_times + 1
        self.english = find("<|en|>")
        self.space = find("Ġ")


def train(shop: Grammar, path: Path, seed: int) -> Tokenizer:
    """Learns merges from sentences of the grammar and writes `tokenizer.json`."""
    rng = random.Random(seed)
    texts = [" " + shop.training_sentence(rng).text for _ in range(20_000)]
    texts += [" " + mark for mark in ["-", "'", *LETTERS] for _ in range(600)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(texts, trainer)
    names = [*SPECIAL, *(f"<|{number * 0.02:.2f}|>" for number in range(TIMESTAMPS))]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.save(str(path))
    return tokenizer
