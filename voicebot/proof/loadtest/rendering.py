"""``python -m voicebot.proof.loadtest.rendering``: speaks callers' lines with eSpeak NG, in its own process.

One JSON document on stdin, ``{"voice": "en-us+f3", "lines": {"name": "words", ...}}``; on stdout one line of
JSON, ``{"lines": {"name": base64 of mu-law}}`` or ``{"error": "..."}``.
"""

from __future__ import annotations

import base64
import json
import sys

import numpy as np

from voicebot.audio.engines.espeak import EspeakEngine
from voicebot.audio.engines.types import EngineUnavailable, SpeechChunk
from voicebot.audio.mulaw import RATE_HZ, encode
from voicebot.proof.simulation.sounds import at_level

LEVEL_DBFS = -22.0
"""Of the recorded lines' loudest 100 ms, near enough."""
PAD_MS = 120


def main() -> int:
    """Speaks all lines."""
    asked = json.loads(sys.stdin.read())
    try:
        engine = EspeakEngine(asked["voice"])
    except EngineUnavailable as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    spoken = {name: base64.b64encode(_said(engine, text)).decode() for name, text in asked["lines"].items()}
    sys.stdout.write(json.dumps({"lines": spoken}) + "\n")
    return 0


def _said(engine: EspeakEngine, text: str) -> bytes:
    pieces: list[bytes] = []

    def take(chunk: SpeechChunk) -> bool:
        pieces.append(chunk.audio)
        return True

    engine.say(text, RATE_HZ, take)
    pad = np.zeros(PAD_MS * RATE_HZ // 1000, np.int16)
    pcm = np.frombuffer(b"".join(pieces), np.int16)
    return encode(np.concatenate([pad, at_level(pcm, LEVEL_DBFS), pad]))


if __name__ == "__main__":
    sys.exit(main())
