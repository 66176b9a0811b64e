"""What a telephone line carries beside speech: hum, music, tones, noises, babble; and what it does to speech.

Every maker gives 8 kHz int16 mono, and the same seed gives the same samples. ``level_dbfs`` is the RMS of the
loudest 100 ms against full scale (a square wave of full amplitude is 0 dBFS): for steady sounds the RMS of
all, for tones with pauses and single noises that of the sounding part. A person on the phone is at about
-26 dBFS, a quiet line below -60.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import soxr

RATE_HZ = 8000
Pcm = npt.NDArray[np.int16]
_Wave = npt.NDArray[np.float64]
_WINDOW = 800  # samples over which a level is taken: 100 ms


def level_of(pcm: Pcm) -> float:
    """RMS of the loudest 100 ms, dBFS; -inf for silence and for nothing."""
    return _level(pcm.astype(np.float64) / 32768)


def at_level(pcm: Pcm, level_dbfs: float) -> Pcm:
    """The same sound at another level. Peaks beyond full scale are clipped. Silence stays silence."""
    return _pcm(pcm.astype(np.float64), level_dbfs)


def white_noise(ms: int, *, level_dbfs: float = -45.0, seed: int = 0) -> Pcm:
    """All frequencies alike: a hiss."""
    return _pcm(np.random.default_rng(seed).normal(size=ms * 8), level_dbfs)


def pink_noise(ms: int, *, level_dbfs: float = -45.0, seed: int = 0) -> Pcm:
    """3 dB less with every octave (from 50 Hz on): rain, a fan, traffic far away."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=ms * 8))
    hertz = np.fft.rfftfreq(ms * 8, 1 / RATE_HZ)
    spectrum *= np.where(hertz < 50, 0.0, 1 / np.sqrt(np.maximum(hertz, 50)))
    return _pcm(np.fft.irfft(spectrum, ms * 8), level_dbfs)


def mains_hum(ms: int, *, hertz: float = 50.0, level_dbfs: float = -40.0, seed: int = 0) -> Pcm:
    """The mains (50 or 60 Hz) and its harmonics, odd ones stronger, as a bad power supply leaks them."""
    rng, t = np.random.default_rng(seed), np.arange(ms * 8) / RATE_HZ
    wave: _Wave = np.zeros(len(t))
    for n in range(1, 9):
        share = 1 / n if n % 2 else 0.3 / n
        wave += share * np.sin(2 * np.pi * n * hertz * t + rng.uniform(0, 2 * np.pi))
    return _pcm(wave, level_dbfs)


def hold_music(ms: int, *, level_dbfs: float = -28.0, seed: int = 0) -> Pcm:
    """Chords of four voices, a new one every two seconds, under a melody of eighth notes at 120 a minute."""
    rng = np.random.default_rng(seed)
    wave: _Wave = np.zeros(ms * 8)
    for bar, at in enumerate(range(0, ms * 8, 2 * RATE_HZ)):
        root = (0, 9, 5, 7)[bar % 4]  # C, A minor, F, G: semitones over C
        third = 3 if root == 9 else 4
        for semitone in (root - 12, root, root + third, root + 7):
            _add(wave, at, 0.5 * _note(semitone, 2.0))
        for eighth in range(8):
            semitone = root + 12 + int(rng.choice((0, third, 7, 12)))
            _add(wave, at + eighth * RATE_HZ // 4, _note(semitone, 0.25))
    return _pcm(wave, level_dbfs)


def fax_calling(ms: int, *, level_dbfs: float = -20.0) -> Pcm:
    """A calling fax machine: 1100 Hz for half a second, three seconds of silence (ITU-T T.30, CNG)."""
    t = np.arange(ms * 8)
    on = t % int(3.5 * RATE_HZ) < RATE_HZ // 2
    return _pcm(np.sin(2 * np.pi * 1100 * t / RATE_HZ) * on, level_dbfs)


def answer_tone(ms: int, *, level_dbfs: float = -20.0, reversals: bool = True) -> Pcm:
    """A modem or fax that was called: 2100 Hz, with the phase turned every 450 ms (ITU-T V.25)."""
    t = np.arange(ms * 8)
    turned = np.where((t // (450 * 8)) % 2 == 1, -1.0, 1.0) if reversals else 1.0
    return _pcm(np.sin(2 * np.pi * 2100 * t / RATE_HZ) * turned, level_dbfs)


def cough(*, level_dbfs: float = -20.0, seed: int = 0) -> Pcm:
    """One or two bursts of shaped noise with a short voiced part: 400 to 800 ms."""
    rng = np.random.default_rng(seed)
    parts: list[_Wave] = []
    for _ in range(int(rng.integers(1, 3))):
        length = int(rng.integers(200, 320)) * 8
        t = np.arange(length) / RATE_HZ
        burst = _band(rng.normal(size=length), 400, 3000) * np.exp(-t / 0.06)
        pitch = rng.uniform(180, 260)
        throat = sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 6))
        voiced = np.asarray(throat) * np.exp(-(((t - 0.12) / 0.05) ** 2)) * 0.15
        attack = np.minimum(1.0, t / 0.004)
        parts += [(burst / _peak(burst) + voiced) * attack, np.zeros(int(rng.integers(80, 160)) * 8)]
    return _pcm(_at_least(np.concatenate(parts), 400), level_dbfs)


def door_slam(*, level_dbfs: float = -16.0, seed: int = 0) -> Pcm:
    """A thud with most of its power below 300 Hz, a click before it and the room after it: 600 ms."""
    rng, length = np.random.default_rng(seed), 600 * 8
    t = np.arange(length) / RATE_HZ
    thud = _band(rng.normal(size=length), 60, 300) * np.exp(-t / 0.07)
    click = _band(rng.normal(size=length), 800, 3500) * np.exp(-t / 0.006)
    room = _band(rng.normal(size=length), 200, 2000) * np.exp(-t / 0.15)
    return _pcm(thud / _peak(thud) + 0.4 * click / _peak(click) + 0.08 * room / _peak(room), level_dbfs)


def key_clicks(ms: int, *, a_second: float = 6.0, level_dbfs: float = -30.0, seed: int = 0) -> Pcm:
    """Typing: clicks of some 10 ms at uneven times, ``a_second`` of them on average."""
    rng = np.random.default_rng(seed)
    wave: _Wave = np.zeros(ms * 8)
    at = int(rng.uniform(0, 0.5 / a_second) * RATE_HZ)
    while at < ms * 8:
        length = int(rng.integers(6, 16)) * 8
        click = _band(rng.normal(size=length), 1000, 3800) * np.exp(-np.arange(length) / 24)
        _add(wave, at, click / _peak(click) * rng.uniform(0.5, 1.0))
        at += max(320, int(rng.gamma(4.0, 1 / (4.0 * a_second)) * RATE_HZ))
    return _pcm(wave, level_dbfs)


def babble(
    clips: Sequence[Pcm], ms: int, *, voices: int = 4, level_dbfs: float = -35.0, seed: int = 0
) -> Pcm:
    """A television or people in the room: ``voices`` at once, each saying clips in random order.

    ``voices=1`` is one other speaker.

    Raises:
        ValueError: no clip with sound in it.
    """
    loud = [clip for clip in clips if clip.size and np.any(clip)]
    if not loud:
        raise ValueError("babble is made of speech: give it at least one clip with sound in it")
    rng = np.random.default_rng(seed)
    wave: _Wave = np.zeros(ms * 8)
    for _ in range(voices):
        first = loud[int(rng.integers(len(loud)))]
        at = -int(rng.integers(len(first)))  # somebody is in the middle of a sentence
        while at < len(wave):
            clip = loud[int(rng.integers(len(loud)))] if at >= 0 else first
            sound = clip.astype(np.float64) / 32768
            sound /= 10 ** (_level(sound) / 20)
            start = max(0, -at)
            _add(wave, at + start, sound[start:])
            at += len(clip) + int(rng.uniform(0.05, 0.4) * RATE_HZ)
    return _pcm(wave, level_dbfs)


def mixed(first: Pcm, second: Pcm, *, at_ms: int = 0, gain_db: float = 0.0) -> Pcm:
    """Both at once, ``second`` from ``at_ms`` on and made louder by ``gain_db``; as long as the longer one.

    Two speakers; speech over music; with ``gain_db=-20`` and the bot's own speech as ``second``, its echo.
    """
    wave: _Wave = np.zeros(max(len(first), at_ms * 8 + len(second)))
    wave[: len(first)] = first
    wave[at_ms * 8 : at_ms * 8 + len(second)] += second * 10 ** (gain_db / 20)
    return _whole(wave)


def noisy(speech: Pcm, noise: Pcm, *, snr_db: float) -> Pcm:
    """Speech with noise (repeated to fill) ``snr_db`` below it; as long as the speech."""
    under = at_level(np.resize(noise, len(speech)), level_of(speech) - snr_db)
    return mixed(speech, under)


def clipped(pcm: Pcm, *, gain_db: float = 20.0) -> Pcm:
    """Driven past full scale, as by a shouting caller or a hot headset."""
    return _whole(pcm.astype(np.float64) * 10 ** (gain_db / 20))


def skewed(pcm: Pcm, *, ppm: float) -> Pcm:
    """Played by a clock that is ``ppm`` parts in a million slow: so much longer, and lower in pitch."""
    return _whole(soxr.resample(pcm.astype(np.float64), RATE_HZ, RATE_HZ * (1 + ppm * 1e-6)))


def _note(semitone: float, seconds: float) -> _Wave:
    """A plucked note, ``semitone`` over middle C."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    hertz = 261.63 * 2 ** (semitone / 12)
    tone = sum(np.sin(2 * np.pi * k * hertz * t) / k**1.5 for k in range(1, 5))
    return np.asarray(tone) * np.minimum(1, t / 0.01) * np.exp(-t / (seconds * 0.8))


def _band(wave: _Wave, low_hz: float, high_hz: float) -> _Wave:
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    spectrum[(hertz < low_hz) | (hertz > high_hz)] = 0
    return np.fft.irfft(spectrum, len(wave))


def _add(wave: _Wave, at: int, part: _Wave) -> None:
    room = wave[at : at + len(part)]
    room += part[: len(room)]


def _at_least(wave: _Wave, ms: int) -> _Wave:
    return wave if len(wave) >= ms * 8 else np.pad(wave, (0, ms * 8 - len(wave)))


def _peak(wave: _Wave) -> float:
    return float(np.abs(wave).max()) or 1.0


def _level(wave: _Wave) -> float:
    if not wave.size or not np.any(wave):
        return float("-inf")
    window = min(_WINDOW, len(wave))
    power = np.concatenate(([0.0], np.cumsum(wave**2)))
    return float(10 * np.log10(((power[window:] - power[:-window]) / window).max()))


def _pcm(wave: _Wave, level_dbfs: float) -> Pcm:
    now = _level(wave)
    if now == float("-inf"):
        return np.zeros(len(wave), np.int16)
    return _whole(wave * 10 ** ((level_dbfs - now) / 20) * 32768)


def _whole(wave: _Wave) -> Pcm:
    return np.clip(np.round(wave), -32768, 32767).astype(np.int16)
