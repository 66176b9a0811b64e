"""A machine takes as many calls as its nodes have places, whichever nodes webhook and socket land on."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.channels.machine import FRESH_S, PLEDGE_S, PLEDGES, Machine
from voicebot.channels.node import NodeState


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nodes(tmp_path: Path, clock: Clock) -> list[NodeState]:
    """Two nodes with two places each, as two processes would see the table."""
    path = Machine.file(tmp_path / "calls", 2)
    both = [NodeState(f"n{n}", 2, machine=Machine(path, n, 2, clock=clock)) for n in range(2)]
    for node in both:
        node.tell()
    return both


def test_places_count_for_all_nodes_together(nodes: list[NodeState]) -> None:
    one, other = nodes
    one.calls = 3  # more sockets than its own places landed here
    one.tell()
    assert not other.full
    other.calls = 1
    assert other.no_room == "places"
    assert one.full


def test_a_webhook_keeps_a_place_until_its_socket_comes_to_the_other_node(nodes: list[NodeState]) -> None:
    one, other = nodes
    assert [one.pledge(f"CA{n}") for n in range(5)] == [True, True, True, True, False]
    assert not other.pledge("CA9")
    other.calls += 1
    other.arrived("CA0")
    assert other.machine.taken == 4  # a call and three pledges
    other.calls -= 1
    other.tell()
    assert other.pledge("CA9")
    assert not one.pledge("CA10")


def test_the_same_webhook_again_keeps_one_place(nodes: list[NodeState]) -> None:
    one, other = nodes
    assert one.pledge("CA1")
    assert one.pledge("CA1")
    assert other.pledge("CA1")
    assert one.machine.taken == 1


def test_a_socket_that_never_comes_gives_its_place_back(nodes: list[NodeState], clock: Clock) -> None:
    one, other = nodes
    for n in range(4):
        one.pledge(f"CA{n}")
    assert other.full
    clock.now_s += PLEDGE_S - 0.1
    for node in nodes:
        node.tell()
    assert other.full
    clock.now_s += 0.2
    assert not other.full


def test_a_node_that_died_has_no_calls_and_no_places(nodes: list[NodeState], clock: Clock) -> None:
    one, other = nodes
    one.calls = 2
    one.tell()
    clock.now_s += FRESH_S + 0.1
    other.tell()
    assert (other.machine.taken, other.machine.places) == (0, 2)


def test_a_node_that_drains_takes_no_others_place(nodes: list[NodeState]) -> None:
    one, other = nodes
    one.calls, one.accepting = 2, False
    one.tell()
    assert (other.machine.taken, other.machine.places) == (0, 2)
    assert not other.full


def test_more_webhooks_than_the_table_holds_are_refused(clock: Clock) -> None:
    node = NodeState("n", 10_000, machine=Machine(clock=clock))
    assert sum(node.pledge(f"CA{n}") for n in range(PLEDGES + 10)) == PLEDGES


@pytest.mark.parametrize(
    ("what", "reason"), [("crowded", "recogniser"), ("late", "loop"), ("tight", "memory")]
)
def test_what_runs_out_before_the_places(what: str, reason: str) -> None:
    node = NodeState("n", 5)
    assert node.pledge("CA1")
    setattr(node, what, True)
    assert node.no_room == reason
    assert not node.pledge("CA2")


def test_a_node_of_its_own_counts_its_own(clock: Clock) -> None:
    node = NodeState("n", 2)
    node.calls = 1
    assert not node.full
    node.calls = 2
    assert node.full
