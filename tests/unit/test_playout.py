"""Twilio's buffer: marks come back when what was before them has played, clear brings all of them back."""

from __future__ import annotations

import pytest

from voicebot.proof.simulation.playout import Playout

FRAME = b"\x7f" * 160


def ticks(playout: Playout, n: int) -> list[tuple[int, list[str]]]:
    """(bytes played, marks returned) of n frames."""
    return [(len(frame), marks) for frame, marks in (playout.tick() for _ in range(n))]


def test_a_mark_with_nothing_queued_comes_back_at_once():
    assert Playout().mark("m") == ["m"]


def test_a_mark_comes_back_when_the_audio_before_it_is_over():
    """Two and a half frames: the mark returns as the third ends, i.e. with the fourth tick."""
    playout = Playout()
    playout.media(b"\x7f" * 400)
    assert playout.mark("m") == []
    assert ticks(playout, 4) == [(160, []), (160, []), (80, []), (0, ["m"])]


def test_marks_between_audio_come_back_in_order_each_at_its_place():
    playout = Playout()
    playout.mark("before")
    for n in range(3):
        playout.media(FRAME)
        playout.mark(f"after {n}")
    assert ticks(playout, 4) == [(160, []), (160, ["after 0"]), (160, ["after 1"]), (0, ["after 2"])]


def test_a_mark_during_the_last_frame_waits_for_its_end():
    """Near miss: nothing is queued any more, but 20 ms are still sounding."""
    playout = Playout()
    playout.media(FRAME)
    playout.tick()
    assert playout.mark("m") == []
    assert ticks(playout, 1) == [(0, ["m"])]


def test_clear_returns_every_pending_mark_and_silences_the_next_frame():
    playout = Playout()
    for name in ("a", "b", "c"):
        playout.media(FRAME * 5)
        playout.mark(name)
    playout.tick()
    assert playout.clear() == ["a", "b", "c"]
    assert ticks(playout, 2) == [(0, []), (0, [])]
    assert playout.mark("after") == ["after"]


def test_audio_after_clear_plays_without_what_was_before():
    playout = Playout()
    playout.media(FRAME * 50)
    playout.clear()
    playout.media(b"\x11" * 160)
    playout.mark("new")
    assert playout.tick() == (b"\x11" * 160, [])
    assert playout.tick() == (b"", ["new"])


def test_above_the_limit_audio_is_dropped_and_counted():
    playout = Playout(limit_ms=100)
    assert playout.media(b"\x7f" * 700) == 0
    assert playout.media(b"\x7f" * 200) == 100
    assert playout.queued_ms == 100
    playout.tick()
    assert playout.media(FRAME) == 0


@pytest.mark.parametrize(("late_ticks", "hole_ms"), [(0, 0), (1, 20), (5, 100)])
def test_a_dry_buffer_counts_the_silence(late_ticks, hole_ms):
    """From the last sample that played to the moment more audio comes."""
    playout = Playout()
    assert playout.dry_ms is None
    playout.media(FRAME)
    playout.tick()
    ticks(playout, late_ticks)
    assert playout.dry_ms == hole_ms
    playout.media(FRAME)
    assert playout.dry_ms is None


def test_silence_after_clear_is_meant():
    playout = Playout()
    playout.media(FRAME)
    playout.tick()
    playout.clear()
    ticks(playout, 3)
    assert playout.dry_ms is None
