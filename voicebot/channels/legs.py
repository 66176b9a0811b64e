"""One side of a call, whatever carries it: sound in, sound out, silence at once, and how it ended.

Twilio's media socket (`channels.twilio.media.MediaSession`) and a browser's connection
(`channels.browser.session.BrowserSession`) are such legs, so that what speaks with a caller, or joins two of
them, knows neither. Messages are those of the media socket: sound is mu-law at 8 kHz with its place in ms.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from voicebot.channels.twilio.media import CallOutcome, EndKind, SessionEnd
from voicebot.channels.twilio.wire import Dtmf, Mark, Media, Stop
from voicebot.core.conversation import TransferFailed

__all__ = ["CallOutcome", "Dtmf", "EndKind", "Leg", "Mark", "Media", "SessionEnd", "Stop", "is_browser"]

BROWSER = "WB"
"""Names of browsers' calls begin so; Twilio's begin with ``CA``."""


def is_browser(call_sid: str) -> bool:
    """Whether a call's name is a browser's."""
    return call_sid.startswith(BROWSER)


class Leg(Protocol):
    """``messages`` is read by one task; the rest may be called by any, and does nothing after the end."""

    call_sid: str
    """The call's name: Twilio's ``CA...``, or ``WB...`` of a browser."""
    stream_sid: str
    conversation_id: str
    resumed: bool
    """The caller has heard us before on this call."""
    returned: TransferFailed | None
    """A person was tried, and why nothing came of it."""
    epoch: int

    @property
    def end(self) -> SessionEnd | None:
        """How it ended; None while it runs."""
        ...

    @property
    def quiet_s(self) -> float:
        """Seconds since anything came."""
        ...

    def messages(self) -> AsyncIterator[Media | Dtmf | Mark | Stop]:
        """What comes, in order, until the end."""
        ...

    async def media(self, ulaw: bytes) -> None:
        """Sends sound: mu-law, 8 kHz, any length. It plays behind what was sent before."""
        ...

    async def mark(self, name: str) -> None:
        """Comes back as ``Mark`` once the sound before it was played or cleared."""
        ...

    async def clear(self) -> None:
        """Drops what was not played; pending marks come back."""
        ...

    async def close(self) -> None:
        """Ends it; again: nothing."""
        ...

    async def leave(self, kind: EndKind) -> None:
        """Ends it for a reason that did not come over it."""
        ...
