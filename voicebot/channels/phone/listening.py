"""The start of a call's pipeline: the socket's sound and keys become turns."""

from __future__ import annotations

import asyncio

import structlog
from pipecat.frames.frames import Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.audio.hearing.events import (
    BOT_STOPPED,
    KEYED,
    CallerFinished,
    CallerSilent,
    EagerTurn,
    EagerVoid,
    HearingEvent,
    NothingSaid,
    OverlapEnded,
    OverlapStarted,
    PartialHeard,
    SpeechStarted,
    TurnEnded,
    Unheard,
)
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import (
    CallerTurnFrame,
    CallerVoiceFrame,
    CallOverFrame,
    EagerTurnFrame,
    EagerVoidFrame,
    PartialWordsFrame,
    PauseSpeakingFrame,
    ResumeSpeakingFrame,
    SpokenFrame,
    StopSpeakingFrame,
)
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.wire import Dtmf, Mark, Media
from voicebot.core import metrics
from voicebot.core.conversation import FREE, CallStarted, Keys, NotHeard, Silence, TurnInput

log = structlog.get_logger(__name__)


class PhoneListening(FrameProcessor):
    """Reads the media socket until it ends; audio stays here.

    Args:
        call: the call's parts.
    """

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._call = call
        self._key_timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, SpokenFrame):
            self._expect(frame)
            return
        if isinstance(frame, CallOverFrame):
            self._call.finish(CallOutcome(kind=frame.outcome, reason=frame.reason))
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._tasks = [self.create_task(self._pump()), self.create_task(self._read())]

    async def cleanup(self) -> None:
        """Ends the timer and the tasks with the pipeline."""
        for task in self._tasks:
            await self.cancel_task(task)
        if self._key_timer is not None:
            self._key_timer.cancel()
        await super().cleanup()

    async def _read(self) -> None:
        call = self._call
        call.waiting.begin()
        began = call.session.returned or CallStarted(resumed=call.session.resumed)
        await self._turn(began, Waterfall(call.now_ms))
        session = call.session
        phone = isinstance(session, MediaSession)
        async for message in session.messages(self._told) if phone else session.messages():
            if isinstance(message, Media | Mark):
                self._told(message)
                continue
            call.evidence.came(message, hidden=call.cards.active)
            if call.cards.active and isinstance(message, Dtmf):
                call.cards.press(message.digit)
            elif isinstance(message, Dtmf):
                await self._key(message.digit)
            else:
                break
        call.finish(CallOutcome(kind="lost", reason="media ended"))

    def _told(self, message: Media | Mark) -> None:
        call = self._call
        call.evidence.came(message)
        if isinstance(message, Mark):
            call.speaker.mark_returned(message.name)
            return
        if call.cards.active:
            call.cards.hear(message.ulaw, message.timestamp_ms)
            return
        call.recorder.caller(message.ulaw, message.timestamp_ms)
        call.listener.feed(message.ulaw, message.timestamp_ms)

    async def _pump(self) -> None:
        while True:
            await self._hearing(await self._call.heard.get())

    async def _hearing(self, event: HearingEvent) -> None:
        match event:
            case SpeechStarted():
                await self.push_frame(CallerVoiceFrame(speaking=True, goes_on=event.goes_on))
            case OverlapStarted():
                await self.push_frame(PauseSpeakingFrame())
            case OverlapEnded():
                await self._overlap_ended(event)
            case PartialHeard():
                await self.push_frame(PartialWordsFrame(text=event.text))
            case TurnEnded():
                await self.push_frame(CallerVoiceFrame(speaking=self._call.listener.hearing, turn=True))
                known = {
                    k: v for k, v in event.timings.model_dump(exclude={"early"}).items() if v is not None
                }
                await self._turn(event.utterance, Waterfall(self._call.now_ms, **known))
            case Unheard():
                await self.push_frame(CallerVoiceFrame(speaking=self._call.listener.hearing, turn=True))
                metrics.not_heard.labels(event.reason).inc()
                given = NotHeard(
                    reason=event.reason,
                    text=event.text,
                    confidence=event.confidence,
                    started_ms=event.started_ms,
                    last_voiced_ms=event.last_voiced_ms,
                )
                await self._turn(given, self._ended(event.at_ms))
            case CallerFinished():
                pass
            case NothingSaid():
                await self.push_frame(CallerVoiceFrame(speaking=self._call.listener.hearing))
            case EagerTurn():
                await self.push_frame(
                    EagerTurnFrame(utterance=event.utterance, at_ms=event.at_ms, likely=event.likely)
                )
            case EagerVoid():
                await self.push_frame(EagerVoidFrame())
            case CallerSilent():
                await self._turn(Silence(nth=event.nth), self._ended(event.at_ms))

    async def _overlap_ended(self, event: OverlapEnded) -> None:
        foreclosed = event.why in {BOT_STOPPED, KEYED}
        metrics.overlaps.labels(event.why if foreclosed else event.verdict).inc()
        if not foreclosed:
            metrics.overlap_decided_s.observe(event.decided_after_ms / 1000)
        if event.why == BOT_STOPPED:
            pass  # what is being said by now is something else
        elif event.why == KEYED:
            await self.push_frame(CallerVoiceFrame(speaking=False))
        elif event.verdict == "interruption":
            await self.push_frame(StopSpeakingFrame(cause="barge_in"))
        else:
            await self.push_frame(CallerVoiceFrame(speaking=False))
            await self.push_frame(ResumeSpeakingFrame())
        told = {"verdict": event.verdict, "after_ms": event.decided_after_ms, "why": event.why}
        self._call.publish("caller.overlap", told)

    def _ended(self, at_ms: int) -> Waterfall:
        return Waterfall(self._call.now_ms, turn_ended_ms=at_ms)

    async def _turn(self, turn_input: TurnInput, waterfall: Waterfall) -> None:
        await self.push_frame(CallerTurnFrame(input=turn_input, waterfall=waterfall))

    async def _key(self, digit: str) -> None:
        self._call.recorder.event({"type": "key", "at_ms": self._call.now_ms()})
        self._call.listener.caller_active()  # before the answer is cut: a sound over it is weighed by the key
        await self.push_frame(StopSpeakingFrame(cause="key"))
        await self._keyed(self._call.keys.press(digit, self._call.clock()))
        self._arm()

    def _arm(self) -> None:
        if self._key_timer is not None:
            self._key_timer.cancel()
            self._key_timer = None
        wait_s = self._call.keys.wait_s(self._call.clock())
        if wait_s is not None:
            loop = asyncio.get_running_loop()
            self._key_timer = loop.call_later(wait_s, self._on_key_timer)

    def _on_key_timer(self) -> None:
        self.create_task(self._keys_due())

    async def _keys_due(self) -> None:
        await self._keyed(self._call.keys.due(self._call.clock()))
        self._arm()

    async def _keyed(self, keys: Keys | None) -> None:
        if keys is not None:
            self._call.waiting.begin()
            await self._turn(keys, self._ended(self._call.now_ms()))

    def _expect(self, frame: SpokenFrame) -> None:
        """A question counts once some of it was heard."""
        expects = frame.expects if frame.heard.complete or frame.heard.text else FREE
        self._call.asked(expects)
