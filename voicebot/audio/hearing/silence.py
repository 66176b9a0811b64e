"""The caller's silence: a timer that runs while neither side makes a sound. Thin shell over the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SilenceTimer:
    """Calls ``silent(nth)`` each time ``silence_s`` passed unbroken; ``nth`` counts until ``heard()``.

    Belongs to one call and one event loop; every method returns at once.
    """

    def __init__(self, silence_s: float, silent: Callable[[int], None]) -> None:
        self._silence_s = silence_s
        self._silent = silent
        self._nth = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Counts from now: the last sound of either side just ended."""
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(self._silence_s, self._fire)

    def stop(self) -> None:
        """Stands still: somebody makes a sound, or words are being worked out."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def heard(self) -> None:
        """The caller said (or keyed) something: counting starts from one again."""
        self._nth = 0

    def _fire(self) -> None:
        self._nth += 1
        self.start()
        self._silent(self._nth)
