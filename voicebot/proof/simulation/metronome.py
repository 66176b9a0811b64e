"""One 20 ms clock for many lines: what a process that carries many calls ticks them all with.

A line of its own task costs a timer and a wake-up per call and frame. Here the lines stand in a few slots
that divide the 20 ms, so that a server sees calls spread over time as it would from a telephone network, and
a process wakes up once per slot whatever the number of its calls.
"""

from __future__ import annotations

import asyncio
import time

from .ear import FRAME_MS
from .lateness import Lateness
from .leg import Line

SLOTS = 4
"""Slots of 5 ms each."""


class Metronome:
    """Ticks its lines on an absolute clock; ``run`` it in the loop of the calls, until cancelled.

    Attributes:
        lateness: of every frame of every line since the last ``take_lateness``.
        failures: what lines raised; such a line ticks no more.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._origin_s = time.monotonic()
        self._slot_s = FRAME_MS / 1000 / slots
        self._slots: list[list[Line]] = [[] for _ in range(slots)]
        self.lateness = Lateness()
        self.failures: list[Exception] = []

    def began_s(self) -> float:
        """When a call that is placed now began: the last beat of the slot with the fewest lines."""
        return self._began_s(self._emptiest())

    def add(self, line: Line) -> None:
        """Ticks a line from its next frame on."""
        beat = round((line.began_s - self._origin_s) / self._slot_s)
        self._slots[beat % len(self._slots)].append(line)

    def remove(self, line: Line) -> None:
        """Ticks it no more; one that is not here is left alone."""
        for slot in self._slots:
            if line in slot:
                slot.remove(line)

    def take_lateness(self) -> Lateness:
        """How late frames were since this was last asked."""
        taken, self.lateness = self.lateness, Lateness()
        return taken

    async def run(self) -> None:
        """Ticks until cancelled. After a stall it catches up beat by beat, and lets messages in between."""
        beat = int((time.monotonic() - self._origin_s) / self._slot_s) + 1
        while True:
            if any(self._slots) and not self._slots[beat % len(self._slots)]:
                beat += 1  # nobody there: no need to wake up
                continue
            due_s = self._origin_s + beat * self._slot_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self.beat(beat, due_s)
            beat += 1

    def beat(self, beat: int, due_s: float) -> None:
        """The slot of one beat, which was due at ``due_s`` (``time.monotonic``)."""
        for line in tuple(self._slots[beat % len(self._slots)]):
            late_ms = (time.monotonic() - due_s) * 1000
            self.lateness.add(late_ms)
            line.max_late_ms = max(line.max_late_ms, late_ms)
            try:
                line.tick()
            except Exception as error:  # one caller's fault ends no other's call
                self.failures.append(error)
                self.remove(line)

    def _emptiest(self) -> int:
        return min(range(len(self._slots)), key=lambda n: len(self._slots[n]))

    def _began_s(self, slot: int) -> float:
        beats = int((time.monotonic() - self._origin_s) / self._slot_s)
        beats -= (beats - slot) % len(self._slots)
        return self._origin_s + beats * self._slot_s
