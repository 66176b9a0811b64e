"""How fast recorded calls run again in virtual time: seconds of calls per second, and per second of a core.

    .venv/bin/python -m scripts.bench.replay                    # the samples, today's engines
    .venv/bin/python -m scripts.bench.replay --engines recorded
    .venv/bin/python -m scripts.bench.replay recordings/samples/0*.vbrec --json

Each call is run once in one process; loading (database, deployment, models) is told apart. The CPU time is of
this process alone: Postgres and the voice's host come on top, as the clock shows on a quiet machine. And what
the recorder costs a call: CPU time of placing, packing and sealing a minute of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LOGURU_LEVEL", "ERROR")

import numpy as np

from voicebot.audio.recording.wirelog import Message, What
from voicebot.audio.recording.writer import Recorder
from voicebot.core.settings import load_settings
from voicebot.proof.replay.finding import find, names_of
from voicebot.proof.replay.quiet import quietly
from voicebot.proof.replay.run import Options, Replayer
from voicebot.proof.replay.samples import DAY

MINUTE = 3000  # frames


def replays(names: list[str], engines: str) -> dict[str, Any]:
    """The figures of one run."""
    settings = load_settings()
    calls = [asyncio.run(find(name, settings)) for name in names]
    began, cpu = time.monotonic(), time.process_time()
    options = Options(engines="recorded" if engines == "recorded" else "local")
    speeds: list[float] = []
    cores: list[float] = []
    with Replayer.open(options, settings, DAY) as replayer:
        loaded = time.monotonic() - began
        for call in calls:
            cpu = time.process_time()
            one = replayer.replay(call)
            cores.append(one.virtual_s / (time.process_time() - cpu))
            speeds.append(one.virtual_s / one.real_s)
            print(f"{one.name:28} {one.virtual_s:6.1f} s  {speeds[-1]:5.1f}x  {cores[-1]:5.1f}x of a core")
    return {
        "engines": engines,
        "calls": len(calls),
        "load_s": round(loaded, 2),
        "median_x": round(median(speeds), 1),
        "slowest_x": round(min(speeds), 1),
        "median_x_of_a_core": round(median(cores), 1),
    }


def recorder_cost() -> dict[str, Any]:
    """What a minute costs, with a voice on both sides half of the time."""
    with tempfile.TemporaryDirectory() as folder:
        made = Recorder(Path(folder) / "x", bytes(32), "bench")
        cpu = time.process_time()
        asyncio.run(_minute(made))
        took = time.process_time() - cpu
        size = made.audio_path.stat().st_size + made.events_path.stat().st_size
    return {"cpu_ms_per_minute": round(took * 1000, 1), "kb_per_minute": round(size / 1000)}


async def _minute(made: Recorder) -> None:
    voices = np.random.default_rng(1).normal(0, 25, (MINUTE, 160)).astype(np.int8).view(np.uint8)
    silence = bytes([0xFF]) * 160
    for number in range(MINUTE):
        speaking = number // 100 % 2 == 0
        voice = voices[number].tobytes()
        made.caller(voice if speaking else silence, number * 20)
        made.message(Message(What.MEDIA, number * 20 + 33.0, number, number * 20, 160))
        if number % 5 == 0 and not speaking:
            made.bot(voice * 5, number * 20)
    await made.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("calls", nargs="*", default=["recordings/samples"])
    parser.add_argument("--engines", choices=("local", "recorded"), default="local")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quietly("bench")
    figures = {**replays(names_of(options.calls), options.engines), "recorder": recorder_cost()}
    print(json.dumps(figures, indent=2) if options.json else figures)


if __name__ == "__main__":
    main()
