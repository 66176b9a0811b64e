"""A machine takes as many calls as its nodes have places, whichever nodes webhook and socket land on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicebot.channels.machine import FRESH_S, PLEDGE_S, PLEDGES, WAITS_FOR_S, Machine, key_of
from voicebot.channels.node import NodeState


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def wall(clock: Clock) -> Callable[[], float]:
    """Seconds since 1970 beside it."""
    return lambda: clock.now_s + 1_700_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nodes(tmp_path: Path, clock: Clock) -> list[NodeState]:
    """Two nodes with two places each, as two processes would see the table."""
    path = Machine.file(tmp_path / "calls", 2)
    both = [
        NodeState(f"n{n}", 2, machine=Machine(path, n, 2, clock=clock, now=wall(clock))) for n in range(2)
    ]
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


@pytest.mark.parametrize(
    ("what", "reason"), [("crowded", "recogniser"), ("late", "loop"), ("tight", "memory")]
)
def test_what_runs_short_on_one_node_counts_on_the_other(
    nodes: list[NodeState], clock: Clock, what: str, reason: str
) -> None:
    """The next call's socket may land there."""
    one, other = nodes
    setattr(one, what, True)
    one.tell()
    assert other.no_room == reason
    assert not other.pledge("CA1")
    clock.now_s += FRESH_S + 0.1  # it has died
    assert other.no_room is None


def test_what_all_share_bounds_all_nodes_together(nodes: list[NodeState]) -> None:
    one, other = nodes
    one.holds = 3
    one.tell()
    assert other.machine.places == 3
    one.holds, one.loop_holds = None, 1  # its own loop is no bound for the other's
    one.tell()
    assert other.machine.places == 3
    other.holds = 2
    assert other.full is False
    assert one.machine.places == 2


# --- who waits ------------------------------------------------------------------------------------


def filled(nodes: list[NodeState]) -> tuple[NodeState, NodeState]:
    """All four places are taken, by calls of the first node."""
    one, other = nodes
    one.calls = 4
    one.tell()
    return one, other


def freed(node: NodeState, calls: int = 1) -> None:
    node.calls -= calls
    node.tell()


def test_who_waits_longest_gets_the_place_whichever_node_is_asked(
    nodes: list[NodeState], clock: Clock
) -> None:
    one, other = filled(nodes)
    for n, node in enumerate((one, other, one)):
        assert not node.pledge(f"CA{n}")
        node.machine.wait(f"CA{n}")
        clock.now_s += 1
    freed(one)
    assert not other.pledge("CA9"), "a newcomer is behind all of them"
    assert not other.pledge("CA2")
    assert not one.pledge("CA1")
    assert one.machine.next_in_line() == {key_of("CA0")}
    assert other.pledge("CA0")
    assert not one.pledge("CA1"), "the place was one"
    freed(one, 2)
    assert one.machine.next_in_line() == {key_of("CA1"), key_of("CA2")}
    assert other.pledge("CA2"), "there is one for each who waits"
    assert other.pledge("CA1")


def test_asking_again_keeps_the_place_in_the_line(nodes: list[NodeState], clock: Clock) -> None:
    one, other = filled(nodes)
    one.machine.wait("CA0")
    clock.now_s += 2
    one.machine.wait("CA1")
    for _ in range(4):
        clock.now_s += 16
        other.machine.wait("CA0")
        one.machine.wait("CA1")
        one.tell()
        other.tell()
    assert other.machine.waiting == 2
    freed(one)
    assert one.machine.next_in_line() == {key_of("CA0")}


def test_who_hung_up_or_never_asked_again_keeps_nobody_waiting(nodes: list[NodeState], clock: Clock) -> None:
    one, other = filled(nodes)
    for n in range(3):
        one.machine.wait(f"CA{n}")
        clock.now_s += 0.5
    freed(one)
    other.arrived("CA0")  # a status callback says that the call is over
    assert other.machine.next_in_line() == {key_of("CA1")}
    clock.now_s += WAITS_FOR_S
    one.tell()
    other.machine.wait("CA2", 1_700_001_000)
    assert other.machine.waiting == 1
    assert other.pledge("CA2")


def test_who_waited_at_another_machine_comes_before_who_waits_for_less(
    nodes: list[NodeState], clock: Clock
) -> None:
    """The URL that Twilio asks again says since when."""
    one, other = filled(nodes)
    one.machine.wait("CA0")
    freed(one)
    long_ago = wall(clock)() - 60
    assert not other.pledge("CA1", wall(clock)() + 1)
    assert other.pledge("CA1", long_ago)


def test_the_line_holds_so_many_and_nobody_is_lost_past_it(clock: Clock) -> None:
    node = NodeState("n", 1, machine=Machine(clock=clock, now=wall(clock)))
    node.calls = 1
    node.tell()
    for n in range(600):
        node.machine.wait(f"CA{n}")
    assert node.machine.waiting == 512
    node.calls = 0
    assert not node.pledge("CA599")
    (first,) = node.machine.next_in_line()
    assert node.pledge(next(f"CA{n}" for n in range(512) if key_of(f"CA{n}") == first))


def test_a_balancer_is_told_at_once_and_not_at_every_call_that_ends(nodes: list[NodeState]) -> None:
    """Both nodes say so as soon as the last place is given; who waits is before whom a balancer sends."""
    for node in nodes:
        node.max_calls = 40
        node.tell()
    one, other = nodes
    one.calls = 79
    one.tell()
    assert (one.not_ready, other.not_ready) == (None, None)
    assert one.pledge("CA1")
    assert (one.not_ready, other.not_ready) == ("places", "places")
    freed(one)
    assert other.no_room is None, "a caller who comes all the same is taken"
    assert other.not_ready == "places"
    freed(one, 3)
    other.machine.wait("CA2")
    assert other.not_ready == "places"
    other.machine.redeem("CA2")
    assert (one.not_ready, other.not_ready) == (None, None)
