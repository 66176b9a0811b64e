"""Memory that the allocator keeps after calls goes back to the system once nobody calls.

Nothing of a call stays in a node (``scripts.bench.growth``), but glibc keeps what was freed in pieces between
what lives on: some 50 KB a call, for some hundreds of calls. Giving it back stops the allocator for a few
milliseconds, so it is not done beside a call.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

from voicebot.channels.node import NodeState

EVERY_S = 2.0
QUIET = 5
"""Looks in a row at which nobody calls."""


class Idle:
    """Pure: calls under way, look by look, in; "give back now?" out, once after calls have been there."""

    def __init__(self) -> None:
        self._quiet = 0
        self._used = True  # starting up leaves much

    def look(self, calls: int) -> bool:
        """Takes one look."""
        if calls:
            self._used, self._quiet = True, 0
            return False
        self._quiet += 1
        if self._used and self._quiet >= QUIET:
            self._used = False
            return True
        return False


async def give_back_memory(node: NodeState) -> None:
    """Looks until cancelled; returns at once where the C library has no such call."""
    trim = _trim()
    if trim is None:
        return
    idle = Idle()
    while True:
        await asyncio.sleep(EVERY_S)
        if idle.look(node.calls):
            await asyncio.to_thread(trim, 0)


def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return None
