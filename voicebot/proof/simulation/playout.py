"""The audio that Twilio holds for a caller: played in order, marked, cleared.

Pure: one call of ``tick`` is 20 ms of playing. No clock, no asyncio.
Behaviour: twilio.com/docs/voice/media-streams/websocket-messages.
"""

from __future__ import annotations

from collections import deque

from .ear import FRAME_BYTES

LIMIT_MS = 600_000
"""Ten minutes; Twilio drops what comes on top and warns 31931."""


class Playout:
    """Twilio's buffer of one bidirectional stream.

    A mark comes back when everything queued before it has been played, at once when nothing
    is. ``clear`` empties the buffer and brings back every pending mark. The 20 ms that were
    already handed to the phone keep playing.
    """

    def __init__(self, limit_ms: int = LIMIT_MS) -> None:
        self._limit = limit_ms * 8
        self._buffer = bytearray()
        self._taken = 0
        self._played = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._dry_ms: float | None = None

    @property
    def queued_ms(self) -> float:
        """Audio not yet handed to the phone."""
        return len(self._buffer) / 8

    @property
    def pending_marks(self) -> list[str]:
        """Marks that have not come back, oldest first."""
        return [name for _, name in self._marks]

    def media(self, ulaw: bytes) -> int:
        """Queues mu-law audio of any length; returns how many bytes were dropped as too much."""
        self._dry_ms = None
        room = max(0, self._limit - len(self._buffer))
        self._buffer += ulaw[:room]
        return max(0, len(ulaw) - room)

    @property
    def dry_ms(self) -> float | None:
        """Silence since the buffer ran empty by being played; None while it has audio, or was cleared."""
        return self._dry_ms

    def mark(self, name: str) -> list[str]:
        """Queues a mark; returns the marks that come back at once (this one, or none)."""
        position = self._taken + len(self._buffer)
        if position <= self._played and not self._marks:
            return [name]
        self._marks.append((position, name))
        return []

    def clear(self) -> list[str]:
        """Empties the buffer; returns all pending marks, oldest first."""
        self._buffer.clear()
        self._dry_ms = None
        names = self.pending_marks
        self._marks.clear()
        return names

    def tick(self) -> tuple[bytes, list[str]]:
        """The next 20 ms begin: (audio of at most 160 bytes, marks whose audio is now over)."""
        self._played = self._taken
        done: list[str] = []
        while self._marks and self._marks[0][0] <= self._played:
            done.append(self._marks.popleft()[1])
        frame = bytes(self._buffer[:FRAME_BYTES])
        del self._buffer[:FRAME_BYTES]
        self._taken += len(frame)
        if frame and len(frame) < FRAME_BYTES:
            self._dry_ms = 0.0
        if self._dry_ms is not None:
            self._dry_ms += (FRAME_BYTES - len(frame)) / 8
        elif frame and not self._buffer:
            self._dry_ms = 0.0
        return frame, done
