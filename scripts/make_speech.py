"""Makes the callers' recorded lines under recordings/lines/ from recordings/lines/texts.yaml.

The voices are flite's (slt, rms, awb, kal16) and eSpeak NG's, and what comes out is what a
phone line would carry: 300-3400 Hz, 8 kHz, mu-law, speech at -20 dBFS, if asked with noise
below it. The same input gives the same bytes, so a changed file in git is a changed line.

    .venv/bin/python scripts/make_speech.py            # all lines, and lines.yaml
    .venv/bin/python scripts/make_speech.py --check    # exit 1 if git holds something else
    .venv/bin/python scripts/make_speech.py --snr 10 --out DIR   # the same lines on a bad line

Needs the programs `flite` and `espeak-ng` (only here: no test and no call needs them).
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import yaml

from voicebot.audio import mulaw

ROOT = Path(__file__).resolve().parent.parent
LINES = ROOT / "recordings" / "lines"
RATE_HZ = 8000
LEVEL_DBFS = -20.0  # RMS of the voiced part; ITU-T P.56 puts telephone speech at about -26 to -18
EDGE_MS = 40  # silence left before and after a line
BAND_HZ = (300.0, 3400.0)

# What flite would spell out letter by letter.
PHONES = {"mm-hm": "pau m m hh m m pau", "mm": "pau m m m pau"}

Samples = np.ndarray  # float64 in -1..1


class SpeechError(Exception):
    """A line cannot be made; the message says which and what is missing."""


@dataclass(frozen=True)
class Line:
    """One recorded line. ``text`` may hold ``|`` (a pause; two make a long one), else is what is said."""

    voice: str
    name: str
    text: str


def read_texts(path: Path) -> tuple[dict[str, dict], list[Line]]:
    """The voices (program, name, rate, pause) and the lines of ``texts.yaml``.

    Raises:
        SpeechError: a voice is spoken but not declared.
    """
    document = yaml.safe_load(path.read_text())
    voices: dict[str, dict] = document["voices"]
    lines = []
    for voice, texts in document["lines"].items():
        if voice not in voices:
            raise SpeechError(f"{path}: voice {voice!r} has lines but is not under `voices:`")
        lines += [Line(voice, name, str(text)) for name, text in texts.items()]
    return voices, lines


def synthesise(voice: dict, text: str, *, stretch: float) -> Samples:
    """One phrase by flite or eSpeak NG, at 8 kHz, edges trimmed."""
    phones = PHONES.get(text.rstrip("."))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "phrase.wav"
        if voice["program"] == "flite":
            command = ["flite", "-voice", voice["name"], "--setf", f"duration_stretch={stretch}"]
            command += ["-p", phones] if phones else ["-t", text]
            command += ["-o", str(out)]
        else:
            words_a_minute = round(voice.get("words_a_minute", 160) / stretch)
            command = ["espeak-ng", "-v", voice["name"], "-s", str(words_a_minute), "-w", str(out), text]
        if shutil.which(command[0]) is None:
            raise SpeechError(f"{command[0]} is not installed: apt-get install flite espeak-ng")
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(out)) as file:
            rate_hz = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0
    return trim(soxr.resample(pcm, rate_hz, RATE_HZ, quality="VHQ"))


def trim(speech: Samples, threshold: float = 0.01) -> Samples:
    """Without the silence before and after (anything 40 dB below the peak)."""
    loud = np.flatnonzero(np.abs(speech) > threshold * np.max(np.abs(speech)))
    return speech[loud[0] : loud[-1] + 1]


def telephone_band(speech: Samples) -> Samples:
    """What a telephone lets through: a raised-cosine band-pass of 300-3400 Hz."""
    spectrum = np.fft.rfft(speech)
    hz = np.fft.rfftfreq(len(speech), 1 / RATE_HZ)
    low = np.clip((hz - BAND_HZ[0] / 2) / (BAND_HZ[0] / 2), 0, 1)
    high = np.clip((RATE_HZ / 2 - hz) / (RATE_HZ / 2 - BAND_HZ[1]), 0, 1)
    gain = np.sin(low * np.pi / 2) ** 2 * np.sin(high * np.pi / 2) ** 2
    return np.fft.irfft(spectrum * gain, len(speech))


def level(speech: Samples) -> Samples:
    """Brought to LEVEL_DBFS, measured over the 20 ms frames that hold speech; peaks limited."""
    frames = speech[: len(speech) // 160 * 160].reshape(-1, 160)
    power = np.mean(frames**2, axis=1)
    voiced = power[power > np.max(power) * 1e-3]
    scaled = speech * 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(voiced))
    return np.clip(scaled, -0.98, 0.98)


def silence(ms: float) -> Samples:
    return np.zeros(round(ms * RATE_HZ / 1000))


def say(voice: dict, line: Line) -> Samples:
    """A whole line: its phrases with the voice's pauses between, on a telephone, at level."""
    digits = line.name.startswith(("order_", "postcode_"))
    stretch = voice.get("digits_stretch" if digits else "stretch", 1.0)
    parts: list[Samples] = []
    for nth, phrase in enumerate(line.text.split("|")):
        if nth:
            parts.append(silence(voice.get("pause_ms", 300)))
        if phrase.strip():
            parts.append(level(telephone_band(synthesise(voice, phrase.strip(), stretch=stretch))))
    return np.concatenate([silence(EDGE_MS), *parts, silence(EDGE_MS)])


def cough() -> Samples:
    """Two bursts of noise, steep at the front, as loud as speech; no voice is in it."""
    random = np.random.default_rng(zlib.crc32(b"cough"))
    parts = [silence(EDGE_MS)]
    for length_ms, gain in ((220, 1.0), (60, 0.0), (160, 0.7)):
        count = round(length_ms * RATE_HZ / 1000)
        envelope = np.minimum(np.arange(count) / 40, 1) * np.exp(-np.arange(count) / (0.35 * count))
        parts.append(random.standard_normal(count) * envelope * gain)
    burst = telephone_band(np.concatenate(parts))
    return np.concatenate([level(burst), silence(EDGE_MS)])


def knock() -> Samples:
    """Three short thumps, like a phone put down on a table."""
    random = np.random.default_rng(zlib.crc32(b"knock"))
    time_s = np.arange(round(0.12 * RATE_HZ)) / RATE_HZ
    thump = (np.sin(2 * np.pi * 340 * time_s) + 0.4 * random.standard_normal(len(time_s))) * np.exp(
        -time_s / 0.02
    )
    return np.concatenate([silence(EDGE_MS), level(np.concatenate([thump, silence(90)] * 3))])


NOISES = {"cough": cough, "knock": knock}


def with_noise(speech: Samples, snr_db: float, seed: str) -> Samples:
    """Pink-like line noise ``snr_db`` below the speech level, the same each time for one ``seed``."""
    random = np.random.default_rng(zlib.crc32(seed.encode()))
    white = np.fft.rfft(random.standard_normal(len(speech)))
    hz = np.fft.rfftfreq(len(speech), 1 / RATE_HZ)
    noise = telephone_band(np.fft.irfft(white / np.sqrt(np.maximum(hz, 100)), len(speech)))
    noise *= 10 ** ((LEVEL_DBFS - snr_db) / 20) / np.sqrt(np.mean(noise**2))
    return np.clip(speech + noise, -0.98, 0.98)


def wav_bytes(speech: Samples) -> bytes:
    """A mu-law WAV file (format 7, one channel, 8 kHz)."""
    data = mulaw.encode(np.round(speech * 32767).astype(np.int16))
    fmt = struct.pack("<HHIIHHH", 7, 1, RATE_HZ, RATE_HZ, 1, 8, 0)
    fact = struct.pack("<I", len(data))
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"fact" + struct.pack("<I", 4) + fact
    body += b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def make(texts: Path, snr_db: float | None) -> tuple[dict[Path, bytes], list[dict]]:
    """Every file by its path below recordings/lines/, and the entries of lines.yaml."""
    voices, lines = read_texts(texts)
    files: dict[Path, bytes] = {}
    entries: list[dict] = []

    def add(line: Line, speech: Samples) -> None:
        if snr_db is not None:
            speech = with_noise(speech, snr_db, f"{line.voice}/{line.name}")
        path = Path(line.voice) / f"{line.name}.wav"
        files[path] = wav_bytes(speech)
        text = " ".join(line.text.replace("|", " ").split())
        seconds = round(len(speech) / RATE_HZ, 2)
        entries.append({"name": line.name, "voice": line.voice, "text": text, "seconds": seconds})

    for line in lines:
        add(line, say(voices[line.voice], line))
    for name, noise in NOISES.items():
        add(Line("noise", name, ""), noise())
    return files, entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, default=LINES / "texts.yaml")
    parser.add_argument("--out", type=Path, default=LINES)
    parser.add_argument("--snr", type=float, help="dB of speech over added noise (default: no noise)")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if --out differs")
    options = parser.parse_args()
    try:
        files, entries = make(options.texts, options.snr)
    except SpeechError as error:
        print(f"make_speech: {error}", file=sys.stderr)
        return 2
    head = "# Made by scripts/make_speech.py from texts.yaml: edit that, not this.\n"
    files[Path("lines.yaml")] = (head + yaml.safe_dump(entries, sort_keys=False, width=110)).encode()

    there = {p.relative_to(options.out): p.read_bytes() for p in options.out.glob("*/*.wav")}
    if (options.out / "lines.yaml").exists():
        there[Path("lines.yaml")] = (options.out / "lines.yaml").read_bytes()
    changed = [p for p, data in files.items() if there.get(p) != data]
    gone = sorted(set(there) - set(files))
    if options.check:
        for path in [*changed, *gone]:
            print(f"differs: {path}")
        return 1 if changed or gone else 0
    for path in changed:
        (options.out / path).parent.mkdir(parents=True, exist_ok=True)
        (options.out / path).write_bytes(files[path])
    for path in gone:
        (options.out / path).unlink()
    total = sum(map(len, files.values()))
    print(f"{len(entries)} lines, {total / 1e6:.2f} MB, {len(changed)} written, {len(gone)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
