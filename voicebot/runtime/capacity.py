"""How many calls a part carries, from what it has carried. Pure.

A limit that is seen when it is reached is seen too late: a call costs nothing while it is greeted, and a
dozen that were let in meanwhile begin to speak together. So what calls cost is learned from those that have
been under way for a while, and calls are counted by that before they cost anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

SEASONED_S = 10
"""Looks, one a second, over which a call must have been under way: greeted, and spoken itself."""

KNOWN = 60.0
"""Call-seconds that must have been seen before they say anything: six callers for ten seconds."""

HALF = 400.0
"""Call-seconds after which what was seen before counts half. Nothing is forgotten while nobody calls."""

LEAST = 0.001
"""Of a part, what a call is taken to cost at least: what can be told from an idle one."""


class Capacity:
    """A reading of some parts once a second in, the calls that the scarcest of them carries out.

    Args:
        at_first: calls that are taken to fit before any have been seen.
        targets: parts, and the busy share of each, 0..1, up to which calls may come. Callers speak at random:
            where all threads are busy 0.7 of the time, lines are short, and beyond it they grow fast.
    """

    def __init__(self, at_first: int, targets: Mapping[str, float]) -> None:
        self._at_first = at_first
        self._targets = targets
        self._calls: deque[int] = deque(maxlen=SEASONED_S)
        self._seen: dict[str, tuple[float, float]] = {}  # part -> (load-seconds, call-seconds)

    def look(self, calls: int, loads: Mapping[str, float]) -> int:
        """Takes one reading.

        Args:
            calls: under way now.
            loads: busy share of each part, 0..1; one that cannot be read now is left out.

        Returns:
            Calls that may be under way at once; at least 1.
        """
        self._calls.append(calls)
        seasoned = min(self._calls) if len(self._calls) == SEASONED_S else 0
        if seasoned:
            kept = 0.5 ** (seasoned / HALF)
            for part, load in loads.items():
                spent, of = self._seen.get(part, (0.0, 0.0))
                self._seen[part] = (spent * kept + load, of * kept + seasoned)
        bounds = [self.holds(part) for part in self._seen]
        known = [bound for bound in bounds if bound is not None]
        return min(known) if known else self._at_first

    def holds(self, part: str) -> int | None:
        """Calls that one part carries; None: not enough has been seen."""
        spent, of = self._seen.get(part, (0.0, 0.0))
        if of < KNOWN:
            return None
        return max(1, int(self._targets[part] / max(LEAST, spent / of)))
