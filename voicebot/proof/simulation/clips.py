"""Sound from files and from formulas, as 8 kHz mu-law: what Twilio plays, and what callers say."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from voicebot.audio.mulaw import RATE_HZ, decode, encode

_PCM, _MULAW, _EXTENSIBLE = 1, 7, 0xFFFE


class ClipError(Exception):
    """A file that is no usable WAV; the message names it and says what would be."""


def read_wav(source: Path | bytes, *, name: str | None = None) -> bytes:
    """Mono mu-law or PCM16 WAV of any rate -> 8 kHz mu-law. Several channels are mixed to one.

    Raises:
        ClipError: not a WAV file, or another encoding.
    """
    label = name or (str(source) if isinstance(source, Path) else "the audio")
    data = source.read_bytes() if isinstance(source, Path) else source
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ClipError(f"{label} is no WAV file; make it 8 kHz mono mu-law or PCM16")
    encoding = channels = rate = bits = 0
    body: bytes | None = None
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int(struct.unpack_from("<I", data, at + 4)[0])
        if kind == b"fmt ":
            encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
            if encoding == _EXTENSIBLE and size >= 26:
                encoding = struct.unpack_from("<H", data, at + 32)[0]
        elif kind == b"data":
            body = data[at + 8 : at + 8 + size]
            break
        at += 8 + size + (size & 1)
    if body is None or channels < 1:
        raise ClipError(f"{label}: the WAV file has no audio in it")
    if (encoding, bits) == (_MULAW, 8):
        if channels == 1 and rate == RATE_HZ:
            return bytes(body)
        samples = decode(body)
    elif (encoding, bits) == (_PCM, 16):
        samples = np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2").astype(np.int16)
    else:
        raise ClipError(f"{label}: encoding {encoding} with {bits} bits; make it mu-law or PCM16")
    if channels > 1:
        frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
        samples = frames.astype(np.int32).mean(axis=1).astype(np.int16)
    if rate != RATE_HZ:
        samples = np.asarray(soxr.resample(samples, rate, RATE_HZ), dtype=np.int16)
    return encode(samples)


def tone(ms: int, *hertz: float, level: float = 0.2) -> bytes:
    """Pure tones, e.g. the North American ringback 440 + 480 Hz. ``level``: 1.0 is full scale."""
    t = np.arange(ms * 8) / RATE_HZ
    wave: npt.NDArray[np.float64] = np.zeros(len(t))
    for f in hertz:
        wave += np.sin(2 * np.pi * f * t)
    return encode((wave / max(1, len(hertz)) * level * 32767).astype(np.int16))


def murmur(ms: int, *, level: float = 0.1, seed: int = 7) -> bytes:
    """Something that is voiced and rises and falls like speech, without words."""
    rng = np.random.default_rng(seed)
    t = np.arange(ms * 8) / RATE_HZ
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    wave = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t - np.pi / 2)
    noise = rng.normal(0, 0.05, len(t))
    mixed = (np.asarray(wave) / 2 + noise) * syllables
    return encode(np.clip(mixed * level * 32767, -32767, 32767).astype(np.int16))


_KEYS = {
    "1": (697, 1209), "2": (697, 1336), "3": (697, 1477), "4": (770, 1209), "5": (770, 1336),
    "6": (770, 1477), "7": (852, 1209), "8": (852, 1336), "9": (852, 1477), "*": (941, 1209),
    "0": (941, 1336), "#": (941, 1477),
}  # fmt: skip


def key_tone(digit: str, ms: int = 100) -> bytes:
    """The two tones of a key (ITU-T Q.23)."""
    return tone(ms, *_KEYS[digit])
