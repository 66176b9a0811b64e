"""The real Silero model, shared by calls, hears real speech on a telephone line, and keeps calls apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio.hearing import vad
from voicebot.audio.hearing.vad import WINDOW, SharedSilero, level_dbfs, shared_silero
from voicebot.audio.mulaw import decode
from voicebot.audio.speaking.emergency import line
from voicebot.proof.simulation.clips import read_wav

LINES = Path(__file__).parents[2] / "recordings" / "lines"


def noise(seconds: float, level: int = 20) -> np.ndarray:
    """The same every time, whichever tests ran before."""
    return np.random.default_rng(7).normal(0, level, int(seconds * 8000)).astype(np.int16)


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


class Counted(SharedSilero):
    """Counts what it is asked."""

    windows = 0

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def run(self, samples: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.windows += samples.shape[0]
        return super().run(samples, state)


def test_a_silent_line_is_not_asked_about() -> None:
    """After a quarter of a second of quiet, until there is a sound again: noise of a line is one."""
    model = Counted()
    voice = model.voice()
    silent = np.zeros(100 * WINDOW, dtype=np.int16)
    assert probabilities(voice, silent)[8:] == [0.0] * 92
    assert model.windows == 8
    probabilities(voice, noise(20 * WINDOW / 8000, level=50))  # -56 dBFS
    assert model.windows == 28
    probabilities(voice, noise(20 * WINDOW / 8000, level=20))  # -64 dBFS
    assert 28 <= model.windows < 28 + 20, "it rests once it has heard a quarter of a second of it as quiet"


def test_speech_after_silence_is_heard_as_at_once() -> None:
    """However long it rested, and whatever it had heard before."""
    speech = decode(line("recovered").ulaw)
    speech = speech[int(np.argmax(np.abs(speech) > 500)) :]
    quiet = np.zeros(40 * WINDOW, dtype=np.int16)
    fresh, used = shared_silero().voice(), shared_silero().voice()
    probabilities(fresh, quiet)
    assert probabilities(used, np.concatenate((speech, quiet, quiet)))[-1] == 0.0
    assert probabilities(used, speech) == pytest.approx(probabilities(fresh, speech), abs=1e-6)


@pytest.mark.parametrize("voice", ["rms", "awb", "slt"])
@pytest.mark.parametrize("fade_ms", [0, 200, 500])
@pytest.mark.parametrize("silence", [30, 90])
def test_a_soft_beginning_is_heard_as_soon_as_by_a_model_that_never_rests(
    monkeypatch: pytest.MonkeyPatch, voice: str, fade_ms: int, silence: int
) -> None:
    """A word that swells out of silence. From a cleared state its onset came up to six windows later."""
    for name in ("opening_hours", "shipping", "returns"):
        speech = decode(read_wav(LINES / voice / f"{name}.wav"))
        speech = speech[int(np.argmax(np.abs(speech) > 50)) :].astype(float)
        swell = np.linspace(-60, 0, min(fade_ms * 8, speech.size))
        speech[: swell.size] *= 10 ** (swell / 20)
        call = np.concatenate((np.zeros(silence * WINDOW), speech)).astype(np.int16)
        onsets: list[int] = []
        for silent_dbfs in (vad.SILENT_DBFS, -200.0):
            monkeypatch.setattr(vad, "SILENT_DBFS", silent_dbfs)
            heard = probabilities(shared_silero().voice(), call)
            onsets.append(next(n for n in range(len(heard)) if min(heard[n : n + 2]) >= 0.5))
            monkeypatch.undo()
        resting, awake = onsets
        assert resting <= awake + 3, name


def test_a_pause_inside_a_word_is_no_silence() -> None:
    """A line that falls silent for less is judged all the way: the model hears the pause."""
    model = Counted()
    voice = model.voice()
    speech = decode(line("recovered").ulaw)[: 40 * WINDOW]
    probabilities(voice, np.concatenate((speech, np.zeros(6 * WINDOW, dtype=np.int16), speech)))
    assert model.windows == 86


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
