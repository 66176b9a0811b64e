"""Partial words for whoever watches the call: live only, never stored."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import PartialWordsFrame
from voicebot.core.conversation import Event


class LiveTranscript(FrameProcessor):
    """Publishes the words so far on the node's bus; every frame passes."""

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._call = call

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, PartialWordsFrame):
            self._call.kit.bus.publish(
                Event(
                    id=f"live_{secrets.token_hex(8)}",
                    type="caller.partial",
                    conversation_id=self._call.conversation_id,
                    time=datetime.now(UTC),
                    data={"text": frame.text},
                )
            )
        await self.push_frame(frame, direction)
