"""What a recogniser says of its own words, right and wrong ones, as the line gets worse.

    .venv/bin/python -m scripts.bench.unheard [--stt whisper|sphinx] [--lines 8] [--only clean] [--json FILE]

Callers' recorded lines, clean and under noise and babble at several ratios, and noise alone, go through the
demo Whisper and PocketSphinx without endpointing. Beside what was read stands what the listener would know:
confidence, mean log probability, and the ratio of voice to noise. The limits of ``hearing/failure.py`` were
read off this table.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.bench.lines import PHRASES, ROOT, errors, expected, recorded, words
from voicebot.audio import mulaw
from voicebot.audio.engines.sphinx import SphinxEngine
from voicebot.audio.engines.types import Transcript
from voicebot.audio.engines.whisper.model import WhisperModel
from voicebot.audio.engines.whisper.transcriber import WhisperTranscriber
from voicebot.audio.hearing.failure import Heard, judge
from voicebot.audio.hearing.noise import LineNoise
from voicebot.audio.hearing.vad import WINDOW, WINDOW_MS, level_dbfs, shared_silero
from voicebot.core.conversation import Expects
from voicebot.proof.simulation import sounds

Pcm = npt.NDArray[np.int16]
RATIOS_DB = (20, 10, 5, 0, -5)
LEAD_MS = 1500
TRAIL_MS = 300
PREROLL_MS = 300


@dataclass
class Row:
    """One line under one condition."""

    stt: str
    condition: str
    voice: str
    name: str
    words: int
    errors: int
    heard: str
    confidence: float | None
    avg_logprob: float | None
    no_speech_prob: float | None
    dropped: str | None
    snr_db: float | None
    clipped: float
    voiced_ms: int
    verdict: str


def conditions(clips: list[Pcm], seed: int) -> Iterator[tuple[str, Callable[[Pcm], Pcm]]]:
    """Names, and what each does to a line that has silence before and behind."""
    babble = functools.partial(sounds.babble, clips)
    yield "clean", lambda pcm: pcm
    for ratio in RATIOS_DB:
        yield f"pink {ratio} dB", lambda pcm, r=ratio: _under(pcm, sounds.pink_noise, r, seed)
        yield f"babble {ratio} dB", lambda pcm, r=ratio: _under(pcm, babble, r, seed)


def _under(pcm: Pcm, make: Callable[..., Pcm], ratio_db: int, seed: int) -> Pcm:
    level = sounds.level_of(pcm) - ratio_db
    noise = make(len(pcm) // 8 + 1, level_dbfs=level, seed=seed)[: len(pcm)]
    return np.clip(pcm.astype(np.int32) + noise, -32768, 32767).astype(np.int16)


def facts(pcm: Pcm) -> tuple[LineNoise, int]:
    """What the listener knows of the line at the end, and how much of it was voiced."""
    noise, voice, voiced_ms = LineNoise(), shared_silero().voice(), 0
    for at in range(0, len(pcm) - WINDOW, WINDOW):
        window = pcm[at : at + WINDOW]
        probability = voice.probability(window)
        voiced = probability >= 0.5 and level_dbfs(window) >= -55
        noise.push(window, level_dbfs(window), voiced=voiced)
        voiced_ms += WINDOW_MS * voiced
    return noise, voiced_ms


def whisper() -> Callable[[Pcm, Expects], Transcript]:
    """The demo Whisper, decoding at fixed points of the audio."""
    model = WhisperModel(ROOT / "models" / "demo-whisper", device="cpu")

    def read(pcm: Pcm, expects: Expects) -> Transcript:
        async def go() -> Transcript:
            transcriber = WhisperTranscriber(model, None, audio_clock=True)
            recognition = await transcriber.open("bench", expects, lambda _: None)
            for at in range(0, len(pcm), 640):
                recognition.feed(pcm[at : at + 640].tobytes())
            return await recognition.finish()

        return asyncio.run(go())

    return read


def sphinx() -> Callable[[Pcm, Expects], Transcript]:
    """PocketSphinx with the deployment's phrases."""
    engine = SphinxEngine(PHRASES)

    def read(pcm: Pcm, expects: Expects) -> Transcript:
        decoding = engine.open(expects)
        try:
            for at in range(0, len(pcm), 800):
                decoding.feed(pcm[at : at + 800].tobytes())
            return decoding.finish()
        finally:
            decoding.close()

    return read


def measure(stt: str, lines: list[dict[str, Any]], only: str = "") -> list[Row]:
    """Every line under every condition whose name begins with ``only``, through one recogniser."""
    read = whisper() if stt == "whisper" else sphinx()
    rows: list[Row] = []
    clips = [_speech(line) for line in lines]
    for n, (line, speech) in enumerate(zip(lines, clips, strict=True)):
        quiet = np.zeros(LEAD_MS * 8, np.int16), np.zeros(TRAIL_MS * 8, np.int16)
        whole = np.concatenate((quiet[0], speech, quiet[1]))
        for condition, change in conditions([c for m, c in enumerate(clips) if m != n], n):
            if not condition.startswith(only):
                continue
            pcm = mulaw.decode(mulaw.encode(change(whole)))
            rows.append(_row(stt, condition, line, pcm, read))
    return rows


def _speech(line: dict[str, Any]) -> Pcm:
    return mulaw.decode(line["wav"][line["wav"].index(b"data") + 8 :])


def _row(
    stt: str, condition: str, line: dict[str, Any], pcm: Pcm, read: Callable[[Pcm, Expects], Transcript]
) -> Row:
    expects = expected(line["name"])
    noise, voiced_ms = facts(pcm)
    transcript = read(pcm[(LEAD_MS - PREROLL_MS) * 8 :], expects)
    said, heard = words(line["text"], expects), words(transcript.text, expects)
    verdict = judge(Heard.of(transcript, expects, voiced_ms=voiced_ms, line=noise.of_turn()))
    return Row(
        stt=stt,
        condition=condition,
        voice=line["voice"],
        name=line["name"],
        words=len(said),
        errors=errors(said, heard),
        heard=" ".join(heard),
        confidence=transcript.confidence,
        avg_logprob=transcript.avg_logprob,
        no_speech_prob=transcript.no_speech_prob,
        dropped=transcript.dropped,
        snr_db=noise.of_turn().snr_db,
        clipped=noise.of_turn().clipped,
        voiced_ms=voiced_ms,
        verdict="words" if verdict.failure is None else str(verdict.failure),
    )


def show(rows: list[Row]) -> None:
    """A table by condition."""
    head = f"{'condition':15} {'lines':>5} {'WER':>5} {'right':>5} {'snr':>5} {'conf':>5} {'taken':>6} "
    for stt in dict.fromkeys(row.stt for row in rows):
        print(f"\n{stt}\n{head} wrong lines taken / right lines refused / why refused")
        for condition in dict.fromkeys(row.condition for row in rows):
            mine = [r for r in rows if (r.stt, r.condition) == (stt, condition)]
            wrong = [r for r in mine if r.errors > r.words // 2]
            right = [r for r in mine if r.errors == 0]
            snrs = [r.snr_db for r in mine if r.snr_db is not None]
            confidences = [r.confidence for r in mine if r.confidence is not None]
            reasons = sorted({r.verdict for r in mine if r.verdict != "words"})
            print(
                f"{condition:15} {len(mine):5} "
                f"{sum(r.errors for r in mine) / sum(r.words for r in mine):5.2f} "
                f"{len(right):5} {np.median(snrs) if snrs else float('nan'):5.1f} "
                f"{np.median(confidences) if confidences else float('nan'):5.2f} "
                f"{sum(r.verdict == 'words' for r in mine):6}  "
                f"{sum(r.verdict == 'words' for r in wrong)} of {len(wrong)} / "
                f"{sum(r.verdict != 'words' for r in right)} of {len(right)} / {', '.join(reasons)}"
            )


def main(argv: list[str]) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stt", choices=("whisper", "sphinx"), action="append")
    parser.add_argument("--lines", type=int, default=8, help="of each voice")
    parser.add_argument("--only", default="", help="conditions that begin so, e.g. clean")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(argv)
    entries = recorded(set())
    voices = dict.fromkeys(entry["voice"] for entry in entries)
    lines = [e for v in voices for e in _some([e for e in entries if e["voice"] == v], chosen.lines)]
    rows = [row for stt in chosen.stt or ("whisper", "sphinx") for row in measure(stt, lines, chosen.only)]
    show(rows)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0


def _some(entries: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Spread over the list, so that sentences, digits and yes or no are all in it."""
    step = max(1.0, len(entries) / count)
    return [entries[int(n * step)] for n in range(min(count, len(entries)))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
