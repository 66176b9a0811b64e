"""What calls cost is learned from those there are, and new ones count by that before they cost anything."""

from __future__ import annotations

import pytest

from voicebot.channels.machine import Machine
from voicebot.channels.node import NodeState
from voicebot.runtime.capacity import KNOWN, LEAST, SEASONED_S, Capacity
from voicebot.runtime.crowding import CALL_MB, LOW_MB, memory_holds

AT_FIRST = 16
TARGETS = {"stt": 0.7, "turn": 0.7, "tts": 0.7}


def after(readings: list[tuple[int, float]], seconds: int = 1) -> int:
    """What it says after so many seconds of each reading: calls, and the busy share of one engine."""
    capacity = Capacity(AT_FIRST, TARGETS)
    said = AT_FIRST
    for calls, load in readings:
        for _ in range(seconds):
            said = capacity.look(calls, {"stt": load})
    return said


@pytest.mark.parametrize(
    ("readings", "holds"),
    [
        pytest.param([(0, 0.0)], AT_FIRST, id="nobody calls"),
        pytest.param([(1, 0.9)], AT_FIRST, id="one caller who speaks says little"),
        pytest.param([(10, 0.35)], 20, id="ten calls at half of the target"),
        pytest.param([(10, 0.7)], 10, id="ten calls at the target"),
        pytest.param([(10, 0.9)], 7, id="too many already"),
        pytest.param([(10, 0.0)], int(0.7 / LEAST), id="cost nothing: as many as there are places"),
        pytest.param([(2, 1.0)], 1, id="never none"),
        pytest.param([(10, 0.35), (0, 0.0)], 20, id="a quiet hour forgets nothing"),
    ],
)
def test_what_calls_cost_says_how_many_there_may_be(readings: list[tuple[int, float]], holds: int) -> None:
    assert after(readings, 60 if readings[0][0] > 1 else 20) == holds


def test_calls_that_have_just_come_do_not_make_calls_look_cheap() -> None:
    """Thirty more are let in at once and greeted: the load is still that of ten."""
    assert after([(10, 0.35)] * 40 + [(40, 0.35)] * (SEASONED_S - 1)) == 20


def test_nothing_is_said_before_calls_were_seen_for_a_while() -> None:
    assert after([(10, 0.9)] * (SEASONED_S - 1)) == AT_FIRST
    looks = SEASONED_S - 1 + int(KNOWN) // 10
    assert after([(10, 0.9)] * (looks - 1)) == AT_FIRST
    assert after([(10, 0.9)] * (looks + 1)) < 10


def test_when_calls_cost_otherwise_it_is_learned_anew() -> None:
    """Another model, or a day on which everybody talks much."""
    dear = [(10, 0.7)] * 60
    assert after(dear) == 10
    assert after(dear + [(10, 0.14)] * 300) in range(45, 51)


def test_the_scarcest_part_counts_and_one_that_is_away_says_nothing() -> None:
    capacity = Capacity(AT_FIRST, TARGETS)
    for _ in range(40):
        said = capacity.look(10, {"stt": 0.1, "turn": 0.5})
    assert said == capacity.holds("turn") == 14
    assert capacity.look(10, {"stt": 0.1}) == 14
    assert capacity.holds("tts") is None


@pytest.mark.parametrize(
    ("calls", "free_mb", "holds"),
    [(0, LOW_MB, 0), (7, LOW_MB - 50, 7), (7, LOW_MB + 10 * CALL_MB, 17)],
)
def test_memory_that_is_left_is_so_many_calls_more(calls: int, free_mb: float, holds: int) -> None:
    assert memory_holds(calls, free_mb) == holds


def test_a_node_takes_no_more_than_what_was_learned() -> None:
    node = NodeState("n", 40, machine=Machine())
    node.calls, node.holds = 9, 10
    assert node.pledge("CA1")
    assert not node.pledge("CA2")
    node.holds, node.loop_holds = None, 10
    assert node.no_room == "places"
    node.loop_holds = 11
    assert node.pledge("CA2")
