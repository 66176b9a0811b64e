"""Sockets that are open on a conversation: what comes later (an approved answer) reaches the customer."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from voicebot.channels.chat.reply import ChatEvent

SIZE = 256
"""Events that wait for a socket that does not read; what comes then goes with the next reply."""


class Watcher:
    """One socket. It follows one conversation at a time: the last it wrote in."""

    def __init__(self, all_of_them: dict[str, set[Watcher]]) -> None:
        self._all = all_of_them
        self._conversation_id: str | None = None
        self.after: int | None = None
        """The last line of a colleague's that it has; None: none yet, what reached nobody is for it."""
        self.events: asyncio.Queue[ChatEvent] = asyncio.Queue(SIZE)

    def follow(self, conversation_id: str, after: int | None = None) -> None:
        """From now on it gets what comes late in this conversation, and what colleagues write."""
        if conversation_id != self._conversation_id:
            self.leave()
            self._conversation_id, self.after = conversation_id, after
            self._all.setdefault(conversation_id, set()).add(self)
        elif after is not None:
            self.after = after

    def leave(self) -> None:
        """It follows nothing any more."""
        others = self._all.get(self._conversation_id or "", set())
        others.discard(self)
        if not others:
            self._all.pop(self._conversation_id or "", None)


class Watchers:
    """The sockets of this process."""

    def __init__(self) -> None:
        self._all: dict[str, set[Watcher]] = {}

    @contextmanager
    def one(self) -> Generator[Watcher]:
        """A socket, while the block lasts."""
        watcher = Watcher(self._all)
        try:
            yield watcher
        finally:
            watcher.leave()

    @property
    def conversations(self) -> frozenset[str]:
        """Those that somebody follows here."""
        return frozenset(self._all)

    def of(self, conversation_id: str) -> tuple[Watcher, ...]:
        """Who follows it here."""
        return tuple(self._all.get(conversation_id, ()))

    def reach(self, conversation_id: str) -> bool:
        """Whether somebody would get an event now."""
        return any(not watcher.events.full() for watcher in self._all.get(conversation_id, ()))

    def tell(self, conversation_id: str, event: ChatEvent) -> None:
        """Gives an event to all who follow."""
        for watcher in self._all.get(conversation_id, ()):
            if not watcher.events.full():
                watcher.events.put_nowait(event)
