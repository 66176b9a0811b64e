"""One utterance at a cloud recogniser, as its transcripts arrive. Pure; the clock is passed in.

A cloud service decides by itself when a piece of a transcript is final, and several pieces make an
utterance. After the end of speech was signalled, the utterance is complete when the service says so
(``finalized``), when nothing is pending and it has been quiet for a while, or when patience ends.
"""

from __future__ import annotations

from voicebot.audio.engines.types import RATE_HZ, Transcript

SETTLE_S = 0.35
"""Quiet after which a service that never says ``finalized`` is taken at its word."""

PATIENCE_S = 1.5
"""Longest wait for a service after the end of speech; below the client's deadline of 2 s."""


class CloudUtterance:
    """Facts in, a transcript out.

    ::

        utterance.interim("where is my")
        utterance.final("where is my order", finalized=False, now=...)
        utterance.ended(now)
        while (wait_s := utterance.due(now)) > 0: ...
    """

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._interim = ""
        self._fed_bytes = 0
        self._ended_at: float | None = None
        self._last_final: float | None = None
        self._complete = False

    @property
    def complete(self) -> bool:
        """The service itself said that nothing more will come for this utterance."""
        return self._complete

    def fed(self, count: int) -> None:
        """``count`` bytes of PCM16 at 8 kHz went to the service."""
        self._fed_bytes += count

    def interim(self, text: str) -> None:
        """What the service believes of the part that is not final yet."""
        self._interim = text.strip()

    def final(self, text: str, *, finalized: bool, now: float) -> None:
        """A piece that will not change; ``finalized``: the answer to the end of speech."""
        if text := text.strip():
            self._finals.append(text)
        self._interim = ""
        self._last_final = now
        if finalized and self._ended_at is not None:
            self._complete = True

    def ended(self, now: float) -> None:
        """The end of speech was signalled to the service."""
        if self._ended_at is None:
            self._ended_at = now

    def due(self, now: float) -> float:
        """Seconds still to wait for the service, 0 when the transcript stands.

        Raises:
            ValueError: before ``ended``.
        """
        if self._ended_at is None:
            raise ValueError("the end of speech was not signalled yet")
        if self._complete:
            return 0.0
        until = self._ended_at + PATIENCE_S
        if self._last_final is not None and not self._interim:
            until = min(until, max(self._last_final, self._ended_at) + SETTLE_S)
        return max(0.0, until - now)

    def transcript(self, *, final: bool) -> Transcript:
        """Everything so far, what is not final included: better a word too many than one too few."""
        text = " ".join([*self._finals, *([self._interim] if self._interim else [])])
        standing = 0 if final else sum(len(piece.split()) for piece in self._finals)
        audio_ms = self._fed_bytes // 2 * 1000 // RATE_HZ
        return Transcript(text, final, audio_ms=audio_ms, standing=standing)
