"""Whisper's architecture at 1/15 of the size of tiny, in PyTorch, with a phone head for training only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

POSITIONS = 1500  # 30 s: faster-whisper pads to it whatever it is told
TEXT_POSITIONS = 448
MELS = 80
GUIDED_HEADS = 2


@dataclass(frozen=True)
class Size:
    """Numbers that fix the shape of the weights."""

    tokens: int
    phones: int
    width: int = 160
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 2


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's position encoding, [length, width]."""
    step = math.log(10_000) / (width // 2 - 1)
    angle = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([angle.sin(), angle.cos()], 1)


class Attention(nn.Module):
    """Multi-head attention; the key projection has no bias, as in Whisper."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.key = nn.Linear(width, width, bias=False)
        self.weights: Tensor | None = None  # of the guided heads, after a forward pass that keeps them

    def forward(
        self, x: Tensor, source: Tensor | None = None, bias: Tensor | None = None, *, causal=False, keep=False
    ) -> Tensor:
        """X [batch, steps, width] -> the same shape."""
        x = _lowered(x)  # once, not once per projection
        source = x if source is None else _lowered(source)
        batch, steps, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(source)), split(self.value(source))
        # Written out: on a CPU in bfloat16 the backward pass of the fused form takes several times as long.
        scores = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).float()
        if causal:
            scores = scores + torch.full((steps, steps), float("-inf")).triu(1)
        if bias is not None:
            scores = scores + bias.float()
        weights = scores.softmax(-1)
        if keep:
            self.weights = weights[:, :GUIDED_HEADS]
        mixed = weights.to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, steps, width))


def _lowered(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else x


class Layer(nn.Module):
    """Self-attention, attention to the audio where `crossed`, and a feed-forward net; norms come first."""

    def __init__(self, width: int, heads: int, *, crossed: bool) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width) if crossed else None
        self.cross = Attention(width, heads) if crossed else None
        self.norm2 = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, audio: Tensor | None = None, bias: Tensor | None = None, *, keep=False
    ) -> Tensor:
        """X [batch, steps, width] -> the same shape."""
        if self.cross is None:
            x = x + self.attention(self.norm1(x), bias=bias)
        else:
            x = x + self.attention(self.norm1(x), causal=True)
            x = x + self.cross(self.norm_cross(x), audio, bias, keep=keep)
        return x + self.outer(functional.gelu(self.inner(self.norm2(x))))


class Whisper(nn.Module):
    """Encoder, decoder and a CTC head over phones."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        width = size.width
        self.conv1 = nn.Conv1d(MELS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("places", sinusoids(POSITIONS, width) * 0.3)
        self.encoder = nn.ModuleList(
            Layer(width, size.heads, crossed=False) for _ in range(size.encoder_layers)
        )
        self.encoder_norm = nn.LayerNorm(width)
        self.embedding = nn.Embedding(size.tokens, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.text_places = nn.Parameter(torch.randn(TEXT_POSITIONS, width) * 0.02)
        self.decoder = nn.ModuleList(
            Layer(width, size.heads, crossed=True) for _ in range(size.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(width)
        self.phones = nn.Linear(width, size.phones + 1)

    def parameter_count(self) -> int:
        """What is exported: without the phone head."""
        return sum(p.numel() for name, p in self.named_parameters() if not name.startswith("phones"))

    def _stem(self, mel: Tensor) -> Tensor:
        return functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)

    def encode(
        self, mel: Tensor, window: int = POSITIONS, samples: int = 10
    ) -> tuple[Tensor, Tensor | None, int]:
        """Mel [batch, 80, frames], frames even, zero where there is no audio.

        The padding up to `window` positions is stood in for by a few sampled positions whose attention
        score is raised by log(positions stood for), so that attention sees the mass it will see later.

        Returns:
            audio [batch, positions, width], the attention bias that goes with it, positions of real frames.
        """
        x = self._stem(mel)
        length = x.shape[1]
        rest = window - length
        bias = None
        if rest > 0:
            samples = min(samples, rest)
            silence = self._stem(mel.new_zeros(1, MELS, 8))[:, 1:2]
            at = ((torch.arange(samples) + torch.rand(samples)) * rest / samples).long()
            at = (length + at).clamp(max=window - 1)
            padding = (silence + self.places[at][None]).expand(len(x), -1, -1)
            x = torch.cat([x + self.places[:length], padding], 1)
            bias = torch.zeros(1, 1, 1, length + samples, dtype=x.dtype)
            bias[..., length:] = math.log(rest / samples)
        else:
            x = x + self.places[:length]
        for layer in self.encoder:
            x = layer(x, bias=bias)
        return self.encoder_norm(x), bias, length

    def decode(self, tokens: Tensor, audio: Tensor, bias: Tensor | None, *, keep: bool = False) -> Tensor:
        """Tokens [batch, steps] -> scores [batch, steps, tokens of the vocabulary]."""
        x = self.embedding(tokens) + self.text_places[: tokens.shape[1]]
        for layer in self.decoder:
            x = layer(x, audio, bias.to(audio.dtype) if bias is not None else None, keep=keep)
        return functional.linear(self.decoder_norm(x), self.embedding.weight)

    def guided_weights(self) -> list[Tensor]:
        """Attention of the guided heads in the last `decode(keep=True)`, [batch, heads, steps, positions]."""
        return [layer.cross.weights for layer in self.decoder]
