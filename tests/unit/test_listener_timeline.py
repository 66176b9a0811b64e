"""Frames become one line of samples on the media clock: lost, repeated and late frames move nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.hearing.timeline import GAP_MS, STALE_FRAMES, Timeline
from voicebot.audio.mulaw import SILENCE

FRAME = bytes(range(160))


def test_frames_in_order_follow_on() -> None:
    line = Timeline()
    assert [line.place(FRAME, at) for at in (0, 20, 40)] == [(FRAME, 0), (FRAME, 20), (FRAME, 40)]


def test_a_lost_frame_becomes_silence_of_its_length() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    audio, start = line.place(FRAME, 40)
    assert (audio, start) == (bytes([SILENCE]) * 160 + FRAME, 20)
    assert line.lost_ms == 20


def test_repeated_and_late_frames_are_dropped() -> None:
    line = Timeline()
    for at in (0, 20, 40):
        line.place(FRAME, at)
    assert line.place(FRAME, 40)[0] == b""
    assert line.place(FRAME, 0)[0] == b""
    assert line.place(FRAME, 60) == (FRAME, 60)


def test_an_overlapping_frame_gives_what_is_new() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    assert line.place(FRAME, 10) == (FRAME[80:], 20)


def test_a_long_loss_is_not_filled_but_jumped() -> None:
    line = Timeline()
    line.place(FRAME, 0)
    assert line.place(FRAME, 20 + GAP_MS + 1) == (FRAME, 20 + GAP_MS + 1)


def test_timestamps_that_start_anew_follow_on_after_a_while() -> None:
    """Else the caller would be deaf to us for the rest of the call."""
    line = Timeline()
    for at in range(0, 2000, 20):
        line.place(FRAME, at)
    heard = [line.place(FRAME, at) for at in range(0, 2000, 20)]
    assert [audio for audio, _ in heard[: STALE_FRAMES - 1]] == [b""] * (STALE_FRAMES - 1)
    assert heard[STALE_FRAMES - 1] == (FRAME, 2000)
    assert heard[STALE_FRAMES] == (FRAME, 2020)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 400)), max_size=60))
def test_the_line_never_goes_back_and_memory_is_bounded(frames: list[tuple[int, int]]) -> None:
    line = Timeline()
    end = 0.0
    for at, length in frames:
        audio, start = line.place(bytes(length), at)
        if audio:
            assert start >= end
            assert len(audio) <= length + GAP_MS * 8
            end = start + len(audio) / 8
