"""Made noises are what they say: as long, as loud, at those frequencies; a seed makes the same again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.sounds import Pcm

SPEECH = (np.sin(np.arange(8000) / 8000 * 2 * np.pi * 200) * 8000).astype(np.int16)
OTHER = (np.sin(np.arange(6000) / 8000 * 2 * np.pi * 330) * 3000).astype(np.int16)

STEADY: dict[str, Callable[[float, int], Pcm]] = {
    "white": lambda level, seed: sounds.white_noise(2000, level_dbfs=level, seed=seed),
    "pink": lambda level, seed: sounds.pink_noise(2000, level_dbfs=level, seed=seed),
    "hum": lambda level, seed: sounds.mains_hum(2000, level_dbfs=level, seed=seed),
    "music": lambda level, seed: sounds.hold_music(2000, level_dbfs=level, seed=seed),
    "keys": lambda level, seed: sounds.key_clicks(2000, level_dbfs=level, seed=seed),
    "babble": lambda level, seed: sounds.babble([SPEECH, OTHER], 2000, level_dbfs=level, seed=seed),
    "fax": lambda level, seed: sounds.fax_calling(2000, level_dbfs=level),
    "answer": lambda level, seed: sounds.answer_tone(2000, level_dbfs=level),
}
SEEDED = ("white", "pink", "hum", "music", "keys", "babble")


def spectrum(pcm: Pcm) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and the power at each."""
    return np.fft.rfftfreq(len(pcm), 1 / 8000), np.abs(np.fft.rfft(pcm.astype(float))) ** 2


def share(pcm: Pcm, low: float, high: float) -> float:
    """Of the power, what lies between two frequencies."""
    hertz, power = spectrum(pcm)
    return float(power[(hertz >= low) & (hertz <= high)].sum() / power.sum())


@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize("level", [-50.0, -25.0])
def test_length_and_level_are_as_asked(name: str, level: float) -> None:
    made = STEADY[name](level, 1)
    assert made.dtype == np.int16
    assert made.shape == (16000,)
    assert sounds.level_of(made) == pytest.approx(level, abs=0.2)


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_makes_the_same_again_and_another_seed_does_not(name: str) -> None:
    assert np.array_equal(STEADY[name](-30, 4), STEADY[name](-30, 4))
    assert not np.array_equal(STEADY[name](-30, 4), STEADY[name](-30, 5))


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_hum_lies_on_the_mains_and_its_harmonics(hertz: float) -> None:
    frequencies, power = spectrum(sounds.mains_hum(4000, hertz=hertz))
    on = np.abs(frequencies / hertz - np.round(frequencies / hertz)) * hertz < 2
    assert power[on].sum() / power.sum() > 0.999
    assert frequencies[power.argmax()] == pytest.approx(hertz, abs=0.5)


def test_pink_noise_loses_three_decibels_an_octave_and_white_none() -> None:
    def octaves(pcm: Pcm) -> list[float]:
        hertz, power = spectrum(pcm)
        bands = [(250, 500), (500, 1000), (1000, 2000), (2000, 4000)]
        return [float(power[(hertz >= a) & (hertz < b)].mean()) for a, b in bands]

    pink, white = octaves(sounds.pink_noise(8000)), octaves(sounds.white_noise(8000))
    for wide, narrow in pairwise(pink):
        assert 10 * np.log10(wide / narrow) == pytest.approx(3.0, abs=0.5)
    assert 10 * np.log10(white[0] / white[-1]) == pytest.approx(0.0, abs=0.5)


def test_a_calling_fax_is_1100_hertz_for_half_a_second_of_every_three_and_a_half() -> None:
    made = sounds.fax_calling(7500)
    assert share(made[:4000], 1090, 1110) > 0.99
    assert not made[4000 : int(3.5 * 8000)].any()
    assert made[int(3.5 * 8000) + 10 : 4 * 8000].any()
    assert not made[4 * 8000 : 7 * 8000].any()


def test_an_answering_fax_is_2100_hertz_and_turns_its_phase() -> None:
    made = sounds.answer_tone(2000)
    assert share(made, 2050, 2150) > 0.95
    before, after = made[3600 - 80 : 3600].astype(float), made[3600 : 3600 + 80].astype(float)
    t = np.arange(3600 - 80, 3600 + 80) * 2 * np.pi * 2100 / 8000
    assert np.sign(before @ np.sin(t[:80])) == -np.sign(after @ np.sin(t[80:]))
    assert share(sounds.answer_tone(2000, reversals=False), 2095, 2105) > 0.99


def test_music_is_tones_and_moves() -> None:
    made = sounds.hold_music(8000)
    hertz, power = spectrum(made)
    few = np.sort(power)[-400:].sum() / power.sum()
    assert few > 0.75, "1 % of all frequencies hold most of the power; of a noise it is a tenth"
    first, second = spectrum(made[:16000])[1], spectrum(made[16000:32000])[1]
    assert np.corrcoef(first, second)[0, 1] < 0.9, "the chord changes"
    assert hertz[power.argmax()] < 1000


@pytest.mark.parametrize("seed", range(5))
def test_a_cough_is_short_and_wide_and_a_door_is_low(seed: int) -> None:
    cough, door = sounds.cough(seed=seed), sounds.door_slam(seed=seed)
    assert 400 <= len(cough) / 8 <= 1000
    assert len(door) == 600 * 8
    assert sounds.level_of(cough) == pytest.approx(-20, abs=0.5)
    assert sounds.level_of(door) == pytest.approx(-16, abs=0.5)
    assert share(cough, 400, 3000) > 0.7
    assert share(door, 0, 320) > 0.7
    early, late = door[:800].astype(float), door[-800:].astype(float)
    assert (early**2).sum() > 100 * (late**2).sum()


def test_clicks_come_at_their_rate_with_silence_between() -> None:
    made = sounds.key_clicks(20_000, a_second=5.0, seed=3)
    loud = np.flatnonzero(np.abs(made.reshape(-1, 80)).max(axis=1) > 0)
    clicks = 1 + int((np.diff(loud) > 1).sum())
    assert 70 <= clicks <= 130
    assert (made == 0).mean() > 0.5


def test_babble_is_made_of_its_clips_and_needs_one() -> None:
    made = sounds.babble([SPEECH, OTHER], 3000, voices=3)
    assert share(made, 150, 400) > 0.9
    assert np.abs(made.reshape(-1, 800)).max(axis=1).min() > 0, "somebody always talks"
    with pytest.raises(ValueError, match="at least one clip"):
        sounds.babble([np.zeros(100, np.int16)], 1000)


def test_two_speakers_are_the_sum_and_an_echo_is_quieter() -> None:
    both = sounds.mixed(SPEECH, OTHER, at_ms=900, gain_db=-20)
    assert len(both) == 900 * 8 + len(OTHER)
    assert np.array_equal(both[:7200], SPEECH[:7200])
    assert np.abs(both[8000:] - OTHER[800:] * 0.1).max() <= 0.5


@pytest.mark.parametrize("snr", [0.0, 15.0])
def test_noise_lies_below_speech_by_the_ratio(snr: float) -> None:
    made = sounds.noisy(SPEECH, sounds.white_noise(300), snr_db=snr)
    rest = (made.astype(int) - SPEECH).astype(np.int16)
    assert len(made) == len(SPEECH)
    assert sounds.level_of(SPEECH) - sounds.level_of(rest) == pytest.approx(snr, abs=0.3)


def test_clipping_flattens_peaks_and_keeps_the_sign() -> None:
    made = sounds.clipped(SPEECH, gain_db=20)
    assert (np.abs(made.astype(int)) >= 32767).mean() > 0.5
    assert np.array_equal(np.sign(made), np.sign(SPEECH))


@pytest.mark.parametrize("ppm", [-5000.0, 300.0, 5000.0])
def test_a_slow_clock_makes_longer_and_lower(ppm: float) -> None:
    long = np.tile(SPEECH, 10)
    made = sounds.skewed(long, ppm=ppm)
    assert len(made) == pytest.approx(len(long) * (1 + ppm * 1e-6), abs=2)
    hertz, power = spectrum(np.pad(made, (0, 640_000 - len(made))))
    assert hertz[power.argmax()] == pytest.approx(200 / (1 + ppm * 1e-6), abs=0.03)
    assert sounds.level_of(made) == pytest.approx(sounds.level_of(long), abs=0.2)


def test_silence_has_no_level_and_stays_silent() -> None:
    silence = np.zeros(800, np.int16)
    assert sounds.level_of(silence) == float("-inf")
    assert not sounds.at_level(silence, -10).any()
