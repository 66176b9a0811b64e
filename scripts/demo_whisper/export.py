"""From PyTorch weights to a CTranslate2 directory that `faster_whisper.WhisperModel(path)` loads offline."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import whisper_spec
from tokenizers import Tokenizer
from torch import nn

from .network import GUIDED_HEADS, Attention, Layer, Whisper
from .tokenizer import Ids

FEATURES = {
    "feature_size": 80,
    "sampling_rate": 16000,
    "hop_length": 160,
    "n_fft": 400,
    "chunk_length": 10,  # seconds: what it was trained on
    "feature_extractor_type": "WhisperFeatureExtractor",
    "processor_class": "WhisperProcessor",
    "padding_value": 0.0,
    "padding_side": "right",
    "nb_max_frames": 1000,
    "n_samples": 160000,
    "return_attention_mask": False,
}


def scaled(model: Whisper, scale: float) -> Whisper:
    """A copy whose token scores are all `scale` times as large: same greedy words, other confidence."""
    softer = copy.deepcopy(model)
    with torch.no_grad():
        softer.decoder_norm.weight *= scale
        softer.decoder_norm.bias *= scale
    return softer


def export(model: Whisper, tokenizer_file: Path, out: Path, quantization: str | None = "int8") -> None:
    """Replaces `out` with the model directory."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    ids = Ids(tokenizer)
    size = model.size
    spec = whisper_spec.WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    for to, conv in ((spec.encoder.conv1, model.conv1), (spec.encoder.conv2, model.conv2)):
        to.weight, to.bias = _array(conv.weight), _array(conv.bias)
    spec.encoder.position_encodings.encodings = _array(model.places)
    _norm(spec.encoder.layer_norm, model.encoder_norm)
    for to, layer in zip(spec.encoder.layer, model.encoder, strict=True):
        _layer(to, layer)
    spec.decoder.embeddings.weight = _array(model.embedding.weight)
    spec.decoder.position_encodings.encodings = _array(model.text_places)
    spec.decoder.projection.weight = _array(model.embedding.weight)
    spec.decoder.scale_embeddings = False
    _norm(spec.decoder.layer_norm, model.decoder_norm)
    for to, layer in zip(spec.decoder.layer, model.decoder, strict=True):
        _layer(to, layer)
        _norm(to.attention.layer_norm, layer.norm_cross)
        _linear(to.attention.linear[0], layer.cross.query)
        _linear(to.attention.linear[1], layer.cross.key, layer.cross.value)
        _linear(to.attention.linear[2], layer.cross.out)
    spec.register_vocabulary([tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())])
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [ids.space, ids.end]
    spec.config.lang_ids = [ids.english]
    spec.config.alignment_heads = [
        (at, head) for at in range(size.decoder_layers) for head in range(GUIDED_HEADS)
    ]
    spec.validate()
    spec.optimize(quantization=quantization)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec.save(str(out))
    shutil.copy(tokenizer_file, out / "tokenizer.json")
    (out / "preprocessor_config.json").write_text(json.dumps(FEATURES, indent=1) + "\n")
    # Wherever it is copied to: the server never picks it by itself.
    (out / "voicebot-model.json").write_text('{"demo": true}\n')


def _layer(to: Any, layer: Layer) -> None:
    attention: Attention = layer.attention
    _norm(to.self_attention.layer_norm, layer.norm1)
    _linear(to.self_attention.linear[0], attention.query, attention.key, attention.value)
    _linear(to.self_attention.linear[1], attention.out)
    _norm(to.ffn.layer_norm, layer.norm2)
    _linear(to.ffn.linear_0, layer.inner)
    _linear(to.ffn.linear_1, layer.outer)


def _linear(to: Any, *parts: nn.Linear) -> None:
    """Several projections become one; those without a bias get zeros."""
    to.weight = np.concatenate([_array(part.weight) for part in parts])
    to.bias = np.concatenate(
        [
            _array(part.bias) if part.bias is not None else np.zeros(len(part.weight), np.float32)
            for part in parts
        ]
    )


def _norm(to: Any, norm: nn.LayerNorm) -> None:
    to.gamma, to.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()
