"""The call's media clock as this process sees it: pure, fed with arrivals, asked for the time.

Twilio stamps every incoming frame with the milliseconds since its stream began. Our own clock runs
beside it with an unknown offset, the network adds delay that only ever makes a frame late, and over an
hour two quartz clocks part by tens of milliseconds. So the offset is the *smallest* delay seen lately:
the frame that travelled fastest tells the time, bursts and stalls do not.

The estimate is late by the fastest one-way delay. Seen from here that is harmless: a mark that Twilio
sends when it has played something travels the same way, so "now, as the mark arrives" is when it played.
"""

from __future__ import annotations

BUCKET_S = 5.0
"""Seconds per bucket; the minimum runs over the current and the previous one, so 5-10 s."""


LEAP_MS = 1000
"""A frame from so far ahead of the clock has a broken timestamp, unless the next one says the same."""


class MediaClock:
    """Milliseconds on the media clock for a moment of ours. One per call; listener and speaker share it."""

    def __init__(self, bucket_s: float = BUCKET_S) -> None:
        self._bucket_s = bucket_s
        self._bucket_began: float | None = None
        self._current: float | None = None
        self._previous: float | None = None
        self._leapt = False

    def observe(self, end_ms: float, now_s: float) -> None:
        """A frame whose last sample lies at ``end_ms`` (timestamp plus length) arrived at ``now_s``."""
        delay_ms = now_s * 1000.0 - end_ms
        least_ms = self._least_ms()
        self._leapt = least_ms is not None and delay_ms < least_ms - LEAP_MS and not self._leapt
        if self._leapt:
            return
        if self._bucket_began is None:
            self._bucket_began = now_s
        elif now_s - self._bucket_began >= self._bucket_s:
            self._previous, self._current = self._current, None
            self._bucket_began = now_s
        if self._current is None or delay_ms < self._current:
            self._current = delay_ms

    @property
    def known(self) -> bool:
        """Whether any frame has arrived; before that there is no media time."""
        return self._current is not None or self._previous is not None

    def at_ms(self, now_s: float) -> int | None:
        """The media time at ``now_s``, ms; None before the first frame."""
        least_ms = self._least_ms()
        return None if least_ms is None else max(0, round(now_s * 1000.0 - least_ms))

    def _least_ms(self) -> float | None:
        if self._current is None or self._previous is None:
            return self._previous if self._current is None else self._current
        return min(self._current, self._previous)
