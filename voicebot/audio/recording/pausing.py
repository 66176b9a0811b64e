"""Stretches of a call that the recording does not have: silence on both channels, by place. Pure.

What arrives late lies where it was heard: the bot's audio is placed once it was played, so a stretch that is
over still silences what belongs into it.
"""

from __future__ import annotations

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.format import RATE_HZ

SAMPLES_PER_MS = RATE_HZ // 1000


class Pauses:
    """The stretches of one recording, in ms of the media clock."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._from_ms: int | None = None

    @property
    def open(self) -> bool:
        """Whether one is running."""
        return self._from_ms is not None

    def begin(self, at_ms: int) -> None:
        """Silence from ``at_ms`` on. Again: nothing."""
        if self._from_ms is None:
            self._from_ms = at_ms

    def end(self, at_ms: int) -> tuple[int, int] | None:
        """The stretch is over at ``at_ms``: from and until; None: none was running."""
        if self._from_ms is None:
            return None
        span = self._from_ms, max(at_ms, self._from_ms)
        self._from_ms = None
        self._spans.append(span)
        return span

    def hushed(self, ulaw: bytes, at_ms: int) -> bytes:
        """Mu-law that lies at ``at_ms``, silent where a stretch covers it."""
        if not self._spans and self._from_ms is None:
            return ulaw  # as nearly always
        last_ms = at_ms + len(ulaw) / SAMPLES_PER_MS
        open_from = (self._from_ms, last_ms) if self._from_ms is not None else None
        for begin, until in (*self._spans, *((open_from,) if open_from is not None else ())):
            first = max(0, int((begin - at_ms) * SAMPLES_PER_MS))
            last = min(len(ulaw), int((until - at_ms) * SAMPLES_PER_MS))
            if first < last:
                ulaw = ulaw[:first] + bytes([SILENCE]) * (last - first) + ulaw[last:]
        return ulaw
