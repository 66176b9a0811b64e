"""One phone call: what a node lends it, what is its own, and how it ends."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from pipecat.frames.frames import Frame

from voicebot.audio.engines.types import Speech, Transcriber, TurnJudge
from voicebot.audio.hearing.events import (
    CallerFinished,
    CallerSilent,
    HearingEvent,
    NothingSaid,
    OverlapEnded,
    SpeechStarted,
)
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.vad import VoiceActivity
from voicebot.audio.hearing.windows import TogetherSense
from voicebot.audio.media_clock import MediaClock
from voicebot.audio.recording.muting import MARGIN_MS, masked
from voicebot.audio.recording.writer import Tape
from voicebot.audio.speaking.events import (
    ClauseStarted,
    FirstAudioSent,
    FirstHeard,
    LineSpoken,
    SpeakingEnded,
    SpeakingEvent,
    SpeechFailed,
)
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.speaker import Speaker
from voicebot.channels.keys import KeyBuffer
from voicebot.channels.legs import CallOutcome, Leg
from voicebot.channels.phone.cards import CardCapture
from voicebot.channels.phone.evidence import KEPT_TURNS, Evidence
from voicebot.channels.phone.frames import EmergencyFrame, StopSpeakingFrame
from voicebot.channels.phone.punctual import Patience
from voicebot.channels.phone.waiting import FILLER_TURN, Waiting
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core import metrics
from voicebot.core.bus import Bus
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import FREE, Clause, Event, Expects, NotHeard, TurnInput, Utterance
from voicebot.dialogue.orchestrator import Orchestrator

log = structlog.get_logger(__name__)


LAST_WORD_MS = 400
"""With so little left unheard the bot has said what it had to say: "okay" is a turn then, no backchannel."""


class Phrases(Protocol):
    """The deployment's lines for a slow and for a late answer."""

    def filler(self, nth: int = 0) -> Clause:
        """Said when an answer is slow to come; the n-th differs from the one before."""
        ...

    def held(self, nth: int = 0) -> Clause:
        """Said while a colleague looks at what waits for approval; as ``filler``."""
        ...

    def fallback(self) -> Clause:
        """Said instead of an answer that does not come."""
        ...

    def text(self, key: str, nth: int = 0, /) -> str:
        """A line without slots."""
        ...


@dataclass(frozen=True)
class PhoneKit:
    """What a node lends to each of its calls. Shared; made once.

    ``recorder`` opens the call's recording (it knows the folder and the subject's key);
    ``silence_s`` is how long a caller may say nothing before they are asked; ``speculation``: turns are
    planned before they have ended.
    """

    dialogue: Orchestrator
    phrases: Phrases
    transcriber: Transcriber
    speech: Speech
    judge: TurnJudge
    vad: Callable[[], VoiceActivity | TogetherSense]
    phrase_cache: PhraseCache
    bus: Bus
    recorder: Callable[[str], Awaitable[Tape]]
    silence_s: float
    speculation: bool = True


class PhoneCall:
    """The parts of one call. Made on the event loop, used by its pipeline only.

    Args:
        kit: the node's.
        session: the caller's leg; Twilio's media socket after its ``start`` message.
        recorder: where this call is recorded.
    """

    def __init__(
        self,
        kit: PhoneKit,
        session: Leg,
        recorder: Tape,
        clock: Clock = monotonic,
    ) -> None:
        self.kit = kit
        self.session = session
        self.conversation_id = session.conversation_id
        self.clock = clock
        self.media_clock = MediaClock()
        self.recorder = recorder
        self.evidence = Evidence(recorder, clock, self.now_ms)
        self.heard: asyncio.Queue[HearingEvent] = asyncio.Queue()
        self.speech_failed = False
        self.turn_closed = asyncio.Event()
        self.turn_closed.set()
        self._kept: set[asyncio.Task[None]] = set()
        self.keys = KeyBuffer()
        self._waterfall: Waterfall | None = None
        self._asks = FREE
        self._proposes = False
        self._clauses = 0
        self.queue_frames: Callable[[Sequence[Frame]], Awaitable[None]] | None = None
        self.over: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
        self.listener = Listener(
            self.conversation_id,
            vad=kit.vad(),
            transcriber=self.evidence.transcriber(kit.transcriber),
            judge=self.evidence.judge(kit.judge),
            emit=self._hearing,
            clock=clock,
            silence_s=kit.silence_s,
            media_clock=self.media_clock,
            bot_done=self._bot_done,
        )
        self.speaker = Speaker(
            self.conversation_id,
            speech=self.evidence.speech(kit.speech),
            phrases=self.evidence.phrases(kit.phrase_cache),
            wire=self.evidence.out(session),
            emit=self._speaking,
            clock=clock,
            media_clock=self.media_clock,
            on_bot_audio=recorder.bot,
            on_bot_sent=self.listener.bot_sent,
            idle=self,
        )
        self.waiting = Waiting(self.speaker, lambda nth: kit.phrases.filler(nth), clock)
        self.cards = CardCapture(self)
        self._patience: Patience | None = None
        self._personal_ms: int | None = None
        self._personal: deque[tuple[int, int]] = deque(maxlen=KEPT_TURNS)

    def now_ms(self) -> int:
        """Milliseconds on the media clock; 0 before the first frame."""
        return self.media_clock.at_ms(self.clock()) or 0

    def due_s(self) -> float:
        """Seconds until the caller must hear something of the answer that is being made; inf: of none."""
        if self._patience is None:
            return float("inf")
        return self._patience.next(self.speaker.sounds_until_s, self.clock(), gives_up=False).in_s

    def filler(self) -> Clause | None:
        """What they hear then; None: nothing, they are speaking."""
        if self._patience is not None:
            self._patience.filled(self.speaker.sounds_until_s)
        return self.waiting.next_filler() if self.waiting.may_speak() else None

    def answers(self) -> Patience:
        """The next answer begins: the patience that is left for it."""
        self._patience = patience = self.waiting.answered()
        return patience

    def begin_answer(self, waterfall: Waterfall, expects: Expects, *, proposes: bool = False) -> None:
        """The moments of speaking that follow belong to this turn, which asks for ``expects``."""
        self._waterfall = waterfall
        self._asks = expects
        self._proposes = proposes
        self._clauses = 0

    def asked(self, expects: Expects) -> None:
        """What the caller has been asked, from now on."""
        self.listener.expect(expects)
        self.keys.expect(expects)

    def finish(self, outcome: CallOutcome) -> None:
        """Ends the call once; later outcomes are ignored."""
        if not self.over.done():
            self.over.set_result(outcome)

    async def hand_over(self, reason: str) -> None:
        """Stops the bot, says so, and gives the caller to a person."""
        if self.queue_frames is not None:
            line = EmergencyFrame(line="handing_over", outcome="handoff", reason=reason)
            await self.queue_frames([StopSpeakingFrame(cause=reason), line])

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs ``work`` to its end even when the pipeline is ended meanwhile."""
        task = asyncio.ensure_future(work)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    async def settle(self, within_s: float) -> None:
        """Silences the bot and waits until the last turn has been written down as heard."""
        await self.speaker.cut()
        try:
            async with asyncio.timeout(within_s):
                await self.turn_closed.wait()
        except TimeoutError:
            log.warning("call.last_turn_not_closed")

    async def close(self) -> None:
        """Ends listening, speaking and recording, each even when another fails."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.recorder.close)
            stack.callback(self.evidence.close)
            stack.push_async_callback(self.speaker.let_go)
            stack.push_async_callback(self.speaker.cut)
            stack.push_async_callback(self.listener.close)
            stack.callback(self.waiting.over)

    def hear(self, event: HearingEvent) -> None:
        """What was heard otherwise than by the listener: in a replay, where the sound is missing."""
        self._hearing(event)

    def _hearing(self, event: HearingEvent) -> None:
        if self.cards.active:  # what is left of a sound from before
            return
        told: dict[str, Any] = {"type": f"hearing.{type(event).__name__}", "at_ms": event.at_ms}
        if isinstance(event, OverlapEnded):
            told |= {"verdict": event.verdict, "decided_after_ms": event.decided_after_ms, "why": event.why}
        self.recorder.event(told)
        self._wait(event)
        self.heard.put_nowait(event)

    def _wait(self, event: HearingEvent) -> None:
        """Whose turn it is, as far as the line must not fall silent."""
        match event:
            case SpeechStarted():
                if not event.goes_on:
                    self.waiting.speaks()
            case CallerFinished():
                self.waiting.begin(event.silence_ms / 1000)
            case NothingSaid():
                self.waiting.nothing_came()
                if self.listener.hearing:  # the next sound has begun
                    self.waiting.speaks()
            case OverlapEnded() if event.verdict != "interruption":
                self.waiting.nothing_said()
            case CallerSilent():
                self.waiting.begin()
            case _:
                pass

    def _speaking(self, event: SpeakingEvent) -> None:
        told = {"type": f"speaking.{type(event).__name__}", "turn": event.turn, "at_ms": event.at_ms}
        if isinstance(event, ClauseStarted):
            told["text"] = self.kit.dialogue.veil(self.conversation_id, event.text)
        self.recorder.event(told)
        match event:
            case FirstAudioSent() if event.turn == FILLER_TURN:
                self.listener.bot_speaks(True)
            case FirstHeard() | ClauseStarted() if event.turn == FILLER_TURN:
                pass  # no answer: it asks nothing, and has no waterfall
            case FirstAudioSent():
                self.listener.bot_speaks(True)
                self.listener.bot_asks(self._proposes and self._asks.kind == "yes_no")
                # Who speaks into the beginning of an answer does not answer it, nor the question before.
                self.listener.expect(FREE)
                self.listener.will_expect(self._asks)
                self.keys.expect(self._asks)
                self._note("first_audio_ms", event.at_ms or 0)  # a greeting may leave before a frame came
            case FirstHeard():
                self._note("first_heard_ms", event.at_ms)
            case ClauseStarted():
                self._clauses += 1
                if self._clauses > 1:  # questions stand at the end: this may be an answer already
                    self.listener.expect(self._asks)
                if self._asks.kind == "yes_no" and (self._clauses > 1 or "?" in event.text):
                    self.listener.bot_asks(True)
                words = self.kit.dialogue.veil(self.conversation_id, event.text)
                self._read_back(event.at_ms, words != event.text)
                self.publish("bot.clause", {"turn": event.turn, "text": words})
            case SpeechFailed():
                self.speech_failed = True
                metrics.engine_down.labels("tts").inc()
            case SpeakingEnded():
                self._read_back(event.at_ms, False)
                if event.turn != FILLER_TURN:
                    self._patience = None
                self.listener.bot_speaks(False)
                self.listener.bot_asks(False)
            case LineSpoken():
                pass

    def note_masked(self, given: TurnInput) -> None:
        """The recording learns where a turn holds something personal: no word has its time, so all of it.

        What was not understood may hold anything.
        """
        if not isinstance(given, Utterance | NotHeard) or given.started_ms is None:
            return
        if isinstance(given, Utterance) and given.raw.text == given.text:
            return
        until_ms = given.last_voiced_ms if given.last_voiced_ms is not None else self.now_ms()
        self.recorder.event(masked("caller", given.started_ms, until_ms))
        self._personal.append((given.started_ms, until_ms))
        if isinstance(given, Utterance) and given.tells_card:  # the turns before may hold its first digits
            for begin_ms, end_ms in self._personal:
                self.recorder.unsay("caller", begin_ms - MARGIN_MS, end_ms + MARGIN_MS)
            self._personal.clear()

    def _read_back(self, at_ms: int | None, personal: bool) -> None:
        """A clause begins, or speaking ends: the one before it was personal if ``_personal_ms`` is set."""
        if self._personal_ms is not None:
            until_ms = at_ms if at_ms is not None else self.now_ms()
            self.recorder.event(masked("bot", self._personal_ms, until_ms))
        self._personal_ms = (at_ms if at_ms is not None else self.now_ms()) if personal else None

    def _bot_done(self) -> bool:
        left_ms = self.speaker.left_ms
        return left_ms is not None and left_ms <= LAST_WORD_MS

    def _note(self, moment: str, at_ms: int | None) -> None:
        if self._waterfall is not None and at_ms is not None:
            self._waterfall.note(moment, at_ms)

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Tells whoever watches this call, live only: nothing is stored."""
        event = Event(
            id=f"live_{secrets.token_hex(8)}",
            type=kind,
            conversation_id=self.conversation_id,
            time=datetime.now(UTC),
            data=data,
        )
        self.kit.bus.publish(event)
