"""Whom a node does not listen to any more: addresses that ask again and again for what they do not get. Pure.

Refusing an upgrade costs a node's loop 0.9 ms, which hundreds in a second take from its calls; not listening
to the connection costs a fifth of that (``scripts.bench.hostile --cost``). An address that has lately shown a
good signature is never turned away, whatever else comes from it: behind a proxy everything comes from one,
Twilio's requests too.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from voicebot.core.clock import Clock, monotonic

BURST = 30.0
"""Refusals of one address at once; somebody who sets up a number makes a few."""

PER_S = 2.0
"""And in the long run."""

TRUSTED_S = 900.0
"""After a good signature."""

MOST = 10_000
"""Addresses that are remembered, of each kind; then the one that was quiet for longest is forgotten."""


class Door:
    """A token bucket for each address; one per node.

    Attributes:
        held: connections from addresses that are not listened to, which are kept waiting.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        self._clock = clock
        self.held = 0
        self._unanswered: dict[str, int] = {}
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> (refusals left, when)
        self._trusted: OrderedDict[str, float] = OrderedDict()

    def refused(self, address: str | None) -> None:
        """Something from there was refused."""
        if address is None:
            return
        key = _key(address)
        self._left[key] = (max(0.0, self._refusals_left(key) - 1.0), self._clock())
        self._left.move_to_end(key)
        if len(self._left) > MOST:
            self._left.popitem(last=False)

    def welcomed(self, address: str | None) -> None:
        """Something from there was signed as it should be."""
        if address is None:
            return
        key = _key(address)
        self._trusted[key] = self._clock()
        self._trusted.move_to_end(key)
        if len(self._trusted) > MOST:
            self._trusted.popitem(last=False)

    def came(self, address: str | None) -> None:
        """A connection from there waits for its first answer, which may be a refusal: it counts as one."""
        if address is not None:
            key = _key(address)
            self._unanswered[key] = self._unanswered.get(key, 0) + 1

    def answered(self, address: str | None) -> None:
        """It has it, or is over."""
        if address is None:
            return
        key = _key(address)
        left = self._unanswered.pop(key) - 1
        if left:
            self._unanswered[key] = left

    def closed(self, address: str | None) -> bool:
        """Nothing is read from there for now."""
        if address is None:
            return False
        key = _key(address)
        if key not in self._left or self._refusals_left(key) - self._unanswered.get(key, 0) >= 1.0:
            return False
        return self._clock() - self._trusted.get(key, float("-inf")) > TRUSTED_S

    def _refusals_left(self, key: str) -> float:
        left, at_s = self._left.get(key, (BURST, self._clock()))
        return min(BURST, left + (self._clock() - at_s) * PER_S)


def _key(address: str) -> str:
    """The address; of IPv6 the network that one customer of a provider gets."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(int(found) >> 64)
