"""Makes the sound that a caller hears who waits for a person: four soft chords, calm, endless when repeated.

    .venv/bin/python scripts/make_hold_sound.py

Additive synthesis only, so it is ours; the same bytes each time. Notes overlap and the last ones ring on into
the beginning, so there is no gap and no click where it starts again. Telephone band: all partials lie between
300 and 3400 Hz, or beside one that does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voicebot.audio.mulaw import encode
from voicebot.audio.speaking.wavefile import SpokenAudio, to_wav

OUT = Path(__file__).parents[1] / "voicebot" / "channels" / "twilio" / "transfer" / "sounds" / "hold.wav"
RATE_HZ = 8000
BAR_S = 4.0
CHORDS = ((60, 64, 67, 71), (57, 60, 64, 67), (65, 69, 72, 76), (67, 71, 74, 77))
"""MIDI numbers: C, A minor, F, G, each with its seventh."""
PEAK = 0.16
"""Of full scale: some 10 dB below the bot's voice."""


def note(number: int, length_s: float) -> np.ndarray:
    """A struck tone with soft overtones that fade faster than it."""
    t = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    hz = 440.0 * 2 ** ((number - 69) / 12)
    partials = sum(
        np.sin(2 * np.pi * hz * k * t) * np.exp(-t * 0.6 * k) / k**1.5 for k in (1, 2, 3, 4) if hz * k < 3400
    )
    return partials * np.minimum(t / 0.02, 1.0) * np.minimum((length_s - t) / 0.4, 1.0)


def hold() -> np.ndarray:
    """One round of it, -1..1."""
    whole = int(len(CHORDS) * BAR_S * RATE_HZ)
    sound = np.zeros(whole)
    for bar, chord in enumerate(CHORDS):
        for beat in range(8):
            one = note(chord[(0, 1, 2, 3, 2, 1, 3, 2)[beat]] + (12 if beat == 6 else 0), 2.8)
            at = int((bar * BAR_S + beat * BAR_S / 8) * RATE_HZ)
            places = np.arange(at, at + one.size) % whole
            sound[places] += one * (1.0 if beat % 4 == 0 else 0.7)
    return sound / np.abs(sound).max() * PEAK


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    samples = np.round(hold() * 32767).astype(np.int16)
    OUT.write_bytes(to_wav(SpokenAudio(encode(samples))))
    print(f"{OUT.name}: {samples.size / RATE_HZ:.0f} s, {OUT.stat().st_size} bytes")
