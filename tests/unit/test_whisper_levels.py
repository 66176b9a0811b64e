"""Where speech begins in level: above the noise of the last half minute, however that is kept."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio.engines.whisper import levels
from voicebot.audio.engines.whisper.levels import Levels

NOISE = [40, 400, 90]
"""RMS of the line, in samples, for half a minute each."""


def _level_dbfs(frame: np.ndarray) -> float:
    scaled = frame.astype(np.float32) / 32768
    scaled -= scaled.mean()
    return float(10 * np.log10(np.mean(scaled**2) + 1e-12))


def test_the_quietest_tenth_of_half_a_minute_is_noise() -> None:
    rng = np.random.default_rng(5)
    line = np.concatenate([rng.normal(0, rms, 30 * 8000) for rms in NOISE]).astype(np.int16)
    heard, loudness = Levels(), list[float]()
    for nth, frame in enumerate(line.reshape(-1, levels.FRAME)):
        heard.feed(frame)
        loudness.append(_level_dbfs(frame))
        if nth % 97 == 0 or nth < 5:
            noise = float(np.percentile(loudness[-1500:], 10))
            limit = min(noise + levels.ABOVE_NOISE_DB, max(loudness) - levels.BELOW_LOUDEST_AT_LEAST_DB)
            expected = max(levels.FLOOR_DBFS, max(loudness) - levels.BELOW_LOUDEST_DB, limit)
            assert heard.threshold_dbfs() == pytest.approx(expected, abs=1e-3)
    assert heard.fed_ms == 90_000


def test_before_any_sound_everything_loud_is_speech() -> None:
    assert Levels().threshold_dbfs() == levels.FLOOR_DBFS
