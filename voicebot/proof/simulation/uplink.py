"""The way of the caller's audio to the server: on time, jittery, lossy, or in bursts after a gap.

Pure. Field note behind the bursts: gaps of up to 233 ms without lost audio were seen at TwiML boundaries.
"""

from __future__ import annotations

import random
from collections import deque

from .ear import FRAME_MS
from .options import Options


class Uplink:
    """Holds 20 ms frames until they are due. Times in ms since the stream began."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._held: deque[tuple[float, int, bytes]] = deque()
        self._part = b""
        self._last_due = 0.0

    @property
    def clear(self) -> bool:
        """Nothing is held and nothing would be: a frame may go as it is, when it is spoken."""
        options = self._options
        disturbed = options.uplink_jitter_ms or options.uplink_loss or options.uplink_gaps
        return not (disturbed or self._held or self._part) and options.frame_ms == FRAME_MS

    def push(self, frame: bytes, at_ms: int) -> None:
        """A frame whose last sample was spoken at ``at_ms``."""
        self._part += frame
        if len(self._part) < self._options.frame_ms * 8:
            return
        audio, self._part = self._part, b""
        if self._random.random() < self._options.uplink_loss:
            return
        due = float(at_ms)
        if self._options.uplink_jitter_ms:
            due += self._random.uniform(0, self._options.uplink_jitter_ms)
        for start, length in self._options.uplink_gaps:
            if start <= due < start + length:
                due = start + length
        self._last_due = max(due, self._last_due)  # order is kept
        timestamp = at_ms - self._options.frame_ms + FRAME_MS
        self._held.append((self._last_due, timestamp, audio))

    def due(self, now_ms: float) -> list[tuple[int, bytes]]:
        """What arrives by ``now_ms``: (timestamp, mu-law) in order."""
        ready: list[tuple[int, bytes]] = []
        while self._held and self._held[0][0] <= now_ms:
            _, timestamp, audio = self._held.popleft()
            ready.append((timestamp, audio))
        return ready
