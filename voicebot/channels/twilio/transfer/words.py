"""What is said during a transfer: the deployment's lines in the bot's voice, the briefing in the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import structlog

from voicebot.channels.twilio.transfer.documents import PATH, path
from voicebot.handoff.transfer.states import State, Transfer

log = structlog.get_logger(__name__)

RENDER_S = 1.2
"""So long a person waits for the briefing in the bot's voice; then Twilio's own reads it."""

_KEPT = 200

Key = Literal["waiting", "another", "coming", "sending", "take", "take_again", "thanks"]
KEYS: dict[str, str] = {
    "waiting": "transfer.waiting",
    "another": "transfer.another",
    "coming": "transfer.coming",
    "sending": "transfer.sending",
    "take": "transfer.take",
    "take_again": "transfer.take_again",
    "thanks": "transfer.thanks",
}
"""Names in URLs -> keys of the deployment's phrases."""


class Lines(Protocol):
    """The deployment's phrases."""

    def text(self, key: str, nth: int = 0, /, **slots: Any) -> str:
        """A line's words; ``nth`` counts how often it was said."""
        ...

    def variants(self, key: str) -> int:
        """How many wordings it has."""
        ...


async def _no_sound(_: str) -> bytes | None:
    return None


@dataclass
class Words:
    """One per node.

    Attributes:
        lines: the deployment's phrases.
        kept: a fixed line as WAV, if it was rendered; never waits for an engine.
        render: any words as WAV; None when the engine is down.
    """

    lines: Lines
    kept: Callable[[str], Awaitable[bytes | None]] = _no_sound
    render: Callable[[str], Awaitable[bytes | None]] = _no_sound
    _briefings: OrderedDict[str, asyncio.Task[bytes | None]] = field(
        default_factory=OrderedDict[str, "asyncio.Task[bytes | None]"]
    )

    def line(self, key: Key, nth: int = 0) -> str:
        """The words of a line; its wordings go round."""
        name = KEYS[key]
        return self.lines.text(name, nth % self.lines.variants(name))

    async def said(self, key: Key, nth: int = 0) -> tuple[str, str | None]:
        """A line's words, and where its sound lies if it is there."""
        words = self.line(key, nth)
        sound = f"{PATH}/words/{key}/{nth}.wav"
        return words, sound if await self.kept(words) is not None else None

    def prepare(self, transfer_id: str, words: str) -> asyncio.Task[bytes | None]:
        """Renders a briefing in the background; one that is under way is not begun again."""
        task = self._briefings.get(transfer_id)
        if task is None:
            task = self._briefings[transfer_id] = asyncio.create_task(self._rendered(words))
            while len(self._briefings) > _KEPT:
                self._briefings.popitem(last=False)[1].cancel()
        return task

    async def briefing(self, transfer_id: str, words: str) -> tuple[str, str | None]:
        """A briefing's words, and where its sound lies if it is ready in time."""
        task = self.prepare(transfer_id, words)
        done, _ = await asyncio.wait({task}, timeout=RENDER_S)
        ready = bool(done) and task.result() is not None
        return words, path(transfer_id, "briefing.wav") if ready else None

    def forget(self, transfer_id: str) -> None:
        """A briefing that nobody hears any more."""
        task = self._briefings.pop(transfer_id, None)
        if task is not None:
            task.cancel()

    async def _rendered(self, words: str) -> bytes | None:
        try:
            return await self.render(words)
        except Exception:  # whatever the engine has, Twilio's voice reads it
            log.exception("briefing_not_rendered")
            return None


def waiting_key(transfer: Transfer | None) -> Key:
    """What a caller who waits is told, as it stands."""
    if transfer is None:
        return "waiting"
    if transfer.state in {State.ACCEPTED, State.TAKEN}:
        return "coming"
    if transfer.state in {State.REQUESTED, State.RINGING, State.BRIEFING}:
        return "another" if transfer.tried else "waiting"
    return "sending"
