"""Frames with timestamps become one gapless line of samples. Pure.

Frames may have any length and may be lost, repeated or late. Lost audio becomes silence up to a bound,
so that the line stays on the media clock; what was there already is dropped. Time on the line never
goes back, whatever the timestamps do.
"""

from __future__ import annotations

from voicebot.audio.mulaw import SILENCE

SAMPLES_PER_MS = 8
TOLERANCE_MS = 2
"""Timestamps are whole ms: a frame may seem to begin this much early or late and still follow on."""

GAP_MS = 1000
"""The longest loss that is filled; after a longer one the line jumps."""

STALE_FRAMES = 25
"""So many frames in a row from the past mean that the timestamps started anew: they follow on then."""


class Timeline:
    """Turns ``(ulaw, timestamp_ms)`` into audio that follows on, and says where it begins.

    ``lost_ms`` and ``dropped_ms`` count what was missing and what came twice or too late.
    """

    def __init__(self) -> None:
        self._next_ms: float | None = None
        self._shift_ms = 0.0
        self._stale = 0
        self.lost_ms = 0
        self.dropped_ms = 0

    def place(self, ulaw: bytes, timestamp_ms: int) -> tuple[bytes, float]:
        """The audio to append, and the media time of its first sample.

        Empty when everything in the frame was already there. Silence (mu-law) stands in front of it
        where up to ``GAP_MS`` were lost.
        """
        at_ms = timestamp_ms + self._shift_ms
        if self._next_ms is None:
            self._next_ms = at_ms
        behind = at_ms - self._next_ms
        if behind < -TOLERANCE_MS:
            ulaw = self._past(ulaw, behind)
        elif behind > TOLERANCE_MS:
            self.lost_ms += round(behind)
            if behind > GAP_MS:
                self._next_ms = at_ms
            else:
                ulaw = bytes([SILENCE]) * round(behind * SAMPLES_PER_MS) + ulaw
        if ulaw:
            self._stale = 0
        start = self._next_ms
        self._next_ms = start + len(ulaw) / SAMPLES_PER_MS
        return ulaw, start

    def _past(self, ulaw: bytes, behind_ms: float) -> bytes:
        known = round(-behind_ms * SAMPLES_PER_MS)
        if known < len(ulaw):
            self.dropped_ms += known // SAMPLES_PER_MS
            return ulaw[known:]
        self._stale += 1
        if self._stale >= STALE_FRAMES:
            self._shift_ms -= behind_ms
            return ulaw
        self.dropped_ms += len(ulaw) // SAMPLES_PER_MS
        return b""
