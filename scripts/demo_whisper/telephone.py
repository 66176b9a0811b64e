"""From clean speech to what a telephone delivers: speed, noise, band, level, mu-law. 8 kHz float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr

from .voices import RATE

LOW_HZ, HIGH_HZ = 250.0, 3450.0
NOISES = ("white", "pink", "brown", "hum")


@dataclass(frozen=True)
class Line:
    """A telephone line. `snr_db` None: no noise. Levels are RMS in dB of full scale."""

    speed: float = 1.0
    snr_db: float | None = 25.0
    noise: str = "pink"
    level_db: float = -22.0
    lead_s: float = 0.25
    trail_s: float = 0.4
    clip: float = 1.0


def random_line(rng: np.random.Generator, hard: float = 1.0) -> Line:
    """Lines as various as a small model can bear; `hard` 0 (a good line) to 1."""
    return Line(
        speed=rng.uniform(1 - 0.12 * hard, 1 + 0.14 * hard),
        snr_db=None if rng.random() < 0.15 else rng.uniform(24 - 18 * hard, 40),
        noise=str(rng.choice(NOISES)),
        level_db=rng.uniform(-34, -14),
        lead_s=float(rng.choice([0.02, 0.1, 0.2, 0.3, 0.6]) * rng.uniform(0.5, 1.2)),
        trail_s=float(rng.choice([0.0, 0.06, 0.15, 0.4, 0.8]) * rng.uniform(0.3, 1.2)),
        clip=rng.uniform(0.15, 0.6) if rng.random() < 0.04 * hard else 1.0,
    )


def through(speech: np.ndarray, line: Line, rng: np.random.Generator) -> np.ndarray:
    """The speech as heard at the other end, silence (with the line's noise) before and after it."""
    if line.speed != 1.0:
        speech = soxr.resample(speech, RATE * line.speed, RATE, "LQ").astype(np.float32)
    speech = speech / (np.sqrt(np.mean(speech**2)) + 1e-9)
    lead, trail = (np.zeros(int(s * RATE), np.float32) for s in (line.lead_s, line.trail_s))
    heard = np.concatenate([lead, speech, trail])
    if line.snr_db is not None:
        heard = heard + noise(len(heard), line.noise, rng) * 10 ** (-line.snr_db / 20)
    heard = in_band(heard) * 10 ** (line.level_db / 20)
    if line.clip < 1.0:
        top = line.clip * np.abs(heard).max()
        heard = np.clip(heard, -top, top)
    return mulaw(heard)


def only_noise(rng: np.random.Generator) -> np.ndarray:
    """0.4 to 6 s without speech: noise of any level, at times with knocks and breaths, at times nothing."""
    samples = int(rng.uniform(0.4, 6) * RATE)
    if rng.random() < 0.1:
        return np.zeros(samples, np.float32)
    heard = noise(samples, str(rng.choice(NOISES)), rng) * 10 ** (rng.uniform(-70, -18) / 20)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 5)):
            knock(heard, rng)
    return mulaw(in_band(heard))


def knock(heard: np.ndarray, rng: np.random.Generator) -> None:
    """Adds a short decaying burst somewhere, in place."""
    at = int(rng.integers(len(heard)))
    length = min(len(heard) - at, int(rng.integers(50, 2500)))
    burst = noise(length, str(rng.choice(NOISES[:3])), rng) * np.exp(-np.arange(length) / max(1, length) * 4)
    heard[at : at + length] += burst * 10 ** (rng.uniform(-35, -14) / 20)


def noise(samples: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Noise of RMS 1."""
    white = rng.standard_normal(samples + 16).astype(np.float32)
    if kind == "white":
        return white[:samples]
    spectrum = np.fft.rfft(white)
    hertz = np.fft.rfftfreq(len(white), 1 / RATE)
    if kind == "pink":
        spectrum = spectrum / np.sqrt(np.maximum(hertz, 40))
    elif kind == "brown":
        spectrum = spectrum / np.maximum(hertz, 60)
    else:
        spectrum = spectrum * 0.02
        mains = float(rng.choice([50, 60, 100, 120]))
        for harmonic in range(1, 12):
            at = int(harmonic * mains * len(white) / RATE)
            if at < len(spectrum):
                spectrum[at] += len(white) * 0.1 * rng.random()
    shaped = np.fft.irfft(spectrum, len(white))[:samples]
    return (shaped / (shaped.std() + 1e-9)).astype(np.float32)


def in_band(heard: np.ndarray) -> np.ndarray:
    """The telephone band, with gentle edges."""
    spectrum = np.fft.rfft(heard)
    hertz = np.fft.rfftfreq(len(heard), 1 / RATE)
    gain = 1 / np.sqrt(1 + (LOW_HZ / np.maximum(hertz, 1)) ** 8) / np.sqrt(1 + (hertz / HIGH_HZ) ** 16)
    return np.fft.irfft(spectrum * gain, len(heard)).astype(np.float32)


def mulaw(heard: np.ndarray) -> np.ndarray:
    """There and back through 8-bit mu-law (the continuous curve, 255 levels)."""
    heard = np.clip(heard, -1, 1)
    companded = np.sign(heard) * np.log1p(255 * np.abs(heard)) / np.log(256)
    levels = np.round((companded + 1) * 127.5) / 127.5 - 1
    return (np.sign(levels) * (256 ** np.abs(levels) - 1) / 255).astype(np.float32)


def for_whisper(heard: np.ndarray) -> np.ndarray:
    """16 kHz, the rate Whisper's features are made from."""
    return soxr.resample(heard, RATE, 2 * RATE, "HQ").astype(np.float32)
