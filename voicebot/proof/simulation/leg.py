"""One party's line: a 20 ms clock that plays what is heard and collects what is said.

The clock is absolute (frame k is due at start + k x 20 ms, whatever came before), so it never drifts;
after a stall it catches up frame by frame.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from .ear import FRAME_BYTES, FRAME_MS, SILENCE, Ear
from .recording import CallRecording


class Sound(Protocol):
    """Where a line's sound comes from; asked for 20 ms at a time."""

    def next_frame(self) -> bytes:
        """At most 160 bytes of mu-law; what is missing is silence."""
        ...


class Clip:
    """A finite sound. ``over`` is set when its last sample was played."""

    def __init__(self, ulaw: bytes, *, loop: bool = False) -> None:
        self._ulaw = ulaw
        self._at = 0
        self._loop = loop
        self.over = asyncio.Event()

    def next_frame(self) -> bytes:
        """The next piece."""
        if self._at >= len(self._ulaw):
            self.over.set()
            return b""
        frame = self._ulaw[self._at : self._at + FRAME_BYTES]
        self._at += FRAME_BYTES
        if self._loop and self._at >= len(self._ulaw):
            self._at = 0
        return frame


class Bridge:
    """The other party's voice: filled by their line, emptied by ours, at most 200 ms behind."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=10)

    def put(self, frame: bytes) -> None:
        """20 ms of the other party."""
        self._frames.append(frame)

    def next_frame(self) -> bytes:
        """The oldest 20 ms."""
        return self._frames.popleft() if self._frames else b""


class Line:
    """The phone line between Twilio and one party.

    ``sound`` is what the party hears now (None: silence); each of ``listeners`` gets what the party said,
    each of ``hearers`` what it heard, 20 ms at a time, when they are over.
    ``max_late_ms`` is the clock's worst delay, to judge a measurement by.
    """

    def __init__(self, ear: Ear, began_s: float | None = None) -> None:
        self.ear = ear
        self.sound: Sound | None = None
        self.listeners: list[Callable[[bytes], None]] = []
        self.hearers: list[Callable[[bytes], None]] = []
        self.recording = CallRecording()
        self.max_late_ms = 0.0
        self.opened_ms = 0
        """When the line opened, on the call clock; the ear counts from there."""
        self.began_s = time.monotonic() if began_s is None else began_s
        """When the call was placed, by ``time.monotonic``."""
        self._frame = 0
        self._said = self._heard = SILENCE
        self._tones: deque[bytes] = deque()

    def now_ms(self) -> float:
        """Time on the call clock: 0 when the call was placed."""
        return (time.monotonic() - self.began_s) * 1000

    def say_also(self, ulaw: bytes) -> None:
        """Puts a sound into what the party says, in place of their voice (key tones)."""
        for at in range(0, len(ulaw), FRAME_BYTES):
            self._tones.append(ulaw[at : at + FRAME_BYTES])

    def open_now(self) -> None:
        """The party answers now: what they say and hear begins here, on the same clock."""
        self._frame = int(self.now_ms() // FRAME_MS)
        self.opened_ms = self._frame * FRAME_MS
        for channel in (self.recording.said, self.recording.heard):
            channel += SILENCE * self._frame

    async def run(self) -> None:
        """Ticks until cancelled."""
        while True:
            due = self._frame * FRAME_MS
            wait = due - self.now_ms()
            if wait > 0:
                await asyncio.sleep(wait / 1000)
            else:
                await asyncio.sleep(0)  # after a stall: let arrived messages in before the next frame
            self.max_late_ms = max(self.max_late_ms, self.now_ms() - due)
            self.tick()

    def tick(self) -> None:
        """A frame is over, the next one begins."""
        due, said, heard = self._frame * FRAME_MS, self._said, self._heard
        if due > self.opened_ms:
            self.ear.on_audio(heard, due - FRAME_MS - self.opened_ms)
            for listener in tuple(self.listeners):
                listener(said)
            for hearer in tuple(self.hearers):
                hearer(heard)
        played = self.sound.next_frame() if self.sound is not None else b""
        heard = played if len(played) == FRAME_BYTES else played.ljust(FRAME_BYTES, b"\xff")
        voice = self.ear.next_frame(due - self.opened_ms) or SILENCE
        if self._tones:
            voice = self._tones.popleft()
        said = voice if len(voice) == FRAME_BYTES else voice[:FRAME_BYTES].ljust(FRAME_BYTES, b"\xff")
        self.recording.said += said
        self.recording.heard += heard
        self._said, self._heard = said, heard
        self._frame += 1
