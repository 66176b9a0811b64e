"""A part of the pipeline that raises gives the caller to a person: never a line on which nobody speaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.legs import CallOutcome
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import EmergencyFrame
from voicebot.channels.phone.run import _run


@dataclass(eq=False)
class Call:
    """As much of a call as runs it."""

    over: asyncio.Future[CallOutcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    queue_frames: Any = None
    closed: bool = False

    def finish(self, outcome: CallOutcome) -> None:
        if not self.over.done():
            self.over.set_result(outcome)

    async def settle(self, within_s: float) -> None:
        return None

    async def close(self) -> None:
        self.closed = True


class Broken(FrameProcessor):
    """Raises at what it should say."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EmergencyFrame):
            raise LookupError("no such thing")
        await self.push_frame(frame, direction)


async def test_a_part_that_raises_gives_the_call_to_a_person() -> None:
    call = Call()
    running = asyncio.create_task(_run(cast("PhoneCall", call), lambda _: [Broken()], set()))
    async with asyncio.timeout(20):
        while call.queue_frames is None:
            await asyncio.sleep(0)
        await call.queue_frames([EmergencyFrame(line="x", outcome="continue", reason="y")])
        outcome = await running
    assert (outcome.kind, outcome.reason) == ("handoff", "internal_error")
    assert call.closed
