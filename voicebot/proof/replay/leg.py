"""The caller's end of a call in virtual time: Twilio's clock, playout and marks, and who holds the phone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from voicebot.channels.legs import Dtmf, EndKind, Mark, Media, SessionEnd, Stop
from voicebot.core.conversation import TransferFailed
from voicebot.proof.simulation.ear import FRAME_MS
from voicebot.proof.simulation.playout import Playout

Message = Media | Dtmf | Mark | Stop

STAYS_MS = 12_000
"""A recorded caller stays so long once all that was recorded is over: longer than the longest answer."""


class Party(Protocol):
    """Whoever holds the phone. Asked every 20 ms of the call; all it says is due by then."""

    def hears(self, frame: bytes, at_ms: int) -> None:
        """The next 20 ms of what came from the bot: at most 160 bytes, the rest is silence."""
        ...

    def due(self, until_ms: float) -> Sequence[tuple[float, Media | Dtmf | Stop]]:
        """What reaches the server up to ``until_ms`` since the call began, in order, each with its time."""
        ...


class VirtualLeg:
    """`Leg` on an event loop in virtual time. One per media session; `run` it beside the call.

    Args:
        party: who speaks.
        conversation_id: the conversation.
        resumed: they have heard us before on this call.
    """

    call_sid = "CA" + "0" * 32
    stream_sid = "MZ" + "0" * 32
    epoch = 1
    quiet_s = 0.0

    def __init__(
        self,
        party: Party,
        conversation_id: str,
        *,
        resumed: bool = False,
        epoch: int = 1,
        returned: TransferFailed | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.resumed = resumed
        self.epoch = epoch
        self.returned = returned
        self.on_sent: Callable[[str, int], None] = lambda what, size: None
        self._party = party
        self._playout = Playout()
        self._come: asyncio.Queue[Message | None] = asyncio.Queue()
        self._end: SessionEnd | None = None
        self._marks = 0

    @property
    def end(self) -> SessionEnd | None:
        """See `Leg`."""
        return self._end

    async def run(self) -> None:
        """Plays the call's clock until it is over; cancel it then."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        tick = 0
        while self._end is None:
            for at_ms, message in self._party.due((tick + 1) * FRAME_MS):
                wait_s = began_s + at_ms / 1000 - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                self._come.put_nowait(message)
                if isinstance(message, Stop):
                    return
            wait_s = began_s + (tick + 1) * FRAME_MS / 1000 - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            frame, marks = self._playout.tick()
            self._return(marks)
            self._party.hears(frame, tick * FRAME_MS)
            tick += 1

    async def messages(self) -> AsyncIterator[Message]:
        """See `Leg`."""
        while self._end is None:
            message = await self._come.get()
            if message is None:
                return
            if isinstance(message, Stop):
                self._end = SessionEnd(EndKind.STOP)
            yield message

    async def media(self, ulaw: bytes) -> None:
        """See `Leg`."""
        if self._end is None:
            self._playout.media(ulaw)

    async def mark(self, name: str) -> None:
        """See `Leg`."""
        if self._end is None:
            self._return(self._playout.mark(name))

    async def clear(self) -> None:
        """See `Leg`."""
        if self._end is None:
            self._return(self._playout.clear())

    async def close(self) -> None:
        """See `Leg`."""
        await self.leave(EndKind.CLOSED)

    async def leave(self, kind: EndKind) -> None:
        """See `Leg`."""
        if self._end is None:
            self._end = SessionEnd(kind)
            self._come.put_nowait(None)

    def _return(self, names: list[str]) -> None:
        for name in names:
            self._come.put_nowait(Mark(self.stream_sid, name, None))


class RecordedParty:
    """The caller of a recording: every message at its time, its sound from the recording.

    Once what was recorded is over they say nothing for ``stays_ms``, and hang up: the bot of today may need
    longer than that of then.
    """

    def __init__(
        self, messages: Sequence[tuple[float, Media | Dtmf | Stop]], stays_ms: int = STAYS_MS
    ) -> None:
        self._left = list(reversed(messages))
        self._stays_ms = stays_ms
        self._last_ms = 0.0
        self._next_ts = 0
        self._over_ms: float | None = None

    @property
    def spoke_out(self) -> bool:
        """Everything that was recorded has been said."""
        return not self._left

    def hears(self, frame: bytes, at_ms: int) -> None:
        """See `Party`: a recorded caller does not listen."""

    def due(self, until_ms: float) -> Sequence[tuple[float, Media | Dtmf | Stop]]:
        """See `Party`."""
        found: list[tuple[float, Media | Dtmf | Stop]] = []
        while self._left and self._left[-1][0] <= until_ms:
            at_ms, message = self._left.pop()
            found.append((at_ms, message))
            self._last_ms = at_ms
            if isinstance(message, Media):
                self._next_ts = message.timestamp_ms + len(message.ulaw) // 8
        if self._left:
            return found
        if self._over_ms is None:
            self._over_ms = self._last_ms
        while self._last_ms + FRAME_MS <= until_ms:
            self._last_ms += FRAME_MS
            if self._last_ms - self._over_ms > self._stays_ms:
                found.append((self._last_ms, Stop(VirtualLeg.stream_sid, None, None)))
                break
            silence = Media(VirtualLeg.stream_sid, b"\xff" * 160, self._next_ts, None, None, "inbound")
            found.append((self._last_ms, silence))
            self._next_ts += FRAME_MS
        return found
