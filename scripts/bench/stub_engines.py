"""Engines that compute nothing, behind voicebot's own engine hosts: for what the house around them costs.

The processes, their RPC and what travels over it are the real ones: the caller's sound goes to the recogniser
in packets, words come back as they would, speech comes back as sound. Only what is made of it is canned: each
utterance of a call is the next of ``LINES``, its words known as its sound comes in; speech is a hum with a
beat a syllable; every turn is over.

Hosts are started by voicebot and by the stock bot alike; ``sitecustomize`` puts this in place in them, from
a folder in PYTHONPATH (``hosts_path``).
"""

from __future__ import annotations

import os
import sys
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.bench.servers import ROOT

if TYPE_CHECKING:
    from voicebot.audio.engines.hosted import Emit
    from voicebot.audio.engines.types import Transcript
    from voicebot.core.conversation import Expects

LINES = (
    "what time do you open on a saturday",
    "how much do you charge for a delivery",
    "how long do i have to send something back",
    "how long is the warranty if i buy a lamp",
)
"""One after the other, per call."""

WORDS_A_SECOND = 4.5
SPOKEN_A_MINUTE = 175
CHUNK_MS = 100
_BYTES_A_S = 16000
_NAME = "BENCH_STUB_ENGINES"
_SITE = f"""
import os, sys
if "{_NAME}" in os.environ and "voicebot.audio.engines.host" in sys.orig_argv:
    from scripts.bench import stub_engines
    stub_engines.install()
"""


@contextmanager
def hosts_path() -> Iterator[dict[str, str]]:
    """Settings with which engine hosts run these engines, until the block ends."""
    with TemporaryDirectory(prefix="bench-site-") as folder:
        (Path(folder) / "sitecustomize.py").write_text(_SITE)
        Path(folder).chmod(0o755)
        yield {
            _NAME: "1",
            "PYTHONPATH": os.pathsep.join((folder, str(ROOT))),
            "VOICEBOT_STT": "sphinx",
            "VOICEBOT_TTS": "espeak",
        }


def install() -> None:
    """Takes the places of the three engines. Only in an engine host."""
    for module, name, engine in (
        ("sphinx", "SphinxEngine", StubRecogniser),
        ("espeak", "EspeakEngine", StubVoice),
        ("smart_turn", "SmartTurnEngine", StubJudge),
    ):
        path = f"voicebot.audio.engines.{module}"
        stub = types.ModuleType(path)
        setattr(stub, name, engine)
        sys.modules[path] = stub


class StubRecogniser:
    """``RecognitionEngine``: knows what is said before it is."""

    kind = "sphinx"
    model = "stub"
    notes: tuple[str, ...] = ()
    threads = 1

    def __init__(self, *_: Any) -> None:
        self._heard: Counter[str] = Counter()

    def warm_up(self) -> None:
        """Nothing to warm."""

    def open(self, expects: Expects, call: str = "") -> _Decoding:
        """The call's next line."""
        nth = self._heard[call]
        self._heard[call] += 1
        return _Decoding(LINES[nth % len(LINES)])


class _Decoding:
    def __init__(self, line: str) -> None:
        self._words = line.split()
        self._fed = 0
        self._told = 0

    def feed(self, pcm16_8k: bytes) -> Transcript | None:
        self._fed += len(pcm16_8k)
        known = self._known()
        if known == self._told:
            return None
        self._told = known
        return self._transcript(known, final=False)

    def peek(self) -> Transcript:
        return self._transcript(self._known(), final=False)

    def finish(self) -> Transcript:
        return self._transcript(len(self._words), final=True)

    def close(self) -> None:
        """Nothing is held."""

    def _known(self) -> int:
        return min(len(self._words), int(self._fed / _BYTES_A_S * WORDS_A_SECOND))

    def _transcript(self, words: int, *, final: bool) -> Transcript:
        from voicebot.audio.engines.types import Transcript

        text = " ".join(self._words[:words])
        return Transcript(text, final, confidence=0.95 if final else None, audio_ms=self._fed // 16)


class StubVoice:
    """``SpeechEngine``: as long as eSpeak NG would speak, in pieces of 100 ms with the times of words."""

    kind = "espeak"
    model = "stub"
    voice_id = "stub/hum/175"
    notes: tuple[str, ...] = ()
    threads = 1

    def __init__(self, *_: Any) -> None:
        seconds = np.arange(_BYTES_A_S // 2) / 8000
        beat = 0.6 + 0.4 * np.sin(2 * np.pi * 5 * seconds)
        hum = sum(np.sin(2 * np.pi * 180 * n * seconds) / n for n in range(1, 6))
        self._second = (4000 * beat * hum).astype("<i2").tobytes()

    def warm_up(self) -> None:
        """Nothing to warm."""

    def say(self, text: str, rate_hz: int, emit: Emit) -> None:
        """See ``SpeechEngine``; 8 kHz only."""
        from voicebot.audio.engines.types import SpeechChunk, SpokenWord

        assert rate_hz == 8000
        words = text.split()
        each_ms = 60_000 // SPOKEN_A_MINUTE
        times = [SpokenWord(word, n * each_ms, (n + 1) * each_ms) for n, word in enumerate(words)]
        length_ms = len(words) * each_ms
        for at_ms in range(0, length_ms, CHUNK_MS):
            to_ms = min(length_ms, at_ms + CHUNK_MS)
            begin = at_ms % 1000 * 16
            audio = self._second[begin : begin + (to_ms - at_ms) * 16]
            known = tuple(one for one in times if at_ms <= one.start_ms < to_ms)
            if not emit(SpeechChunk(audio, known)):
                return


class StubJudge:
    """``JudgeEngine``: every turn is over."""

    kind = "smart-turn"
    model = "stub"
    notes: tuple[str, ...] = ()
    threads = 1

    def warm_up(self) -> None:
        """Nothing to warm."""

    def probability(self, pcm16_8k: bytes) -> float:
        """Sure, once there was any sound."""
        return 0.95 if pcm16_8k else 0.0
