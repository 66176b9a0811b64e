"""What a Whisper of a real size would cost, with the demo model's words: for timing where none is to be had.

Weights of OpenAI's shapes that know nothing read each window, too, before the demo model reads it; what they
read is thrown away. Random weights never end a sentence by themselves, so they decode as many tokens as
people say in that time. Both bots pay the same way, each for its own windows and beam; the demo model's own
time comes on top for both.

In voicebot's engine host ``sitecustomize`` puts this in place, from a folder in PYTHONPATH (``host_path``).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.bench.random_whisper import SHAPES, make
from scripts.bench.servers import ROOT

TOKENS_A_SECOND = 4.0
"""A sentence of three seconds has about twelve of OpenAI's tokens."""
AROUND_S = 1.5
"""Of a stock segment: a second before speech and half a second behind it."""
NAME = "BENCH_SHADOW"
_SITE = f"""
import os, sys
if "{NAME}" in os.environ and "voicebot.audio.engines.host" in sys.orig_argv and "whisper" in sys.orig_argv:
    from scripts.bench import shadow
    shadow.install()
"""


@contextmanager
def weights(size: str) -> Iterator[Path]:
    """A folder with random weights of a size (``tiny``, ``base``, ``small``), until the block ends."""
    with TemporaryDirectory(prefix="bench-shadow-") as folder:
        yield make(Path(folder) / size, SHAPES[size])


@contextmanager
def host_path(model: Path) -> Iterator[dict[str, str]]:
    """Settings with which voicebot's Whisper host reads in the shadow of ``model``."""
    with TemporaryDirectory(prefix="bench-site-") as folder:
        (Path(folder) / "sitecustomize.py").write_text(_SITE)
        Path(folder).chmod(0o755)
        yield {NAME: str(model), "PYTHONPATH": os.pathsep.join((folder, str(ROOT)))}


def tokens_of(seconds: float) -> int:
    """How many tokens are said in so much speech."""
    return max(1, round(seconds * TOKENS_A_SECOND))


def install() -> None:
    """Makes every ``WhisperModel`` of this process read with the shadow first. Only in an engine host."""
    from voicebot.audio.engines.whisper import model as module

    folder = Path(os.environ[NAME])
    read, limit = module.WhisperModel.read, module.tokens_for
    here = threading.local()
    making = threading.Lock()
    shadows: list[Any] = []

    def shadow() -> Any:
        with making:
            if not shadows:
                shadows.append(module.WhisperModel(folder, device="cpu"))
        return shadows[0]

    def tokens_for(samples: int) -> int:
        return tokens_of(samples / 8000) if getattr(here, "reading", False) else limit(samples)

    def read_with_shadow(self: Any, windows: Sequence[Any]) -> Any:
        here.reading = True
        try:
            read(shadow(), windows)
        finally:
            here.reading = False
        return read(self, windows)

    module.tokens_for = tokens_for
    module.WhisperModel.read = read_with_shadow  # type: ignore[method-assign]
    print(f"reading in the shadow of {folder.name}", file=sys.stderr, flush=True)
