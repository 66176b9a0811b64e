"""Audio runs 200-400 ms ahead: never more, and a stall shorter than the lead leaves no gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.speaking.pacer import MESSAGE_MS, Pacer

LEAD_MS = 300


def test_the_first_messages_leave_at_once_up_to_the_lead() -> None:
    pacer = Pacer(LEAD_MS)
    sent = 0
    while pacer.wait_s(10.0) == 0:
        pacer.sent(MESSAGE_MS, 10.0)
        sent += 1
    assert sent * MESSAGE_MS == LEAD_MS + MESSAGE_MS


def test_then_one_leaves_each_time_one_has_played() -> None:
    pacer = Pacer(LEAD_MS)
    now, left = 10.0, []
    for _ in range(20):
        now += pacer.wait_s(now)
        left.append(round(now, 3))
        pacer.sent(MESSAGE_MS, now)
    assert left[4:8] == [10.1, 10.2, 10.3, 10.4]


def test_after_a_stall_everything_that_fell_due_leaves_at_once() -> None:
    """And nothing is re-anchored: the caller heard no gap, so none may be added."""
    pacer = Pacer(LEAD_MS)
    for _ in range(4):
        pacer.sent(MESSAGE_MS, 10.0)
    now = 10.25  # the loop hung for 250 ms; 150 ms are still buffered
    burst = 0
    while pacer.wait_s(now) == 0:
        pacer.sent(MESSAGE_MS, now)
        burst += 1
    assert burst == 2
    assert 300 < pacer.ahead_ms(now) <= 400


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1.0)), max_size=80))
def test_never_more_than_the_lead_and_one_message_ahead(steps: list[tuple[int, float]]) -> None:
    """Whatever the lengths of messages and the stalls between them, while the pacer is obeyed."""
    pacer = Pacer(LEAD_MS)
    now = 0.0
    for length_ms, stall_s in steps:
        now += pacer.wait_s(now) + stall_s
        pacer.sent(length_ms, now)
        assert pacer.ahead_ms(now) <= LEAD_MS + length_ms + 1e-6
