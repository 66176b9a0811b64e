"""A Whisper of any shape with random weights, as a CTranslate2 directory that faster-whisper loads.

For tests of loading, shapes and bounds, and for timing: what a decode costs depends on the shape, not on the
weights. It reads nonsense. Needs no PyTorch and no network.

    python -m scripts.bench.random_whisper base /tmp/random-base
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import whisper_spec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


@dataclass(frozen=True)
class Shape:
    """Layers (encoder and decoder alike), width, heads, text tokens before the special ones."""

    layers: int
    width: int
    heads: int
    text_tokens: int = 50257
    positions: int = 1500
    languages: tuple[str, ...] = ("en", "de", "fr", "es")


SHAPES = {
    "tiny": Shape(4, 384, 6),
    "base": Shape(6, 512, 8),
    "small": Shape(12, 768, 12),
    "test": Shape(2, 32, 2, text_tokens=3000, languages=("en",)),
}
"""OpenAI's sizes (Whisper's model card); ``test`` is for tests: 0.6 MB, English, made and loaded in 0.2 s."""

MULTILINGUAL_TOKENS = 51865
"""What OpenAI's multilingual models have. CTranslate2 4.8 knows them by a text token that is empty: 50256 in
their vocabulary, <|endoftext|> in that of the English ones."""


def make(folder: Path, shape: Shape, *, seed: int = 0, quantization: str | None = "int8") -> Path:
    """Writes the model directory and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, ids = _tokenizer(shape)
    rng = np.random.default_rng(seed)
    spec = whisper_spec.WhisperSpec(shape.layers, shape.heads, shape.layers, shape.heads)
    width, count = shape.width, tokenizer.get_vocab_size()

    def some(*size: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(size[-1]), size).astype(np.float32)

    def linear(to: Any, out: int, into: int) -> None:
        to.weight, to.bias = some(out, into), np.zeros(out, np.float32)

    def norm(to: Any) -> None:
        to.gamma, to.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    for conv, into in ((spec.encoder.conv1, 80), (spec.encoder.conv2, width)):
        conv.weight, conv.bias = some(width, into, 3), np.zeros(width, np.float32)
    spec.encoder.position_encodings.encodings = some(shape.positions, width)
    spec.decoder.position_encodings.encodings = some(448, width)
    spec.decoder.embeddings.weight = some(count, width)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.scale_embeddings = False
    for block, crosses in ((spec.encoder, False), (spec.decoder, True)):
        norm(block.layer_norm)
        for layer in block.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width, width)
            linear(layer.ffn.linear_1, width, 4 * width)
            if crosses:
                norm(layer.attention.layer_norm)
                for part, out in zip(layer.attention.linear, (width, 2 * width, width), strict=True):
                    linear(part, out, width)
    spec.register_vocabulary([tokenizer.id_to_token(n) for n in range(count)])
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{language}|>"] for language in shape.languages]
    spec.config.alignment_heads = [(shape.layers - 1, head) for head in range(shape.heads)]
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    return folder


def _tokenizer(shape: Shape) -> tuple[Tokenizer, dict[str, int]]:
    """Bytes, made-up words to fill up, then Whisper's special tokens in Whisper's order."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fill = [f"Ġw{n}" for n in range(shape.text_tokens - len(alphabet))]
    text = [*alphabet, *fill]
    if len(shape.languages) > 1:
        text[-1] = ""
    tokenizer = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(text)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    languages = [f"<|{language}|>" for language in shape.languages]
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    special += [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    if len(shape.languages) > 1:
        missing = MULTILINGUAL_TOKENS - len(text) - len(special)
        special += [f"<|unused{n}|>" for n in range(missing)]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return tokenizer, {name: tokenizer.token_to_id(name) for name in special}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(make(options.folder, SHAPES[options.shape], seed=options.seed))


if __name__ == "__main__":
    main()
