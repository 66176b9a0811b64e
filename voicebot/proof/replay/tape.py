"""What a call that is run tells of itself, kept in memory: `Tape`, for the log and for comparing."""

from __future__ import annotations

from typing import Any

from voicebot.audio.recording.wirelog import FROM_CALLER, Message


class MemoryTape:
    """Everything in the order in which it was told; sound is not kept.

    ``out`` are the messages that were sent to the caller.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.out: list[Message] = []
        self.bot_ms = 0
        self._head_ms = 0

    def caller(self, ulaw: bytes, timestamp_ms: int) -> None:
        """See `Tape`, here and below."""
        self._head_ms = max(self._head_ms, timestamp_ms + len(ulaw) // 8)

    def bot(self, ulaw: bytes, at_ms: int | None) -> None:  # noqa: D102
        self.bot_ms += len(ulaw) // 8

    def event(self, event: dict[str, Any]) -> None:  # noqa: D102
        self.events.append({"at_ms": self._head_ms, **event})

    def message(self, message: Message) -> None:  # noqa: D102
        if message.what not in FROM_CALLER:
            self.out.append(message)

    def pause(self, why: str) -> None:  # noqa: D102
        self.event({"type": "paused", "why": why})

    def resume(self) -> None:  # noqa: D102
        self.event({"type": "resumed"})

    def unsay(self, channel: str, at_ms: int, until_ms: int) -> None:  # noqa: D102
        self.event({"type": "unsaid", "channel": channel, "at_ms": max(0, at_ms), "until_ms": until_ms})

    async def close(self) -> None:  # noqa: D102
        return
