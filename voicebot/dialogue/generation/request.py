"""What a writer of words is given. Plain values: no state, no connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from voicebot.core.conversation import Route, Strict
from voicebot.dialogue.knowledge.search import Passage


class Exchange(Strict):
    """What was said before: the caller's words, and what they heard of the answer."""

    caller: str
    bot: str


class GenerationRequest(Strict):
    """One answer to be written: at most ``sentences`` short ones, from ``passages`` and nothing else."""

    conversation_id: str
    turn: int
    intent: str
    route: Route
    question: str
    passages: tuple[Passage, ...]
    history: tuple[Exchange, ...] = ()
    sentences: int = 2


class GenerationFailed(Exception):  # a state of the answer
    """The writer is gone, late, or answered with something unusable. ``began``: words were given already."""

    def __init__(self, reason: str, *, began: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.began = began


class Generator(Protocol):
    """Writes an answer token by token. Shared by all conversations; a stream is cancelled by closing it."""

    name: str
    version: str
    """What wrote the words, to the version of its prompt."""

    def stream(self, request: GenerationRequest) -> AsyncIterator[str]:
        """The answer in tokens.

        Raises:
            GenerationFailed: while iterating.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
