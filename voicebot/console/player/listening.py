"""Who listens to what: a player asks for a sound in many parts, which are one listening."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

QUIET_S = 600.0
"""Who asked for nothing of it for so long listens anew."""
MOST = 10_000


class Listening:
    """One per node; what several nodes serve is told of by each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def begins(self, *listening: str) -> bool:
        """Whether this request begins one: then it has to be logged before any of it is sent."""
        before = self._last.get(listening)
        return before is None or self._clock() - before > QUIET_S

    def goes_on(self, *listening: str) -> None:
        """It is logged: what is asked for from now on belongs to it."""
        self._last[listening] = self._clock()
        self._last.move_to_end(listening)
        while len(self._last) > MOST:
            self._last.popitem(last=False)
