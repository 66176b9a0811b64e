"""What a caller hears of us during a talk: a line of the deployment's now and then, and the hold sound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from voicebot.audio.speaking.wavefile import from_wav
from voicebot.channels.twilio.transfer.documents import hold_sound

Line = Literal["coming", "hold", "back", "goodbye"]

KEYS: dict[Line, str] = {
    "coming": "desk.coming",
    "hold": "desk.hold",
    "back": "desk.back",
    "goodbye": "desk.goodbye",
}
"""The deployment's phrases."""


async def _nothing(_: Line) -> bytes:
    return b""


@dataclass(frozen=True)
class Sounds:
    """``line``: a line as mu-law, 8 kHz; empty when it cannot be had: then the hold sound has to do."""

    line: Callable[[Line], Awaitable[bytes]] = _nothing

    def music(self) -> bytes:
        """The hold sound: mu-law, 8 kHz, 16 s, to be repeated."""
        return _music()


@lru_cache(maxsize=1)
def _music() -> bytes:
    return from_wav(hold_sound().read_bytes()).ulaw
