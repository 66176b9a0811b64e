"""What callers of a load test cost: share of a core per call, and how late they are, by calls in one process.

    .venv/bin/python -m scripts.bench.load_cost [--calls 10,25,50,100] [--hold 10] [--frames] [--json]

One process of callers phones a bare server (``bare_server``) in a process of its own. On a machine that does
other things the latenesses say nothing, and the CPU too much: caches are cold at every frame. ``--frames``
measures only what a frame costs in the process: a hundred callers that hear a voice half of the time, their
frames written as WebSocket frames to a socket that takes all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from scripts.bench import report
from scripts.bench.servers import ROOT, end, told_url
from voicebot.proof.loadtest.figures import StepFigures
from voicebot.proof.loadtest.mix import read_mix
from voicebot.proof.loadtest.plan import LoadStep
from voicebot.proof.loadtest.preparing import prepare
from voicebot.proof.loadtest.run import Beat, LoadRun, run
from voicebot.proof.simulation.caller import SyntheticCaller
from voicebot.proof.simulation.clips import tone
from voicebot.proof.simulation.leg import Line
from voicebot.proof.simulation.metronome import SLOTS, Metronome
from voicebot.proof.simulation.sockets import Outbox
from voicebot.proof.simulation.wire import Outgoing

HEAD = (
    "calls",
    "core per call",
    "busiest core",
    "late p50",
    "late p99",
    "worst",
    "later than a frame",
    "turns",
)


class _Silent:
    def says(self, text: str) -> None:
        print(text, file=sys.stderr)

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        """Nothing."""

    def step(self, figures: StepFigures) -> None:
        print(f"{figures.calls}: {figures.generator}", file=sys.stderr)


def measure(calls: list[int], hold_s: float) -> list[StepFigures]:
    """One step for each number of calls."""
    command = [sys.executable, "-m", "scripts.bench.bare_server"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        url = told_url(process, "the bare server")
        with tempfile.TemporaryDirectory() as cache:
            load = LoadRun(
                url=url,
                steps=[LoadStep(count, hold_s) for count in calls],
                kinds=read_mix(ROOT / "recordings" / "load" / "mix.yaml"),
                lines=ROOT / "recordings" / "lines",
                cache=Path(cache),
                processes=1,
            )
            return asyncio.run(run(load, _Silent()))
    finally:
        end(process)


class _Taker:
    """A socket that takes everything at once."""

    def __init__(self) -> None:
        self.protocol = ClientProtocol(parse_uri("ws://127.0.0.1/x"))
        self.protocol.state = State.OPEN
        self.transport = self

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.taken = sum(len(part) for part in parts)


class _Voice:
    """Three seconds of a voice, three of silence."""

    def __init__(self) -> None:
        self._frames = 0

    def next_frame(self) -> bytes:
        self._frames += 1
        return _HUM if self._frames // 150 % 2 else b""


_HUM = tone(20, 220, level=0.3)


def frames(calls: int = 100, each: int = 1000) -> float:
    """Microseconds of CPU per frame."""
    with tempfile.TemporaryDirectory() as cache:
        kinds = read_mix(ROOT / "recordings" / "load" / "mix.yaml")[:1]
        lines = ROOT / "recordings" / "lines"
        (caller,) = asyncio.run(prepare(kinds, lines=lines, texts=None, cache=Path(cache)))
    metronome = Metronome()
    for _ in range(calls):
        line = Line(SyntheticCaller(caller.script, caller.lines, deaf=True), metronome.began_s())
        line.sound = _Voice()
        line.listeners.append(_spoken())
        metronome.add(line)
    spent = time.process_time()
    for beat in range(SLOTS * each):
        metronome.beat(beat, time.monotonic())
    return (time.process_time() - spent) / (calls * each) * 1e6


def _spoken() -> Callable[[bytes], None]:
    out = Outbox(_Taker())
    messages = Outgoing(account_sid="AC1", call_sid="CA1", stream_sid="MZ1")
    return lambda frame: out.put(messages.media(frame, 20))


def row(step: StepFigures) -> list[str]:
    """A step for the table."""
    own = step.generator
    return [
        str(step.calls),
        f"{own['core_per_call']:.2%}",
        f"{own['busiest_core']:.0%}",
        *(f"{own[name]:.1f}" for name in ("late_p50_ms", "late_p99_ms", "late_worst_ms")),
        f"{own['later_than_a_frame']:.2%}",
        str(step.turns),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", default="10,25,50,100")
    parser.add_argument("--hold", type=float, default=10.0)
    parser.add_argument("--frames", action="store_true", help="only what a frame costs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.frames:
        print(json.dumps({"us_per_frame": round(frames(), 2)}))
        return
    steps = measure([int(n) for n in options.calls.split(",")], options.hold)
    if options.json:
        print(json.dumps([step.as_dict() for step in steps], indent=1))
    else:
        report.print_table("Callers in one process", HEAD, [row(step) for step in steps])


if __name__ == "__main__":
    main()
