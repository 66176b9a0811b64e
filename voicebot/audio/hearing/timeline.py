"""Frames with timestamps become one gapless line of samples. Pure.

Frames may have any length and may be lost, repeated, late or out of order. What comes a little too early
waits for what is missing before it; lost audio becomes silence up to a bound, so that the line stays on the
media clock; what was there already is dropped. A sender whose timestamps run a little fast or slow against
its own samples loses nothing: their times follow, the samples stay whole. Time on the line never goes back by
more than half of ``TOLERANCE_MS``, whatever the timestamps do.
"""

from __future__ import annotations

from voicebot.audio.mulaw import SILENCE

SAMPLES_PER_MS = 8

TOLERANCE_MS = 5
"""A frame may seem to begin this much early or late and still follow on: timestamps are whole ms, and a clock
that is 1 % off moves a frame of 100 ms by 1. What is lost is whole frames."""

_FOLLOWS = 0.5  # so much of such a difference is taken over at once

REORDER_MS = 60
"""A frame from the future waits until the line would be so much longer: two of 20 ms may overtake one."""

GAP_MS = 1000
"""The longest loss that is filled; after a longer one the line jumps, when a second frame confirms it."""

STALE_FRAMES = 25
"""So many frames in a row from the past mean that the timestamps started anew: they follow on then."""

Piece = tuple[bytes, float]
"""Audio (mu-law) and the media time of its first sample, ms."""


class Timeline:
    """Turns ``(ulaw, timestamp_ms)`` into audio that follows on, and says where it begins.

    ``lost_ms`` and ``dropped_ms`` count what was missing and what came twice or too late.
    """

    def __init__(self) -> None:
        self._next_ms: float | None = None
        self._shift_ms = 0.0
        self._stale = 0
        self._early: list[Piece] = []
        self._leapt: Piece | None = None
        self.lost_ms = 0
        self.dropped_ms = 0

    def place(self, ulaw: bytes, timestamp_ms: int) -> list[Piece]:
        """What can be appended now, in order.

        Empty while the frame waits for one before it, and when everything in it was already there. Silence
        (mu-law) stands in front of a piece where up to ``GAP_MS`` were lost.
        """
        at_ms = timestamp_ms + self._shift_ms
        if self._next_ms is None:
            self._next_ms = at_ms
        ahead_ms = at_ms - self._next_ms
        if abs(ahead_ms) <= TOLERANCE_MS and ulaw and not self._early and self._leapt is None:
            start = self._next_ms + ahead_ms * _FOLLOWS  # as nearly always: it follows on
            self._stale = 0
            self._next_ms = start + len(ulaw) / SAMPLES_PER_MS
            return [(ulaw, start)]
        if ahead_ms > GAP_MS:
            return self._leap(ulaw, at_ms)
        if self._leapt is not None:
            self.dropped_ms += len(self._leapt[0]) // SAMPLES_PER_MS
            self._leapt = None
        if ahead_ms <= TOLERANCE_MS:
            return [*self._append(ulaw, at_ms), *self._due()]
        self._early = sorted([*self._early, (ulaw, at_ms)], key=lambda early: early[1])
        return self._due()

    def _due(self) -> list[Piece]:
        """What waited, as far as it follows on by now, or has waited long enough."""
        pieces: list[Piece] = []
        assert self._next_ms is not None
        while self._early:
            ulaw, at_ms = self._early[0]
            last, last_at_ms = self._early[-1]
            waits = last_at_ms + len(last) / SAMPLES_PER_MS - self._next_ms <= REORDER_MS
            if at_ms - self._next_ms > TOLERANCE_MS and waits:
                break
            del self._early[0]
            pieces += self._append(ulaw, at_ms)
        return pieces

    def _leap(self, ulaw: bytes, at_ms: float) -> list[Piece]:
        """One frame from far ahead has a broken timestamp; two in a row are where we are now."""
        leapt, self._leapt = self._leapt, (ulaw, at_ms)
        if leapt is None or not 0 <= at_ms - leapt[1] <= GAP_MS:
            return []
        self._leapt = None
        pieces: list[Piece] = []
        early, self._early = self._early, []
        for waiting in early:
            pieces += self._append(*waiting)
        assert self._next_ms is not None
        self.lost_ms += round(leapt[1] - self._next_ms)
        self._next_ms = leapt[1]
        return [*pieces, *self._append(*leapt), *self._append(ulaw, at_ms)]

    def _append(self, ulaw: bytes, at_ms: float) -> list[Piece]:
        assert self._next_ms is not None
        behind = at_ms - self._next_ms
        if behind < -TOLERANCE_MS:
            ulaw = self._past(ulaw, behind)
        elif behind > TOLERANCE_MS:
            self.lost_ms += round(behind)
            ulaw = bytes([SILENCE]) * round(behind * SAMPLES_PER_MS) + ulaw
        elif ulaw:
            self._next_ms += behind * _FOLLOWS
        if not ulaw:
            return []
        self._stale = 0
        start = self._next_ms
        self._next_ms = start + len(ulaw) / SAMPLES_PER_MS
        return [(ulaw, start)]

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
