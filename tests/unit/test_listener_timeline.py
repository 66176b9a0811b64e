"""Frames become one line of samples on the media clock: lost, repeated, late, reordered ones move none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.timeline import GAP_MS, STALE_FRAMES, TOLERANCE_MS, Timeline
from voicebot.audio.mulaw import SILENCE

FRAME = bytes(range(160))
LOST = bytes([SILENCE]) * 160


def frame(number: int) -> bytes:
    """20 ms that tell which they are."""
    return bytes([number % 200]) * 160


def line_of(line: Timeline, frames: list[tuple[bytes, int]]) -> bytes:
    """All that was appended."""
    return b"".join(audio for ulaw, at in frames for audio, _ in line.place(ulaw, at))


def test_frames_in_order_follow_on_at_once() -> None:
    line = Timeline()
    assert [line.place(FRAME, at) for at in (0, 20, 40)] == [[(FRAME, 0)], [(FRAME, 20)], [(FRAME, 40)]]


def test_a_lost_frame_is_waited_for_a_little_and_becomes_silence_of_its_length() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    assert line.place(FRAME, 40) == line.place(FRAME, 60) == []
    assert line.place(FRAME, 80) == [(LOST + FRAME, 20), (FRAME, 60), (FRAME, 80)]
    assert line.place(FRAME, 100) == [(FRAME, 100)]
    assert line.lost_ms == 20


def test_a_frame_that_was_overtaken_finds_its_place() -> None:
    line = Timeline()
    order = [0, 2, 1, 3, 5, 4, 4, 6]
    assert line_of(line, [(frame(n), n * 20) for n in order]) == b"".join(frame(n) for n in range(7))
    assert (line.lost_ms, line.dropped_ms) == (0, 20)


def test_no_sample_is_lost_to_neighbours_that_changed_places_all_the_time() -> None:
    line, dice = Timeline(), random.Random(5)
    order = list(range(500))
    for n in range(1, 499, 2):
        if dice.random() < 0.5:
            order[n], order[n + 1] = order[n + 1], order[n]
    assert line_of(line, [(frame(n), n * 20) for n in order]) == b"".join(frame(n) for n in range(500))


def test_repeated_and_late_frames_are_dropped() -> None:
    line = Timeline()
    for at in (0, 20, 40):
        line.place(FRAME, at)
    assert line.place(FRAME, 40) == []
    assert line.place(FRAME, 0) == []
    assert line.place(FRAME, 60) == [(FRAME, 60)]


def test_an_overlapping_frame_gives_what_is_new() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    assert line.place(FRAME, 10) == [(FRAME[80:], 20)]


def test_a_long_loss_is_not_filled_but_jumped_once_it_is_certain() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    far = 20 + GAP_MS + 1
    assert line.place(FRAME, far) == []
    assert line.place(FRAME, far + 20) == [(FRAME, far), (FRAME, far + 20)]
    assert line.place(FRAME, far + 40) == [(FRAME, far + 40)]


def test_one_broken_timestamp_costs_its_own_frame() -> None:
    """Not the words behind it, until the line has caught up with a time in the far future."""
    line = Timeline()
    line.place(frame(0), 0)
    assert line.place(frame(1), 2**31) == []
    assert line_of(line, [(frame(n), n * 20) for n in range(2, 8)]) == LOST + b"".join(
        frame(n) for n in range(2, 8)
    )


@pytest.mark.parametrize("step_ms", [19.8, 20.2])
@pytest.mark.parametrize("length_ms", [20, 100])
def test_a_clock_one_per_cent_off_loses_and_adds_nothing(step_ms: float, length_ms: int) -> None:
    """Ten minutes: the samples whole, their times the sender's to a few ms."""
    line, total = Timeline(), 0
    factor, audio = step_ms / 20, bytes(length_ms * 8)
    for number in range(600_000 // length_ms):
        at = int(number * length_ms * factor)
        for ulaw, start in line.place(audio, at):
            total += len(ulaw)
            assert abs(start - at) <= TOLERANCE_MS
    assert total == 600_000 * 8
    assert line.lost_ms == line.dropped_ms == 0


def test_timestamps_that_start_anew_follow_on_after_a_while() -> None:
    """Else the caller would be deaf to us for the rest of the call."""
    line = Timeline()
    for at in range(0, 2000, 20):
        line.place(FRAME, at)
    heard = [line.place(FRAME, at) for at in range(0, 2000, 20)]
    assert heard[: STALE_FRAMES - 1] == [[]] * (STALE_FRAMES - 1)
    assert heard[STALE_FRAMES - 1] == [(FRAME, 2000)]
    assert heard[STALE_FRAMES] == [(FRAME, 2020)]


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 400)), max_size=60))
def test_the_line_never_goes_back_and_memory_is_bounded(frames: list[tuple[int, int]]) -> None:
    line = Timeline()
    end = 0.0
    for at, length in frames:
        for audio, start in line.place(bytes(length), at):
            assert start >= end - TOLERANCE_MS / 2
            assert len(audio) <= 400 + GAP_MS * 8
            end = start + len(audio) / 8
