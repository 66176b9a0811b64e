"""One message of a conversation at a time, in the order in which they came; not endlessly many behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from voicebot.channels.chat.errors import ChatCrowded

MAX_WAITING = 8


class Turnstile:
    """One per process; other nodes are kept apart by the version of the conversation's state."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def one(self, conversation_id: str) -> AsyncGenerator[None]:
        """Waits for its turn.

        Raises:
            ChatCrowded: too many wait already.
        """
        lock, inside = self._locks.get(conversation_id, (asyncio.Lock(), 0))
        if inside > self._max_waiting:
            raise ChatCrowded
        self._locks[conversation_id] = (lock, inside + 1)
        try:
            async with lock:
                yield
        finally:
            lock, inside = self._locks.pop(conversation_id)
            if inside > 1:
                self._locks[conversation_id] = (lock, inside - 1)
