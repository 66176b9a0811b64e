"""A recogniser that is full turns new callers away, and takes them again only when it has room."""

from __future__ import annotations

import pytest

from voicebot.channels.node import NodeState
from voicebot.runtime.crowding import Crowding, Strain


@pytest.mark.parametrize(
    ("loads", "full"),
    [
        ([0.5, 0.89, 0.89, 0.89], False),
        ([0.95], False),
        ([0.95, 0.5, 0.95, 0.5, 0.95], False),
        ([0.95, 0.92], True),
        ([1.0, 1.0, 0.8, 0.8, 0.8], True),
        ([1.0, 1.0, 0.7], True),
        ([1.0, 1.0, 0.7, 0.8, 0.7], True),
        ([1.0, 1.0, 0.7, 0.6], False),
    ],
)
def test_only_a_lasting_load_closes_and_only_lasting_room_opens(loads: list[float], full: bool) -> None:
    crowding = Crowding()
    assert [crowding.look(load) for load in loads][-1] is full


@pytest.mark.parametrize(
    ("readings", "strained"),
    [
        pytest.param([(0.5, 0.0)] * 3, False, id="busy, but there is time"),
        pytest.param([(0.7, 0.0)], False, id="one long utterance"),
        pytest.param([(0.7, 0.0)] * 2, True, id="the recogniser has no time"),
        pytest.param([(0.0, 0.05)] * 2, True, id="the node itself has none"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.5, 0.0)] * 3, True, id="not yet easy"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.1, 0.02)] * 3, True, id="late all the same"),
        pytest.param([(0.7, 0.0)] * 2 + [(0.1, 0.0)] * 2, False, id="time again"),
    ],
)
def test_under_load_nothing_is_planned_that_may_be_thrown_away(
    readings: list[tuple[float, float]], strained: bool
) -> None:
    strain = Strain()
    assert [strain.look(*reading) for reading in readings][-1] is strained


def test_a_node_whose_recogniser_is_full_has_no_room() -> None:
    node = NodeState(node_id="n", max_calls=2)
    assert not node.full
    node.crowded = True
    assert node.full
