"""One clock for many lines: each ticks every 20 ms, spread over slots; one that fails stops no other."""

from __future__ import annotations

import time

from voicebot.proof.simulation.ear import Quiet
from voicebot.proof.simulation.leg import Line
from voicebot.proof.simulation.metronome import SLOTS, Metronome


class Counts(Quiet):
    def __init__(self, fails_at: int = -1) -> None:
        self.frames = 0
        self._fails_at = fails_at

    def next_frame(self, at_ms: int) -> bytes | None:
        if self.frames == self._fails_at:
            raise RuntimeError("a caller breaks down")
        self.frames += 1
        return None


def beaten(metronome: Metronome, beats: int, late_ms: float = 0.0) -> None:
    for n in range(beats):
        metronome.beat(n, time.monotonic() - late_ms / 1000)


def placed(metronome: Metronome, *ears: Counts) -> list[Line]:
    lines: list[Line] = []
    for ear in ears:
        line = Line(ear, metronome.began_s())
        metronome.add(line)
        lines.append(line)
    return lines


def test_every_line_is_ticked_once_in_20_ms_and_no_two_slots_at_once() -> None:
    metronome, ears = Metronome(), [Counts() for _ in range(2 * SLOTS)]
    placed(metronome, *ears)
    metronome.beat(0, time.monotonic())
    assert sum(ear.frames for ear in ears) == 2  # of eight lines, those of one slot
    beaten(metronome, SLOTS * 10)
    assert {ear.frames for ear in ears} <= {10, 11}


def test_a_call_began_at_a_beat_of_its_slot() -> None:
    metronome, before = Metronome(), time.monotonic()
    lines = placed(metronome, *(Counts() for _ in range(SLOTS)))
    assert all(before - 0.1 < line.began_s <= time.monotonic() for line in lines)
    places = {round((line.began_s - lines[0].began_s) / 0.005) % SLOTS for line in lines}
    assert places == set(range(SLOTS))


def test_lateness_is_measured_per_frame_and_taken_once() -> None:
    metronome = Metronome()
    (line,) = placed(metronome, Counts())
    began = time.monotonic()
    beaten(metronome, SLOTS, late_ms=30)
    took_ms = (time.monotonic() - began) * 1000
    late = metronome.take_lateness()
    assert late.total == 1
    assert 29.9 <= late.worst_ms < 30.1 + took_ms
    assert line.max_late_ms == late.worst_ms
    assert metronome.take_lateness().total == 0


def test_a_caller_who_breaks_down_ends_no_other_call() -> None:
    metronome, broken, well = Metronome(), Counts(fails_at=2), Counts()
    placed(metronome, broken, well)
    beaten(metronome, SLOTS * 6)
    assert (broken.frames, well.frames) == (2, 6)
    assert [str(error) for error in metronome.failures] == ["a caller breaks down"]


def test_a_line_that_was_removed_is_ticked_no_more() -> None:
    metronome, ear = Metronome(), Counts()
    (line,) = placed(metronome, ear)
    metronome.remove(line)
    metronome.remove(line)
    beaten(metronome, SLOTS)
    assert ear.frames == 0
