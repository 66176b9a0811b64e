"""A media socket may send as fast as any call of Twilio's can, bursts included, and no faster."""

from __future__ import annotations

import pytest

from voicebot.channels.twilio.pace import BURST_MS, LEAST_MS, PER_S_MS, Pace
from voicebot.channels.twilio.refusals import Refusal
from voicebot.channels.twilio.wire import Mark, Media, WireError

FRAME = Media("MZ1", b"\xff" * 160, 0, None, None, "inbound")
MARK = Mark("MZ1", "m", None)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def taken(pace: Pace, message: Media | Mark, most: int) -> int:
    """How many pass."""
    for n in range(most):
        try:
            pace.take(message)
        except WireError as refused:
            return n if refused.reason is Refusal.TOO_FAST else -1
    return most


def test_two_tracks_with_marks_for_ten_minutes() -> None:
    clock = Clock()
    pace = Pace(clock)
    for n in range(50 * 600):
        clock.now_s += 0.02
        pace.take(FRAME)
        pace.take(FRAME)
        if n % 5 == 0:
            pace.take(MARK)


def test_what_collected_in_ten_seconds_without_network() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert taken(pace, FRAME, 500) == 500
    clock.now_s += 20
    assert taken(pace, FRAME, 500) == 500


@pytest.mark.parametrize(
    ("message", "each_ms"),
    [(FRAME, 20), (MARK, LEAST_MS), (Media("MZ1", b"", 0, None, None, "inbound"), LEAST_MS)],
)
def test_a_flood_is_refused(message: Media | Mark, each_ms: float) -> None:
    assert taken(Pace(Clock()), message, 10**6) == int(BURST_MS / each_ms)


def test_faster_than_any_call_in_the_long_run() -> None:
    clock = Clock()
    pace = Pace(clock)
    passed = 0
    for _ in range(10_000):
        clock.now_s += 0.02 / (PER_S_MS / 1000 + 1)
        passed += taken(pace, FRAME, 1)
    assert passed < 9000
