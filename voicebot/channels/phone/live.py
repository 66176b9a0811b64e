"""Partial words for whoever watches the call."""

from __future__ import annotations

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import PartialWordsFrame


class LiveTranscript(FrameProcessor):
    """Publishes the words so far on the node's bus; every other frame passes."""

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._call = call

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, PartialWordsFrame):
            words = self._call.kit.dialogue.veil(self._call.conversation_id, frame.text, so_far=True)
            self._call.publish("caller.partial", {"text": words})
            return
        await self.push_frame(frame, direction)
