"""The listening side of one call: 20 ms of mu-law in, the caller's turns out. A thin shell.

Everything that decides stands beside it and is pure: ``timeline`` (frames to a line), ``bargein`` (onset),
``over_bot`` and ``overlap`` (does a sound over the bot take the turn; is it our own), ``endpointing`` (is the
turn over). The slow parts are tasks of ``turn``. What is left here is the order of things, and that is
synchronous: no state changes across an ``await``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from voicebot.audio.engines.types import EngineDown, Transcriber, Transcript, TurnJudge
from voicebot.audio.hearing import bargein, overlap
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, LONGEST_TURN, EndpointRules, decide
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
from voicebot.audio.hearing.failure import DEFAULT_LIMITS, Heard, Limits, judge
from voicebot.audio.hearing.foreground import FarVoice
from voicebot.audio.hearing.noise import NOTHING_KNOWN, LineFacts, LineNoise
from voicebot.audio.hearing.over_bot import OverBot, Overlap
from voicebot.audio.hearing.overlap import OverlapFacts, Verdict
from voicebot.audio.hearing.silence import SilenceTimer
from voicebot.audio.hearing.timeline import TOLERANCE_MS, Timeline
from voicebot.audio.hearing.turn import EAGER_MS, PAUSE_MS, HearingTurn
from voicebot.audio.hearing.vad import WINDOW, WINDOW_MS, VoiceActivity
from voicebot.audio.hearing.windows import OwnSense, Sense, TogetherSense, Window
from voicebot.audio.media_clock import MediaClock
from voicebot.core.clock import Clock
from voicebot.core.conversation import FREE, Expects, HearingFailure, TurnTimings, Utterance

log = structlog.get_logger(__name__)

PREROLL_MS = 300
"""Audio from before the onset that the recogniser gets: soft consonants start unvoiced."""

NOISE_MS = 130
"""Voiced sound up to this length without words is a click or a cough: nobody is bothered with it."""

STALL_MS = 500
"""Audio missing for so long counts as silence; bursts of up to 233 ms late are normal (Twilio, field)."""

_KEPT_VOICED = 0.35  # a voice that is already speaking may sink to this between two pauses

TAIL_DB = 30.0
"""Windows this far below the turn's loudest are no longer speech, whatever Silero says.

Measured on four flite voices through mu-law: Silero alone sees the end of speech 90-115 ms late, with
this 4-14 ms (noise down to -50 dBFS beside speech at -15); pauses inside sentences stay below 200 ms.
"""


LATE_MS = 100
"""When our own timer is so late, no frames are missing: they wait in the socket until we have read them."""

GOES_ON_MS = 300
"""Who makes a sound again so soon after their turn was ended at its longest never stopped; and who is silent
for so long then has."""


@dataclass
class _Current:
    """The turn that is being heard, and its sound so far (ms on the media clock)."""

    turn: HearingTurn
    last_voiced_ms: int
    voiced_ms: int
    loudest_dbfs: float
    far: FarVoice
    overlap: Overlap | None = None
    line: LineFacts = NOTHING_KNOWN
    end_seen_ms: int | None = None
    goes_on: bool = False


class Listener:
    """One per call. Every method must be called on the call's event loop; none blocks.

    Args:
        call: the call's name for engines and logs.
        vad: this call's voice activity (it has state), e.g. ``shared_silero().voice()``; or its place among
            the calls of a node, ``shared_together().sense()``.
        transcriber: recognition, shared by calls.
        judge: smart-turn, shared by calls.
        emit: gets every ``HearingEvent``, on the event loop, in order; must not block.
        clock: the loop's clock, seconds.
        silence_s: silence of both sides after which ``CallerSilent`` is told.
        media_clock: shared with the speaker of the same call; made here when not given.
        bot_done: asked when the caller makes a sound over the bot: had it said all, but for a last word?
    """

    def __init__(
        self,
        call: str,
        *,
        vad: VoiceActivity | TogetherSense,
        transcriber: Transcriber,
        judge: TurnJudge,
        emit: Callable[[HearingEvent], None],
        clock: Clock,
        silence_s: float,
        media_clock: MediaClock | None = None,
        rules: EndpointRules = DEFAULT_RULES,
        limits: Limits = DEFAULT_LIMITS,
        bot_done: Callable[[], bool] = lambda: False,
    ) -> None:
        self.media_clock = media_clock or MediaClock()
        self._call = call
        self._transcriber = transcriber
        self._judge = judge
        self._emit = emit
        self._clock = clock
        self._rules = rules
        self._limits = limits
        self._noise = LineNoise()
        self._timeline = Timeline()
        self._sense: Sense = vad if isinstance(vad, TogetherSense) else OwnSense(vad)
        self._samples = b""
        self._samples_ms = 0.0
        self._heard_to_ms = 0
        self._preroll: deque[npt.NDArray[np.int16]] = deque(maxlen=PREROLL_MS // WINDOW_MS + 4)
        self._onset = bargein.Onset(bargein.TURN)
        self._bot = OverBot(bot_done)
        self._expects: Expects = FREE
        self._current: _Current | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._stall_due = 0.0
        self._fed_s = 0.0
        self._cut_off_ms: int | None = None
        self._concluding: set[asyncio.Task[None]] = set()
        self._last_conclusion: asyncio.Task[None] | None = None
        self._silence = SilenceTimer(silence_s, self._caller_silent)
        self._begun = False
        self._closed = False

    # --- what the call tells us -------------------------------------------------------

    def feed(self, ulaw: bytes, timestamp_ms: int) -> None:
        """One media frame of any length. Lost, repeated and late ones are tolerated."""
        if self._closed or not ulaw:
            return
        now_s = self._clock()
        self.media_clock.observe(timestamp_ms + len(ulaw) / 8, now_s)
        if not self._begun:
            self._begun = True
            self._rest()
        for audio, start_ms in self._timeline.place(ulaw, timestamp_ms):
            self._fed_s = now_s
            self._append(audio, start_ms)

    def _append(self, audio: bytes, start_ms: float) -> None:
        if abs(self._samples_ms + len(self._samples) / 8 - start_ms) > TOLERANCE_MS:
            self._samples = b""  # the line jumped: half a window from before is worthless
        self._samples_ms = start_ms - len(self._samples) / 8
        samples = self._samples + audio
        whole = len(samples) - len(samples) % WINDOW
        for begin in range(0, whole, WINDOW):
            at_ms = round(self._samples_ms + begin / 8)
            self._sense.take(samples[begin : begin + WINDOW], at_ms, self._window)
        self._samples = samples[whole:]
        self._samples_ms += whole / 8

    @property
    def hearing(self) -> bool:
        """Whether the caller makes a sound that is not over, and is not to be spoken over."""
        return self._current is not None and not self._current.goes_on

    def expect(self, expects: Expects) -> None:
        """What was just asked (and heard); holds for the turns that begin from now on."""
        self._expects = expects

    def bot_speaks(self, speaking: bool) -> None:
        """Whether the bot is being heard: from the first audio of an answer to its last mark or its cut."""
        self._bot.speaking = speaking
        self._bot.onset.reset()
        current = self._current
        if speaking:
            self._silence.stop()
            self._silence.broken()
            if current is not None:
                current.overlap = None
            return
        if current is not None and current.overlap is not None and current.overlap.undecided:
            self._decided(current, current.overlap, "interruption", BOT_STOPPED, self._heard_to_ms)
        self._rest()

    def bot_asks(self, open_question: bool) -> None:
        """Whether what the bot is saying asks for a yes or no: then "mm-hm" is an answer."""
        self._bot.asks_yes_no = open_question

    def will_expect(self, expects: Expects) -> None:
        """What the answer that begins now ends by asking: who speaks into its last word answers that."""
        self._bot.asks = expects

    def bot_sent(self, ulaw: bytes, at_ms: int | None) -> None:
        """Audio on its way to the caller that plays from ``at_ms`` on; b"": from then on nothing will."""
        if at_ms is not None:
            self._bot.sent(ulaw, at_ms)

    def understood(self, text: str, made_something: bool) -> None:
        """Whether the dialogue, planning ahead, made something of the words that ``EagerTurn`` told."""
        if self._current is not None and not self._closed:
            self._current.turn.understood(text, made_something)

    def caller_active(self) -> None:
        """The caller did something other than speak (a key): the silence counts anew.

        A sound over the bot that was not yet weighed is taken for the key's own.
        """
        self._silence.heard()
        current = self._current
        if current is not None and current.overlap is not None and current.overlap.undecided:
            self._decided(current, current.overlap, "noise", KEYED, self._heard_to_ms)
        self._rest()

    async def close(self) -> None:
        """The call is over: nothing is emitted from now on, nothing is left running."""
        self._closed = True
        self._silence.stop()
        self._stop_stall_timer()
        current, self._current = self._current, None
        tasks = list(self._concluding)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if current is not None:
            await current.turn.cancel()

    # --- windows ----------------------------------------------------------------------

    def _window(self, heard_now: Window) -> None:
        if self._closed:
            return
        window, at_ms = heard_now.pcm, heard_now.at_ms
        level, probability = heard_now.level_dbfs, heard_now.probability
        self._heard_to_ms = at_ms + WINDOW_MS
        self._bot.hears(window, at_ms)
        own = self._is_our_own(probability, level)
        heard = 0.0 if own else probability
        if own:
            window = np.zeros_like(window)  # the recogniser is not to read our own words
        over_bot = self._bot.begins(heard, level, at_ms)
        onset = self._onset.push(heard, level, at_ms)
        if self._current is not None:
            self._go_on(self._current, window, heard, level, own=own)
        else:
            self._preroll.append(window)
            if not self._bot.speaking:  # its echo is no noise of the line
                self._noise.push(window, level, voiced=False)
            if over_bot:
                self._begin(self._bot.onset, self._bot.expects(self._expects))
            elif onset and not self._bot.speaking:
                self._begin(self._onset, self._expects)
        current = self._current
        if over_bot and current is not None and current.overlap is None and not current.goes_on:
            self._overlaps(current)

    def _is_our_own(self, probability: float, level: float) -> bool:
        if probability < _KEPT_VOICED or level < bargein.TURN.floor_dbfs:
            return False
        return self._bot.is_own()

    def _begin(self, onset: bargein.Onset, expects: Expects) -> None:
        turn = HearingTurn(
            self._call,
            transcriber=self._transcriber,
            judge=self._judge,
            expects=expects,
            started_ms=onset.start_ms,
            clock=self._clock,
            on_partial=self._partial,
            on_fact=self._fact,
            rules=self._rules,
        )
        for window in self._preroll:
            turn.feed(window)
        self._preroll.clear()
        self._noise.turn_begins()
        self._silence.stop()
        self._current = _Current(
            turn,
            last_voiced_ms=self._heard_to_ms,
            voiced_ms=self._heard_to_ms - onset.start_ms,
            loudest_dbfs=onset.loudest_dbfs,
            far=FarVoice(self._heard_to_ms),
            goes_on=self._cut_off_ms is not None and onset.start_ms - self._cut_off_ms < GOES_ON_MS,
        )
        self._cut_off_ms = None
        self._watch_for_stall()
        self._emit(SpeechStarted(onset.start_ms, self._current.goes_on))

    def _go_on(
        self,
        current: _Current,
        window: npt.NDArray[np.int16],
        probability: float,
        level: float,
        *,
        own: bool,
    ) -> None:
        current.turn.feed(window)
        rules = bargein.OVER_BOT if self._bot.speaking else bargein.TURN
        silence_ms = self._heard_to_ms - WINDOW_MS - current.last_voiced_ms
        threshold = _KEPT_VOICED if silence_ms < PAUSE_MS else rules.voiced
        audible = level >= max(rules.floor_dbfs, current.loudest_dbfs - TAIL_DB)
        voiced = probability >= threshold and audible
        self._noise.push(window, level, voiced=voiced)
        if voiced and self._is_far(current, level):
            voiced = False
            current.last_voiced_ms = min(current.last_voiced_ms, current.far.near_ms)
        if voiced:
            current.loudest_dbfs = max(current.loudest_dbfs, level)
            if silence_ms >= EAGER_MS and current.turn.resumed():
                self._emit(EagerVoid(self._now_ms()))
            current.last_voiced_ms = self._heard_to_ms
            current.voiced_ms += WINDOW_MS
            current.end_seen_ms = None
            if current.overlap is not None:
                current.overlap.voiced(WINDOW_MS, level)
        elif current.end_seen_ms is None:
            current.end_seen_ms = self._now_ms()
        if silence_ms >= GOES_ON_MS:
            current.goes_on = False
        if own and current.overlap is not None:
            current.overlap.own(WINDOW_MS, level)
        self._weigh(self._heard_to_ms)

    def _is_far(self, current: _Current, level: float) -> bool:
        limit_ms = self._bot.far_after_ms(level)
        return current.far.push(level, current.loudest_dbfs, limit_ms, self._heard_to_ms, WINDOW_MS)

    # --- over the bot -----------------------------------------------------------------

    def _overlaps(self, current: _Current) -> None:
        current.overlap = self._bot.overlap(current.turn.started_ms, self._heard_to_ms)
        self._emit(OverlapStarted(current.overlap.began_ms))
        self._weigh_overlap(current, self._heard_to_ms)

    def _weigh_overlap(self, current: _Current, now_ms: int) -> None:
        over = current.overlap
        if over is None or not over.undecided:
            return
        decision = overlap.decide(self._overlap_facts(current, over, now_ms, current.turn.words))
        if decision.verdict is not None:
            self._decided(current, over, decision.verdict, decision.why, now_ms)

    def _overlap_facts(
        self, current: _Current, over: Overlap, now_ms: int, words: Transcript | None
    ) -> OverlapFacts:
        silence_ms = now_ms - current.last_voiced_ms
        return self._bot.facts(
            over,
            words,
            words_current=current.turn.facts(silence_ms, now_ms - over.began_ms).words_current,
            asked=current.turn.expects,
            silence_ms=silence_ms,
            now_ms=now_ms,
        )

    def _decided(self, current: _Current, over: Overlap, verdict: Verdict, why: str, now_ms: int) -> None:
        over.verdict = verdict
        words = current.turn.words
        over.vouched = words is None or words.confidence is not None
        after_ms = now_ms - over.since_ms
        log.info("overlap_ended", verdict=verdict, why=why, after_ms=after_ms, voiced_ms=over.voiced_ms)
        self._emit(OverlapEnded(self._now_ms(), verdict, after_ms, why))
        if not over.passed:
            return
        self._bot.passed(over, why, self._heard_to_ms)
        self._end(current, why, now_ms - current.last_voiced_ms)

    # --- the end of a turn ------------------------------------------------------------

    def _weigh(self, now_ms: int) -> None:
        current = self._current
        if current is None or self._closed:
            return
        silence_ms = now_ms - current.last_voiced_ms
        current.turn.paused(silence_ms)
        self._weigh_overlap(current, now_ms)
        if self._current is not current:
            return
        decision = decide(current.turn.facts(silence_ms, now_ms - current.turn.started_ms), self._rules)
        if decision.over:
            if current.overlap is not None and current.overlap.undecided:
                self._decided(current, current.overlap, "interruption", decision.why, now_ms)
            if decision.why == LONGEST_TURN and silence_ms < GOES_ON_MS:
                self._cut_off_ms = now_ms
            self._end(current, decision.why, silence_ms)
            return
        if current.overlap is not None and current.overlap.undecided:
            return  # who says "mm-hm" is not answered
        words = current.turn.offer(likely=decision.likely)
        if words is not None:
            self._emit(EagerTurn(_utterance(current, words), self._now_ms(), decision.likely))

    def _end(self, current: _Current, why: str, silence_ms: int) -> None:
        self._current = None
        self._onset.reset()
        self._stop_stall_timer()
        current.line = self._noise.of_turn()
        log.info(
            "turn_ended",
            why=why,
            silence_ms=silence_ms,
            voiced_ms=current.voiced_ms,
            snr_db=current.line.snr_db,
        )
        if current.overlap is None or not current.overlap.passed:
            self._emit(CallerFinished(self._now_ms(), silence_ms))
        task = asyncio.get_running_loop().create_task(
            self._conclude(current, self._now_ms(), self._last_conclusion)
        )
        self._last_conclusion = task
        self._concluding.add(task)
        task.add_done_callback(self._concluded)

    async def _conclude(self, current: _Current, ended_ms: int, previous: asyncio.Task[None] | None) -> None:
        transcript: Transcript | None = None
        try:
            transcript = await current.turn.final()
        except EngineDown as down:
            log.warning("turn_unheard", engine=down.engine, reason=down.reason)
        if previous is not None:
            await asyncio.wait([previous])  # turns are told in the order they were spoken
        if self._closed:
            return
        event = None if self._passes(current, transcript) else self._event_of(current, transcript, ended_ms)
        passed = current.overlap is not None and current.overlap.passed
        if event is None or (passed and not isinstance(event, TurnEnded)):
            if current.turn.offered:
                self._emit(EagerVoid(self._now_ms()))
            return
        if not isinstance(event, NothingSaid):
            self._silence.heard()
        if passed:
            self._emit(CallerFinished(self._now_ms(), 0))  # now it is known that they wait
        if isinstance(event, TurnEnded) and current.overlap is None:
            self._bot.caller(current.loudest_dbfs)
        self._emit(event)
        if isinstance(event, NothingSaid) and current.turn.offered:
            self._emit(EagerVoid(event.at_ms))

    def _passes(self, current: _Current, transcript: Transcript | None) -> bool:
        """Whether the bot went on over it, and its last words do not say otherwise."""
        over = current.overlap
        if over is None or not over.passed:
            return False
        facts = self._overlap_facts(current, over, current.last_voiced_ms, transcript)
        return not overlap.takes_the_turn(facts)

    def _event_of(self, current: _Current, transcript: Transcript | None, ended_ms: int) -> HearingEvent:
        now_ms = self._now_ms()
        expects = current.turn.expects
        heard = Heard.of(transcript, expects, voiced_ms=current.voiced_ms, line=current.line)
        verdict = judge(heard, self._limits)
        if transcript is not None and verdict.failure is None:
            return TurnEnded(
                _utterance(current, transcript),
                now_ms,
                TurnTimings(
                    last_voiced_ms=current.last_voiced_ms,
                    vad_ms=current.end_seen_ms,
                    turn_ended_ms=ended_ms,
                    final_ms=now_ms,
                ),
            )
        if current.voiced_ms <= NOISE_MS and current.overlap is None and not heard.text:
            return NothingSaid(now_ms)  # but a bot that was cut off needs to know that nothing followed
        log.info("turn_unusable", why=verdict.why, snr_db=current.line.snr_db, clipped=current.line.clipped)
        failure = verdict.failure or HearingFailure.EMPTY
        return Unheard(
            failure, now_ms, heard.text, heard.confidence, current.turn.started_ms, current.last_voiced_ms
        )

    def _concluded(self, task: asyncio.Task[None]) -> None:
        self._concluding.discard(task)
        if self._last_conclusion is task:
            self._last_conclusion = None
        if not task.cancelled() and task.exception() is not None:
            log.error("turn_conclusion_failed", exc_info=task.exception())
        self._rest()

    # --- timers and callbacks ---------------------------------------------------------

    def _fact(self) -> None:
        self._weigh(self._heard_to_ms)

    def _partial(self, text: str) -> None:
        if not self._closed:
            self._emit(PartialHeard(text, self._now_ms()))

    def _watch_for_stall(self) -> None:
        self._stall_due = self._clock() + STALL_MS / 2000
        self._stall = asyncio.get_running_loop().call_later(STALL_MS / 2000, self._check_stall)

    def _check_stall(self) -> None:
        late_ms = (self._clock() - self._stall_due) * 1000
        self._watch_for_stall()
        if late_ms > LATE_MS:
            return
        # What comes later and later is missing on the media clock for a while, though it comes.
        since_ms = round((self._clock() - self._fed_s) * 1000)
        missing_ms = min(since_ms, self._now_ms() - self._heard_to_ms)
        if missing_ms >= STALL_MS:
            self._weigh(self._heard_to_ms + missing_ms - STALL_MS // 2)

    def _stop_stall_timer(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _rest(self) -> None:
        """Runs the silence timer if neither side makes a sound and nothing is being worked out."""
        busy = self._bot.speaking or self._current is not None or bool(self._concluding)
        if self._begun and not busy and not self._closed:
            self._silence.start()

    def _caller_silent(self, nth: int) -> None:
        if not self._closed:
            self._emit(CallerSilent(nth, self._now_ms()))

    def _now_ms(self) -> int:
        return self.media_clock.at_ms(self._clock()) or self._heard_to_ms


def _utterance(current: _Current, transcript: Transcript) -> Utterance:
    """What was heard of a turn, with its signals."""
    return Utterance(
        text=transcript.text.strip(),
        confidence=transcript.confidence,
        alternatives=transcript.alternatives,
        avg_logprob=transcript.avg_logprob,
        no_speech_prob=transcript.no_speech_prob,
        compression_ratio=transcript.compression_ratio,
        started_ms=current.turn.started_ms,
        last_voiced_ms=current.last_voiced_ms,
    )
