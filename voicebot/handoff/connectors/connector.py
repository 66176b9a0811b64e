"""What a system that takes handoffs looks like from here, and when a failed try is made again. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 900.0
"""Waits double from a second to a quarter of an hour: twelve tries take about 35 minutes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One step of a handoff. ``id``: the same for every try, so that a receiver can tell a repeat.

    ``body``: JSON values; personal values in it are tokens.
    """

    id: str
    event: str
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """It was taken."""


@dataclass(frozen=True, slots=True)
class Later:
    """It was not taken and may be next time. ``wait_s``: how long the other side asked us to wait."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken as it is."""

    reason: str


Answer = Delivered | Later | Refused


class Connector(Protocol):
    """A system that is told of every step of a handoff. Shared by all; never raises for the other side."""

    name: str
    outside: bool
    """Whether it has to be sent to; if not, the queue of this server is what it reads."""
    lease_s: float
    """Longer than one try can take."""
    tries: int

    async def send(self, message: Message) -> Answer:
        """One try."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class BuiltIn:
    """The queue of this server: its rows are the handoffs, so there is nothing to send."""

    name = "built_in"
    outside = False
    lease_s = 1.0
    tries = 1

    async def send(self, message: Message) -> Answer:
        """Stored is delivered."""
        return Delivered()

    async def close(self) -> None:
        """Nothing is held."""


def wait_s(delivery: str, tries: int, most: int, asked_s: float | None = None) -> float | None:
    """Seconds until the next try; None: no more.

    Args:
        delivery: its id; waits differ by up to a fifth from one to the next, so that not all come at once.
        tries: how many there were.
        most: how many there may be.
        asked_s: what the other side asked for; our own wait at least, the longest at most.
    """
    if tries >= most:
        return None
    own_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (tries - 1))
    spread = hashlib.sha256(f"{delivery} {tries}".encode()).digest()[0] / 255
    own_s *= 0.8 + 0.2 * spread
    return own_s if asked_s is None else min(LONGEST_WAIT_S, max(own_s, asked_s))
