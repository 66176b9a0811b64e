"""The end of a call's pipeline: clauses become sound, and what was heard goes back up."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import (
    AnswerFrame,
    CallerVoiceFrame,
    CallOverFrame,
    EmergencyFrame,
    PauseSpeakingFrame,
    ResumeSpeakingFrame,
    SpokenFrame,
    StopSpeakingFrame,
)
from voicebot.channels.phone.waiting import FILLER_TURN
from voicebot.core import metrics
from voicebot.core.conversation import Heard
from voicebot.core.waterfall import hops, waited_ms

SOUND_S = 1.5
"""An answer waits so long for what a sound of the caller turns out to be; then they are speaking. A cough and
the silence that proves it one take less: 130 ms, up to 1075 without words, and the recogniser's last look."""


class PhoneSpeaking(FrameProcessor):
    """Speaks answers one after the other; a caller who is speaking is spoken over only
    when they have done so for as long as a turn may last.

    An answer that comes while the caller makes a sound waits a little: a cough must not lose it.

    Args:
        call: the call's parts.
    """

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._call = call
        self._caller_speaks = False
        self._became_turn = False
        self._voice_over = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerVoiceFrame):
            self._caller_speaks = frame.speaking and not frame.goes_on
            self._became_turn = frame.turn
            if frame.turn or not frame.speaking:
                self._voice_over.set()  # wakes who waits, also when the next sound has begun
            if frame.speaking:
                self._voice_over.clear()
        elif isinstance(frame, PauseSpeakingFrame):
            await self._call.speaker.pause()
        elif isinstance(frame, ResumeSpeakingFrame):
            self._call.speaker.resume()
        elif isinstance(frame, StopSpeakingFrame):
            if await self._call.speaker.cut() is not None and frame.cause == "barge_in":
                metrics.barge_ins.inc()
        elif isinstance(frame, AnswerFrame):
            await self._answer(frame)
        elif isinstance(frame, EmergencyFrame):
            await self._emergency(frame)
        else:
            await self.push_frame(frame, direction)

    async def _answer(self, frame: AnswerFrame) -> None:
        if self._call.over.done() or (frame.after != "hand_over" and await self._is_taken()):
            closer = getattr(frame.clauses, "aclose", None)
            if closer is not None:
                await closer()
            await self._call.speaker.let_go()
            heard = Heard(text="", complete=False)
        else:
            self._call.begin_answer(frame.waterfall, frame.expects, proposes=frame.proposes)
            heard = await self._call.speaker.say(frame.turn, frame.clauses)
        frame.waterfall.note("finished_ms")
        timings = frame.waterfall.timings()
        waited = waited_ms(timings)
        if waited is not None:
            metrics.turn_latency_s.observe(waited / 1000)
        if timings.early is not None and timings.last_voiced_ms is not None:
            for hop in hops(timings):
                metrics.turn_hop_s.labels(hop.name, str(timings.early).lower()).observe(hop.ms / 1000)
        await self._up(SpokenFrame(turn=frame.turn, heard=heard, expects=frame.expects, timings=timings))
        if frame.after == "hand_over":
            await self._up(CallOverFrame(outcome="handoff", reason="handed_over"))
        elif frame.after == "pay" and heard.complete:
            await self._up(CallOverFrame(outcome="away", reason="payment"))
        elif frame.after == "hang_up" and heard.complete:
            await self._up(CallOverFrame(outcome="ended", reason=frame.reason))
        elif self._call.speech_failed:
            await self._call.speaker.line(FILLER_TURN, "handing_over")
            await self._up(CallOverFrame(outcome="handoff", reason="speech_engine_down"))

    async def _is_taken(self) -> bool:
        """Whether the caller has taken the turn meanwhile."""
        if not self._caller_speaks:
            return False
        try:
            async with asyncio.timeout(SOUND_S):
                await self._voice_over.wait()
        except TimeoutError:
            return True
        return self._became_turn

    async def _emergency(self, frame: EmergencyFrame) -> None:
        await self._call.speaker.line(FILLER_TURN, frame.line)
        if frame.outcome != "continue":
            await self._up(CallOverFrame(outcome=frame.outcome, reason=frame.reason))

    async def _up(self, frame: Frame) -> None:
        await self.push_frame(frame, FrameDirection.UPSTREAM)
