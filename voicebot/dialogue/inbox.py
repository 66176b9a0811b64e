"""What comes to a conversation from elsewhere than its caller: late results, agents' decisions, timers.

A channel that holds a conversation opens its box and plans what comes, in order, like a caller's turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from voicebot.core.conversation import TurnInput

SIZE = 32
"""Inputs that may wait for one conversation; more than a handful means that nobody reads."""


class Inbox:
    """The boxes of the conversations that this process holds. One event loop."""

    def __init__(self) -> None:
        self._boxes: dict[str, asyncio.Queue[TurnInput]] = {}
        self._opened: dict[str, int] = {}
        self._count = 0

    @contextmanager
    def open(self, conversation_id: str) -> Generator[asyncio.Queue[TurnInput]]:
        """The conversation's box while the block lasts; a later opener takes it over."""
        box: asyncio.Queue[TurnInput] = asyncio.Queue(SIZE)
        self._boxes[conversation_id] = box
        self._count += 1
        self._opened[conversation_id] = self._count
        try:
            yield box
        finally:
            if self._boxes.get(conversation_id) is box:
                del self._boxes[conversation_id]
                del self._opened[conversation_id]

    @property
    def held(self) -> Mapping[str, int]:
        """The conversations that have a box here, and the number of that box: one reopened has another."""
        return self._opened

    def deliver(self, conversation_id: str, given: TurnInput) -> bool:
        """Puts an input into the box; False if this process does not hold the conversation, or it is full."""
        box = self._boxes.get(conversation_id)
        if box is None or box.full():
            return False
        box.put_nowait(given)
        return True
