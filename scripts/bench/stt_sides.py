"""The two sides of ``stt``: callers' lines through voicebot's Whisper or Pipecat's, each in a process.

    python -m scripts.bench.stt_sides voicebot MODEL --calls 8 LINES.json

Reads a JSON list of lines (file, text), speaks them in real time, one after the other on each call, and
prints what was heard, when, and what it cost. ``stt`` starts it; a person need not.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
import soundfile
import soxr

PACKET_MS = 80
PREROLL_MS = 300
PAUSE_MS = 128
"""Silence after which voicebot's listener asks for the words so far."""

TURN_END_MS = 280
"""Silence after which the turn counts as over, for both: less than either bot's median."""

SPEECH_DBFS = -45.0


@dataclass
class Heard:
    """One line. Times in ms after the turn was over (final) and after speech began (first)."""

    file: str
    text: str
    heard: str
    speech_ms: int
    final_ms: float
    first_ms: float | None


class Side(Protocol):
    """A recogniser under test: a turn of one call."""

    async def turn(self, call: int, pcm: bytes, began: int, ended: int) -> tuple[str, float, float | None]:
        """Speaks the line in real time. Returns words, ms to the final, ms to the first partial."""
        ...


def load(path: Path) -> tuple[bytes, int, int]:
    """PCM16 at 8 kHz with silence before and behind; first and last sample (ms) with sound in it."""
    pcm, rate = soundfile.read(path, dtype="float32", always_2d=True)
    speech = soxr.resample(pcm[:, 0], rate, 8000)
    frames = speech[: speech.size // 80 * 80].reshape(-1, 80)
    loud = np.flatnonzero(10 * np.log10((frames**2).mean(axis=1) + 1e-12) > SPEECH_DBFS)
    first, last = (int(loud[0]) * 10, int(loud[-1]) * 10 + 10) if loud.size else (0, len(frames) * 10)
    speech = speech[first * 8 : last * 8]
    padded = np.concatenate([np.zeros(PREROLL_MS * 8), speech, np.zeros(TURN_END_MS * 8)])
    pcm16 = (np.clip(padded, -1, 1) * 32767).astype(np.int16)
    return pcm16.tobytes(), PREROLL_MS, PREROLL_MS + last - first


async def until(start: float, ms: float) -> None:
    """Real time: returns ``ms`` after ``start``."""
    await asyncio.sleep(max(0.0, start + ms / 1000 - time.perf_counter()))


class Voicebot:
    """All calls on one model, fed as the listener feeds it."""

    def __init__(self, model: Path) -> None:
        from voicebot.audio.engines.whisper.engine import WhisperEngine
        from voicebot.audio.engines.work import Workshop

        engine = WhisperEngine(str(model), threads=1)
        engine.warm_up()
        self._transcriber = engine.transcriber(Workshop("whisper", engine.threads, 64))

    async def turn(self, call: int, pcm: bytes, began: int, ended: int) -> tuple[str, float, float | None]:
        """See ``Side.turn``."""
        from voicebot.core.conversation import FREE

        first: list[float] = []

        def partial(transcript: Any) -> None:
            if transcript.text and not first:
                first.append((time.perf_counter() - start) * 1000 - began)

        start = time.perf_counter()
        recognition = await self._transcriber.open(f"call {call}", FREE, partial)
        peek: asyncio.Task[Any] | None = None
        # The pre-roll lies in the past when speech is noticed: 100 ms after it began.
        at = 0
        for fed in range(began + 100, ended + TURN_END_MS + 1, 20):
            await until(start, fed)
            if fed - at >= PACKET_MS or (fed >= ended + PAUSE_MS and peek is None):
                recognition.feed(pcm[at * 16 : fed * 16])
                at = fed
            if fed >= ended + PAUSE_MS and peek is None:
                peek = asyncio.create_task(recognition.peek())
        recognition.feed(pcm[at * 16 :])
        over = time.perf_counter()
        final = await recognition.finish()
        took = (time.perf_counter() - over) * 1000
        if peek is not None:
            await peek
        return final.text, took, first[0] if first else None

    def counts(self) -> dict[str, int]:
        """What the side counted itself."""
        return self._transcriber.report().counts


class Stock:
    """Pipecat's WhisperSTTService as its documents set it up: one for each call.

    In one thing it is made faster: it decodes once. As it comes, it tries up to five higher temperatures when
    the model doubts its words, which a poor model always does.
    """

    def __init__(self, model: Path, calls: int) -> None:
        from loguru import logger
        from pipecat.services.whisper.stt import WhisperSTTService
        from pipecat.transcriptions.language import Language

        logger.remove()
        settings = WhisperSTTService.Settings(model=str(model), language=Language.EN)
        self._services = [
            WhisperSTTService(device="cpu", compute_type="int8", settings=settings) for _ in range(calls)
        ]
        for service in self._services:
            loaded: Any = service._model
            loaded.transcribe = functools.partial(loaded.transcribe, temperature=0.0)

    async def turn(self, call: int, pcm: bytes, began: int, ended: int) -> tuple[str, float, float | None]:
        """See ``Side.turn``."""
        from pipecat.frames.frames import ErrorFrame, TranscriptionFrame

        service = self._services[call]
        start = time.perf_counter()
        await until(start, ended + TURN_END_MS)
        over = time.perf_counter()
        # What SegmentedSTTService hands over at the end of a turn: 16 kHz and half a second of silence.
        wide = soxr.resample(np.frombuffer(pcm, np.int16), 8000, 16000).tobytes() + bytes(16000)
        words = []
        async for frame in service.run_stt(wide):
            if isinstance(frame, ErrorFrame):
                raise RuntimeError(frame.error)
            if isinstance(frame, TranscriptionFrame):
                words.append(frame.text)
        return " ".join(words).strip(), (time.perf_counter() - over) * 1000, None

    def counts(self) -> dict[str, int]:
        """What the side counted itself."""
        return {}


async def speak(side: Side, lines: list[dict[str, str]], calls: int) -> list[Heard]:
    """All lines once; with several calls they are dealt out, each call beginning a little later."""
    heard: list[Heard] = []

    async def call(number: int) -> None:
        await asyncio.sleep(number * 0.37)
        for line in lines[number::calls]:
            pcm, began, ended = load(Path(line["file"]))
            words, final_ms, first_ms = await side.turn(number, pcm, began, ended)
            heard.append(Heard(line["file"], line["text"], words, ended - began, final_ms, first_ms))

    await asyncio.gather(*(call(n) for n in range(calls)))
    return heard


def pss_mb() -> float:
    """Proportional set size of this process."""
    return psutil.Process().memory_full_info().pss / 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["voicebot", "pipecat"])
    parser.add_argument("model", type=Path)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--calls", type=int, default=1)
    options = parser.parse_args()
    lines = json.loads(options.lines.read_text())
    side: Any = Voicebot(options.model) if options.side == "voicebot" else Stock(options.model, options.calls)
    await speak(side, lines[:1], 1)
    highest = 0.0

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, pss_mb())
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    cpu, wall = time.process_time(), time.perf_counter()
    heard = await speak(side, lines, options.calls)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    watching.cancel()
    result = {"heard": [asdict(h) for h in heard], "cpu_s": cpu, "wall_s": wall, "pss_mb": highest}
    json.dump({**result, "counts": side.counts()}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
