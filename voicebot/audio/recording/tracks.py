"""Both channels on the media clock: audio is placed where it belongs, and leaves in order. Pure.

Audio comes late (the bot's only once it was really heard) and out of order, but not by more than a few
seconds: that much is held, and memory is bounded by it. A sample's place is its time: nothing is ever
shifted to fit, so nothing drifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.format import CHUNK_SAMPLES, RATE_HZ

SAMPLES_PER_MS = RATE_HZ // 1000

HELD_S = 5
"""Seconds behind the newest audio in which older audio may still be placed."""

LONGEST_JUMP_S = 3600
"""Audio further ahead than this has a broken timestamp and is dropped."""

SNAP_MS = 15
"""Bot audio this close to the end of the piece before follows on seamlessly: marks are that exact."""

JOINED_MS = 200
"""So much of the caller, frame after frame, is put in its place at once."""

_JOINED = JOINED_MS * SAMPLES_PER_MS

CALLER, BOT = 0, 1


@dataclass(frozen=True)
class Chunk:
    """The next piece of the recording: ``samples`` per channel; no ``ulaw`` = silence.

    ``lost``: there was sound, which could not be kept.
    """

    samples: int
    ulaw: bytes = b""
    lost: bool = False


class Tracks:
    """``late_ms`` and ``dropped_ms`` count audio that came too late, or with a broken timestamp."""

    def __init__(self) -> None:
        self._window = np.full(((HELD_S + 2) * RATE_HZ, 2), SILENCE, dtype=np.uint8)
        self._base = 0  # sample of the window's first row
        self._head = 0  # one past the newest sample of either channel
        self._ends = [0, 0]
        self._joined: list[bytes] = []  # the caller's last frames, which follow on from one another
        self._joined_size = 0
        self.late_ms = 0
        self.dropped_ms = 0

    @property
    def head_ms(self) -> int:
        """How far the recording reaches."""
        return self._head // SAMPLES_PER_MS

    def place(self, channel: int, ulaw: bytes, at_ms: int) -> list[Chunk]:
        """Places audio whose first sample lies at ``at_ms``; returns what is complete by now."""
        first = at_ms * SAMPLES_PER_MS
        follows = channel == CALLER and first == self._ends[CALLER]
        chunks = [] if follows and self._joined_size + len(ulaw) <= _JOINED else self._put_joined()
        if follows and len(ulaw) <= _JOINED:
            self._join(ulaw)
            return chunks
        if channel == BOT and abs(first - self._ends[BOT]) <= SNAP_MS * SAMPLES_PER_MS:
            first = self._ends[BOT]
        if at_ms < 0 or first > max(self._head, self._base) + LONGEST_JUMP_S * RATE_HZ:
            self.dropped_ms += len(ulaw) // SAMPLES_PER_MS
            return chunks
        while ulaw:
            # A very long piece is placed a second at a time, so that the window holds it.
            part, ulaw = ulaw[:RATE_HZ], ulaw[RATE_HZ:]
            chunks += self._advance(first + len(part))
            self._put(channel, part, first)
            first += len(part)
        return chunks

    def rest(self) -> list[Chunk]:
        """Everything still held; the recording ends here."""
        chunks = self._put_joined()
        samples = self._head - self._base
        chunks += [self._take(min(CHUNK_SAMPLES, samples - at)) for at in range(0, samples, CHUNK_SAMPLES)]
        return [chunk for chunk in chunks if chunk.samples]

    def _join(self, ulaw: bytes) -> None:
        """Keeps what follows on from the caller's last frame, to be put in its place with what comes."""
        self._joined.append(ulaw)
        self._joined_size += len(ulaw)
        self._ends[CALLER] += len(ulaw)
        self._head = max(self._head, self._ends[CALLER])

    def _put_joined(self) -> list[Chunk]:
        if not self._joined:
            return []
        ulaw, self._joined, self._joined_size = b"".join(self._joined), [], 0
        end = self._ends[CALLER]
        chunks = self._advance(end)
        self._put(CALLER, ulaw, end - len(ulaw))
        return chunks

    def _put(self, channel: int, ulaw: bytes, first: int) -> None:
        self._ends[channel] = max(self._ends[channel], first + len(ulaw))
        late = min(len(ulaw), max(0, self._base - first))
        if late:
            self.late_ms += late // SAMPLES_PER_MS
            ulaw, first = ulaw[late:], first + late
        row = first - self._base
        self._window[row : row + len(ulaw), channel] = np.frombuffer(ulaw, dtype=np.uint8)

    def _advance(self, head: int) -> list[Chunk]:
        """Makes room for audio up to ``head``."""
        self._head = max(self._head, head)
        far = self._head - HELD_S * RATE_HZ  # before this everything is complete
        if far - self._base < CHUNK_SAMPLES:
            return []
        chunks: list[Chunk] = []
        while far - self._base >= CHUNK_SAMPLES and self._base < self._newest():
            chunks.append(self._take(CHUNK_SAMPLES))
        silent = (far - self._base) // CHUNK_SAMPLES * CHUNK_SAMPLES
        if silent > 0:
            self._base += silent  # nothing was placed there: the window is silence as it stands
            chunks.append(Chunk(silent))
        return chunks

    def _newest(self) -> int:
        return max(self._ends)

    def _take(self, samples: int) -> Chunk:
        ulaw = self._window[:samples].tobytes()
        held = self._window.shape[0] - samples
        self._window[:held] = self._window[samples:].copy()
        self._window[held:] = SILENCE
        self._base += samples
        return Chunk(samples, ulaw)


def deinterleave(ulaw: bytes) -> npt.NDArray[np.uint8]:
    """A chunk's bytes as ``[samples, 2]``."""
    return np.frombuffer(ulaw, dtype=np.uint8).reshape(-1, 2)
