"""The caller's silence: a timer that runs while neither side makes a sound. Thin shell over the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LEAST_S = 1.0
"""After a sound that was nothing the caller has at least so long before they are asked."""


class SilenceTimer:
    """Calls ``silent(nth)`` each time ``silence_s`` passed unbroken; ``nth`` counts until ``heard()``.

    Belongs to one call and one event loop; every method returns at once.
    """

    def __init__(self, silence_s: float, silent: Callable[[int], None]) -> None:
        self._silence_s = silence_s
        self._silent = silent
        self._nth = 0
        self._left_s = silence_s
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Goes on counting, from where it stood still. Running already, it begins anew."""
        if self._handle is not None:
            self.stop()
            self._left_s = self._silence_s
        self._handle = asyncio.get_running_loop().call_later(self._left_s, self._fire)

    def stop(self) -> None:
        """Stands still: somebody makes a sound, or words are being worked out."""
        if self._handle is not None:
            self._left_s = max(LEAST_S, self._handle.when() - asyncio.get_running_loop().time())
            self._handle.cancel()
            self._handle = None

    def broken(self) -> None:
        """The silence is over: what comes next is counted whole. A click alone does not break it."""
        self._left_s = self._silence_s

    def heard(self) -> None:
        """The caller said (or keyed) something: counting starts from one again."""
        self._nth = 0
        self.broken()

    def _fire(self) -> None:
        self._nth += 1
        self._handle = None
        self._left_s = self._silence_s
        self.start()
        self._silent(self._nth)
