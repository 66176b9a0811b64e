"""Tests in virtual time: see ``voicebot.proof.virtual_time``.

@virtual
async def test_it_gives_up_after_a_minute(): ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from voicebot.proof.virtual_time import START_S, VirtualTimeError, VirtualTimeLoop, outside_work, run

__all__ = ["START_S", "VirtualTimeError", "VirtualTimeLoop", "outside_work", "run", "virtual"]


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorates an ``async def`` test: it runs in virtual time. Synchronous fixtures work as usual."""

    @functools.wraps(test)
    def in_virtual_time(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return in_virtual_time
