"""Whoever holds the phone: what they hear comes in, what they say goes out, 20 ms at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

FRAME_MS = 20
FRAME_BYTES = 160
SILENCE = b"\xff" * FRAME_BYTES
"""20 ms of mu-law silence at 8 kHz."""


class Ear(Protocol):
    """A person on the line. Called every 20 ms; must return within a millisecond.

    ``at_ms`` counts from when they called, or picked up.
    """

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """160 bytes of mu-law that were heard from ``at_ms`` on; called when they are over."""
        ...

    def next_frame(self, at_ms: int) -> bytes | None:
        """What is said from ``at_ms`` on: 160 bytes of mu-law, or None for silence."""
        ...


class Quiet:
    """Holds the phone and says nothing."""

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """Not interested."""

    def next_frame(self, at_ms: int) -> bytes | None:
        """Nothing."""
        return None


class Timeline:
    """Says given clips at given times, whatever is heard. ``clips``: (at_ms, mu-law bytes)."""

    def __init__(self, clips: Iterable[tuple[int, bytes]]) -> None:
        self._clips = sorted(clips)

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """Not interested."""

    def next_frame(self, at_ms: int) -> bytes | None:
        """The piece of the clip that covers ``at_ms``; the later clip wins."""
        for start_ms, clip in reversed(self._clips):
            offset = (at_ms - start_ms) * 8
            if 0 <= offset < len(clip):
                return clip[offset : offset + FRAME_BYTES].ljust(FRAME_BYTES, b"\xff")
        return None
