"""The real Silero model, shared by calls, hears real speech on a telephone line, and keeps calls apart."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio.hearing.vad import WINDOW, SharedSilero, level_dbfs, shared_silero
from voicebot.audio.mulaw import decode
from voicebot.audio.speaking.emergency import line

RNG = np.random.default_rng(7)


def noise(seconds: float, level: int = 20) -> np.ndarray:
    return RNG.normal(0, level, int(seconds * 8000)).astype(np.int16)


def probabilities(voice: object, pcm: np.ndarray) -> list[float]:
    windows = range(0, pcm.size - WINDOW + 1, WINDOW)
    return [voice.probability(pcm[at : at + WINDOW]) for at in windows]  # type: ignore[attr-defined]


def test_speech_is_a_voice_and_line_noise_is_none() -> None:
    speech = decode(line("recovered").ulaw)
    heard = probabilities(shared_silero().voice(), np.concatenate((noise(1), speech, noise(1))))
    assert max(heard[:30]) < 0.3
    assert np.mean([p >= 0.5 for p in heard[32 : 32 + speech.size // WINDOW]]) > 0.6
    assert max(heard[-20:]) < 0.3


def test_soft_speech_is_still_heard_at_once_after_a_minute_of_noise() -> None:
    """Long noise leaves the recurrent state deaf (2 s late here) unless it is cleared now and then."""
    voice = shared_silero().voice()
    probabilities(voice, noise(60, level=2000))
    soft = (decode(line("recovered").ulaw)[320:] * 0.1).astype(np.int16)
    heard = probabilities(voice, soft)
    onset = next(i for i in range(len(heard) - 1) if heard[i] >= 0.5 and heard[i + 1] >= 0.5)
    assert onset <= 8


def test_each_call_has_a_state_of_its_own() -> None:
    pcm = decode(line("one_moment").ulaw)
    alone = probabilities(shared_silero().voice(), pcm)
    one, other = shared_silero().voice(), shared_silero().voice()
    between: list[float] = []
    for at in range(0, pcm.size - WINDOW + 1, WINDOW):
        between.append(one.probability(pcm[at : at + WINDOW]))
        other.probability(noise(WINDOW / 8000, 3000))
    assert between == pytest.approx(alone, abs=1e-6)


def test_the_process_loads_one_session() -> None:
    assert shared_silero() is shared_silero()
    assert isinstance(shared_silero(), SharedSilero)


def test_a_window_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="256"):
        shared_silero().voice().probability(np.zeros(160, dtype=np.int16))


@pytest.mark.parametrize(
    ("window", "dbfs"),
    [
        (np.zeros(256, dtype=np.int16), -100.0),
        (np.full(256, 32767, dtype=np.int16), 0.0),
        (np.full(256, 3277, dtype=np.int16), -20.0),
        (np.full(256, -328, dtype=np.int16), -40.0),
    ],
)
def test_level_is_in_db_below_full_scale(window: np.ndarray, dbfs: float) -> None:
    assert level_dbfs(window) == pytest.approx(dbfs, abs=0.05)
