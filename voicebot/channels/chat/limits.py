"""How much one address may write: token buckets, few of them. Pure."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from voicebot.core.clock import Clock

MAX_ADDRESSES = 20_000
"""Buckets kept; the one that was unused longest goes first."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, ``per_s`` in the long run."""

    burst: int
    per_s: float


MESSAGES = Rate(burst=20, per_s=0.5)
"""More than anybody types, less than a program that tries ids or runs up costs."""
BEGINNINGS = Rate(burst=5, per_s=1 / 30)


class Limit:
    """One rate, for each address by itself."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> int:
        """Takes one; 0, or the whole seconds to wait because there is none."""
        now = self._clock()
        tokens, wait_s = self._left(address, now)
        self._buckets.pop(address, None)
        self._buckets[address] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait_s

    def wait_s(self, address: str) -> int:
        """What `take` would say; takes nothing."""
        return self._left(address, self._clock())[1]

    def _left(self, address: str, now: float) -> tuple[float, int]:
        tokens, at = self._buckets.get(address, (float(self._rate.burst), now))
        tokens = min(float(self._rate.burst), tokens + (now - at) * self._rate.per_s)
        return tokens, 0 if tokens >= 1 else math.ceil((1 - tokens) / self._rate.per_s)


def of_one_customer(host: str) -> str:
    """An address as it is limited: IPv6 by its /64, which one connection owns whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(getattr(address, "ipv4_mapped", None) or address)
