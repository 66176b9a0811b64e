"""One side of a talk as something to listen to: what `channels.phone.leg` takes for a leg of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicebot.channels.twilio.leg_media import LEG_PARAMETER
from voicebot.channels.twilio.wire import Media
from voicebot.core.store.tokens import Leg

_MOST = 500
"""Frames (10 s) that may wait for a listener; then the oldest are lost."""


class LegFeed:
    """Sound goes in as it passes the bridge; `messages` gives it to the ear. Made on the event loop.

    Args:
        conversation_id: whose transcript it goes into.
        leg: whose voice it is.
        stream_sid: names the lines that come of it: of each talk, bridge and side another.
        epoch: media session of the conversation; when another begins the ear is done.
    """

    def __init__(self, conversation_id: str, leg: Leg, stream_sid: str, epoch: int) -> None:
        self.conversation_id = conversation_id
        self.stream_sid = stream_sid
        self.epoch = epoch
        self.custom = {LEG_PARAMETER: leg}
        self._sound: asyncio.Queue[Media | None] = asyncio.Queue()
        self._over = False

    def put(self, ulaw: bytes, at_ms: int) -> None:
        """More sound; ``at_ms``: its place on the clock of this side."""
        if self._over:
            return
        if self._sound.qsize() >= _MOST:
            self._sound.get_nowait()
        self._sound.put_nowait(Media(self.stream_sid, ulaw, at_ms, None, None, "inbound"))

    def end(self) -> None:
        """Nothing more comes: the ear writes what was being said."""
        if not self._over:
            self._over = True
            self._sound.put_nowait(None)

    async def messages(self) -> AsyncIterator[Media]:
        """The sound, until the end."""
        while (one := await self._sound.get()) is not None:
            yield one

    async def close(self) -> None:
        """The ear is done."""
        self._over = True
