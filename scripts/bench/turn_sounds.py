"""The answers of ``turns`` as their voice makes them, and what smart-turn thinks of the callers' lines.

The voice is eSpeak NG, made in a process of its own.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from functools import cache

import numpy as np

from scripts.bench import turn_lines
from scripts.bench.servers import ROOT, BenchError
from scripts.bench.turn_figures import OTHERWISE
from voicebot.audio import mulaw
from voicebot.audio.engines.smart_turn import SmartTurnEngine
from voicebot.proof.simulation.matching import KnownSound

AFTER_MS = 300
"""Silence after which the stock bot asks smart-turn: its VAD's stop time of 200 ms, and the 100 ms by which
Silero sees the end late. The lines on which it was measured to wait are those that get less than 0.5 then."""

_SAY = """
import base64, json, sys
from voicebot.audio.engines.espeak import EspeakEngine
engine, made = EspeakEngine(), []
for text in json.load(sys.stdin):
    audio = []
    engine.say(text, 8000, lambda chunk: audio.append(chunk.audio) or True)
    made.append(base64.b64encode(b"".join(audio)).decode())
print(json.dumps(made))
"""


@cache
def answer_sounds() -> dict[str, KnownSound]:
    """First sentence of each canned answer -> its sound; ``otherwise`` answers what nobody understood.

    Raises:
        BenchError: eSpeak NG is not there.
    """
    book = turn_lines.book()
    texts = [first_sentence(str(entry["say"])) for entry in book["answers"]]
    texts.append(first_sentence(book["otherwise"]))
    done = subprocess.run(
        [sys.executable, "-c", _SAY],
        input=json.dumps(texts).encode(),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the answers cannot be spoken: {done.stderr.decode()[-500:]}")
    spoken = [base64.b64decode(one) for one in json.loads(done.stdout)]
    names = [*texts[:-1], OTHERWISE]
    # through mu-law, as both bots send it
    return {
        name: KnownSound.of(mulaw.decode(mulaw.encode(np.frombuffer(pcm, "<i2").astype(np.int16))))
        for name, pcm in zip(names, spoken, strict=True)
    }


def first_sentence(text: str) -> str:
    """Up to the first full stop: what is spoken as one piece by both bots."""
    return re.split(r"(?<=[.?!])\s", text.strip())[0]


@cache
def sounds_done(voice: str, line: str, part: str) -> float:
    """Smart-turn's probability that the line is finished, asked as the stock bot asks. NaN for noises."""
    try:
        pcm = turn_lines.line(voice, line)
    except BenchError:
        return float("nan")
    if part == "paused":
        pcm = turn_lines.with_pause(pcm)
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 0.01 * 32768)
    heard = np.concatenate(
        [np.zeros(4000, np.int16), pcm[: int(loud[-1]) + 1], np.zeros(AFTER_MS * 8, np.int16)]
    )
    return _judge().probability(mulaw.decode(mulaw.encode(heard)).astype("<i2").tobytes())


@cache
def _judge() -> SmartTurnEngine:
    return SmartTurnEngine()
