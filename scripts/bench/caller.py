"""A caller for measurements: says recorded lines by what it hears, and remembers when it said them.

It knows nothing of the bot: a bot is done when it was heard and has then been quiet for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from voicebot.audio import mulaw
from voicebot.proof.simulation.ear import FRAME_BYTES, FRAME_MS

LOUD = 0.01  # RMS of a frame that counts as heard: -40 dBFS, line noise lies far below


@dataclass(frozen=True)
class Step:
    """One line. ``after``: when the bot is done; ``over``: when it has been speaking for a while.

    ``role``: what a scorer makes of it; the caller does not look at it.
    """

    name: str
    ulaw: bytes
    kind: Literal["after", "over"]
    wait_ms: int
    role: str = ""

    @property
    def hesitant(self) -> bool:
        """Whether the line has a long pause in it."""
        return "hesitant" in self.name


@dataclass(frozen=True)
class Said:
    """A line that was said, on the call clock: where its sound begins and ends."""

    step: Step
    start_ms: int
    end_ms: int


@dataclass
class BenchCaller:
    """Holds the phone: one step after the other, then ``done`` is called once the last answer is over.

    When the bot says nothing for ``patience_ms`` after a line, the next step comes all the same.
    """

    steps: list[Step]
    done: Callable[[], None]
    patience_ms: int = 8000
    done_quiet_ms: int = 1500
    said: list[Said] = field(default_factory=list)
    _next: int = 0
    _start_ms: int | None = None
    _since_ms: int = 0  # end of our last line
    _heard_ms: int | None = None  # first and last loud frame since then
    _last_loud_ms: int = 0

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """What the bot says."""
        if np.sqrt(np.mean((mulaw.decode(frame) / 32768.0) ** 2)) > LOUD and at_ms >= self._since_ms:
            if self._heard_ms is None or at_ms - self._last_loud_ms > self.done_quiet_ms:
                self._heard_ms = at_ms
            self._last_loud_ms = at_ms

    def next_frame(self, at_ms: int) -> bytes | None:
        """What the caller says now."""
        if self._start_ms is None and self._next < len(self.steps) and self._due(at_ms):
            self._start_ms = at_ms
        if self._start_ms is None:
            if self._next == len(self.steps) and self._over(at_ms, self.done_quiet_ms):
                self.done()
            return None
        step = self.steps[self._next]
        offset = (at_ms - self._start_ms) * 8
        if offset < len(step.ulaw):
            return step.ulaw[offset : offset + FRAME_BYTES].ljust(FRAME_BYTES, b"\xff")
        first, last = _sounding(step.ulaw)
        self.said.append(Said(step, self._start_ms + first, self._start_ms + last))
        self._start_ms = None
        self._since_ms, self._heard_ms, self._last_loud_ms = at_ms, None, at_ms
        self._next += 1
        return None

    def _due(self, at_ms: int) -> bool:
        step = self.steps[self._next]
        if step.kind == "after":
            return self._over(at_ms, step.wait_ms)
        if self._heard_ms is None:
            return at_ms - self._since_ms > self.patience_ms
        return at_ms - self._heard_ms >= step.wait_ms and at_ms - self._last_loud_ms <= 2 * FRAME_MS

    def _over(self, at_ms: int, quiet_ms: int) -> bool:
        if self._heard_ms is None:
            return at_ms - self._since_ms > self.patience_ms
        return at_ms - self._last_loud_ms >= quiet_ms


def _sounding(ulaw: bytes) -> tuple[int, int]:
    """First and last ms of a line in which there is sound."""
    samples = np.abs(mulaw.decode(ulaw).astype(np.int32))
    loud = np.flatnonzero(samples > LOUD * 32768)
    return int(loud[0]) // 8, int(loud[-1]) // 8 + 1
