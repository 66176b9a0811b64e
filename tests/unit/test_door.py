"""An address that is refused again and again is not listened to; one with a good signature always is."""

from __future__ import annotations

import pytest

from voicebot.channels.door import BURST, MOST, PER_S, TRUSTED_S, Door


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(door: Door, address: str, times: float = BURST) -> None:
    for _ in range(int(times)):
        door.refused(address)


def test_a_few_refusals_are_nothing(clock: Clock) -> None:
    door = Door(clock)
    refused(door, "192.0.2.1", BURST - 1)
    assert not door.closed("192.0.2.1")
    assert not door.closed(None)


def test_many_close_the_door_for_that_address_alone_and_for_a_while(clock: Clock) -> None:
    door = Door(clock)
    refused(door, "192.0.2.1")
    assert door.closed("192.0.2.1")
    assert not door.closed("192.0.2.2")
    clock.now_s += 1 / PER_S
    assert not door.closed("192.0.2.1")
    door.refused("192.0.2.1")
    assert door.closed("192.0.2.1")


def test_what_is_not_answered_yet_counts_where_something_was_refused(clock: Clock) -> None:
    """Who comes a hundred at a time is not let in for one place; who was never refused may."""
    door = Door(clock)
    for _ in range(100):
        door.came("192.0.2.1")
        door.came("192.0.2.2")
    refused(door, "192.0.2.1", 1)
    assert door.closed("192.0.2.1")
    assert not door.closed("192.0.2.2")
    for _ in range(100):
        door.answered("192.0.2.1")
    assert not door.closed("192.0.2.1")
    door.welcomed("192.0.2.2")
    refused(door, "192.0.2.2", 1)
    assert not door.closed("192.0.2.2"), "Twilio may come as often as it likes"


def test_a_good_signature_keeps_it_open_whatever_else_comes(clock: Clock) -> None:
    """As behind a proxy; but not for ever after."""
    door = Door(clock)
    door.welcomed("10.0.0.1")
    refused(door, "10.0.0.1", 1000)
    assert not door.closed("10.0.0.1")
    clock.now_s += TRUSTED_S + 1
    refused(door, "10.0.0.1", 1000)
    assert door.closed("10.0.0.1")
    door.welcomed("10.0.0.1")
    assert not door.closed("10.0.0.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_network_of_ipv6_is_one_address(clock: Clock, one: str, other: str, same: bool) -> None:
    door = Door(clock)
    refused(door, one)
    assert door.closed(other) is same


def test_memory_is_bounded(clock: Clock) -> None:
    """A flood from everywhere forgets the oldest."""
    door = Door(clock)
    refused(door, "192.0.2.1")
    for n in range(MOST):
        door.refused(f"198.51.{n // 256}.{n % 256}")
    assert not door.closed("192.0.2.1")
