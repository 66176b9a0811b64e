"""What a writer of words is given, what it answers with, and how it fails. Plain values: no connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from pydantic import Field

from voicebot.core.conversation import Route, Strict
from voicebot.dialogue.knowledge.passage import Passage


class Exchange(Strict):
    """What was said before: the caller's words, and what they heard of the answer."""

    caller: str
    bot: str


class ToolResult(Strict):
    """What a tool gave for this caller. A model that writes sees the names of its fields, never values.

    ``name``: the word before the dot of a slot (``order`` in ``{order.due_on}``). ``outcome``: the case of
    the tool's closed set, which a model may know. ``fields``: values, rendered by `spoken.spoken`.
    """

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    outcome: str
    fields: dict[str, Any] = Field(default_factory=dict[str, Any])


class GenerationRequest(Strict):
    """One answer to be written: at most ``sentences`` short ones, from ``passages`` and nothing else.

    ``route``: the one that policy asks for. ``tier``: of the intent, 0..3; from 1 on the caller hears
    where an answer comes from, from 2 on also why. ``more``: the caller asked to hear on; what stands in
    ``history`` is not said again. ``notes``: what colleagues want said with it, in approved words.
    """

    conversation_id: str
    turn: int
    intent: str
    route: Route
    question: str
    passages: tuple[Passage, ...]
    history: tuple[Exchange, ...] = ()
    sentences: int = Field(default=2, ge=1, le=8)
    tier: int = Field(default=0, ge=0, le=3)
    results: tuple[ToolResult, ...] = ()
    more: bool = False
    notes: tuple[str, ...] = ()


class Failure(StrEnum):
    """The closed set of ways in which a writer fails. Those of the endpoint count for its circuit breaker."""

    STALL = "stall"
    """No first token, or too long a gap between two."""
    TOO_LONG = "too_long"
    """No clause, or no end, within its time, though tokens came."""
    UNREACHABLE = "unreachable"
    RATE_LIMIT = "rate_limit"
    REJECTED = "rejected"
    """The endpoint does not take us: key, model name, quota, or the request itself."""
    STATUS = "status"
    """It answered with another error."""
    BROKEN = "broken"
    """What it sent cannot be read."""
    CUT = "cut"
    """It stopped in the middle of a sentence."""
    EMPTY = "empty"
    TOOL = "tool"
    """It asked for a tool. A writer has none."""
    REFUSAL = "refusal"
    SLOT = "slot"
    """It wrote a slot that stands for nothing."""
    BLOCKED = "blocked"
    """The output guard stopped a clause."""


ENDPOINT_FAILURES = frozenset(
    {
        Failure.STALL,
        Failure.TOO_LONG,
        Failure.UNREACHABLE,
        Failure.RATE_LIMIT,
        Failure.REJECTED,
        Failure.STATUS,
        Failure.BROKEN,
    }
)
"""Failures that say something about the endpoint, not about this one answer."""


class GenerationFailed(Exception):  # a state of the answer
    """The writer is gone, late, or answered with something unusable.

    ``reason`` holds nothing of the caller's. ``began``: words were given already. ``wait_s``: seconds the
    endpoint asked us to stay away, if it did.
    """

    def __init__(
        self,
        reason: str,
        *,
        began: bool = False,
        failure: Failure = Failure.BROKEN,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.began = began
        self.failure = failure
        self.wait_s = wait_s


@dataclass
class Meter:
    """What one answer took, filled in by the writer as it becomes known. Survives a stream that is closed.

    ``tokens_in``/``tokens_out``: as the endpoint counts them, None until it said so. ``prompt``: name,
    version and digest of the prompt. ``prompt_chars``: its length. ``finished``: the answer ended by itself.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    prompt: str = ""
    prompt_chars: int = 0
    finished: bool = False


class Generator(Protocol):
    """Writes an answer token by token. Shared by all conversations; a stream is cancelled by closing it."""

    name: str
    version: str
    """What wrote the words."""

    def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        """The answer in tokens; ``meter`` is filled in on the way.

        Raises:
            GenerationFailed: while iterating.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
