"""Makes the emergency lines and this package's short test clips, with flite (``apt-get install flite``).

    python scripts/make_lines.py [--voice slt]

Writes ``voicebot/audio/speaking/lines/*.wav``: 8 kHz mu-law, trimmed, with estimated word times. Flite's
voices may be used freely; the files are in git, so nobody else needs the synthesiser.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from voicebot.audio import mulaw
from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.speaking.emergency import FOLDER, LINES
from voicebot.audio.speaking.wavefile import SpokenAudio, to_wav

PEAK = 0.6  # of full scale, about what a person on the phone reaches
QUIET = 0.01


def spoken(text: str, voice: str) -> npt.NDArray[np.int16]:
    """``text`` by flite, at 8 kHz, silence at both ends trimmed to 40 ms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            rate_hz = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    samples = soxr.resample(pcm.astype(np.float64) / 32768, rate_hz, 8000)
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    margin = 320
    samples = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    samples *= PEAK / np.abs(samples).max()
    return (samples * 32767).astype(np.int16)


def word_times(text: str, audio_ms: float) -> tuple[SpokenWord, ...]:
    """Times by the number of characters: flite tells none."""
    scale = audio_ms / len(text)
    words, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        words.append(SpokenWord(word, round(start * scale), round(at * scale)))
    return tuple(words)


def main() -> None:
    """Writes all lines."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--voice", default="slt")
    voice = arguments.parse_args().voice
    FOLDER.mkdir(exist_ok=True)
    for name, text in LINES.items():
        ulaw = mulaw.encode(spoken(text, voice))
        words = word_times(text, len(ulaw) / 8)
        (FOLDER / f"{name}.wav").write_bytes(to_wav(SpokenAudio(ulaw, words, text)))
        print(f"{name}: {len(ulaw) / 8000:.1f} s")


if __name__ == "__main__":
    main()
