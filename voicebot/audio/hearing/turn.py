"""One turn of the caller on its way to words: feeds the recogniser, asks the witnesses, keeps the facts.

A thin shell. Everything slow is a task; what comes of it is a fact for the pure endpointing. A fact
belongs to one stretch of speech: when the caller goes on, the verdict on the pause before is void.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from voicebot.audio.engines.types import EngineDown, Recognition, Transcriber, Transcript, TurnJudge
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, EndpointFacts, EndpointRules
from voicebot.core.clock import Clock
from voicebot.core.conversation import Expects

log = structlog.get_logger(__name__)

PACKET_BYTES = 2 * 8 * 80
"""Audio goes to the recogniser 80 ms at a time: at 20 ms the RPC itself costs four times as much."""

EAGER_MS = 64
"""Silence after which the words so far are decoded, so that the turn can be planned early. Of silences inside
a line so long (144 recorded lines of several voices) there are 1.3 a line at 64 ms, 0.8 at 96, 0.5 at 128;
each costs a decode and a plan, and a language model begins by so much earlier."""

PAUSE_MS = 128
"""Silence after which smart-turn is asked; most pauses inside a sentence are shorter."""

OFFERS = 4
"""Pauses of one turn after which its words so far are offered for planning early; who pauses more often than
that is not planned for before the end."""

JUDGE_AT_MS = (PAUSE_MS, 256, 512, 900, 1300)
"""Silences at which smart-turn is asked again: it hears the pause grow."""

JUDGE_BYTES = 2 * 8000 * 8
"""Smart-turn reads the last 8 s."""

WORDS_DEADLINE_S = 1.2
"""How long endpointing waits for words (the answer itself is waited for longer)."""

OPEN_DEADLINE_S = 3.0
FINAL_DEADLINE_S = 3.5
"""Behind the engine client's own deadlines, in case it has none or lies; and no caller waits longer."""

SLOW_PEEK_S = 0.15
"""A recogniser this slow is not asked twice: what it said of the whole turn stands as the final."""


class HearingTurn:
    """One turn. Made at its onset, fed to its end; then ``final()`` or ``cancel()``, exactly once."""

    def __init__(
        self,
        call: str,
        *,
        transcriber: Transcriber,
        judge: TurnJudge,
        expects: Expects,
        started_ms: int,
        clock: Clock,
        on_partial: Callable[[str], None],
        on_fact: Callable[[], None],
        rules: EndpointRules = DEFAULT_RULES,
    ) -> None:
        self.expects = expects
        self.started_ms = started_ms
        self._call = call
        self._transcriber = transcriber
        self._judge = judge
        self._clock = clock
        self._on_partial = on_partial
        self._on_fact = on_fact
        self._rules = rules
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unsent = bytearray()
        self._audio = bytearray()
        self._segment = 0  # stretches of speech so far; facts name theirs
        self._closed = False
        self._words: Transcript | None = None
        self._words_segment = -1
        self._peek: asyncio.Task[Any] | None = None
        self._peek_segment = -1
        self._peek_began = 0.0
        self._peek_took = 0.0
        self._verdict: float | None = None
        self._asked_at: float | None = None
        self._asked_silence = 0
        self._offers = 0
        self._offered_segment = -1
        self._offered_likely = False
        self._judge_down = False
        self._understood: bool | None = None
        self._recognition: Recognition | None = None
        self._opening = self._spawn(self._open())

    # --- sound in ---------------------------------------------------------------------

    def feed(self, pcm: npt.NDArray[np.int16]) -> None:
        """More audio of the turn, voiced or not, in order."""
        data = pcm.tobytes()
        self._unsent += data
        self._audio += data
        if len(self._audio) > JUDGE_BYTES * 2:
            del self._audio[:-JUDGE_BYTES]
        if len(self._unsent) >= PACKET_BYTES:
            self._flush()

    def paused(self, silence_ms: int) -> None:
        """The caller has been silent for ``silence_ms``: asks the witnesses that are due."""
        if silence_ms < EAGER_MS or self._closed:
            return
        if self._words_segment != self._segment and (self._peek is None or self._peek.done()):
            self._peek_segment = self._segment
            self._peek_began = self._clock()
            self._peek = self._spawn(self._decode(self._segment))
        if self._judge_down or self._asked_at is not None:
            return
        due = [at for at in JUDGE_AT_MS if self._asked_silence < at <= silence_ms]
        if due:
            self._asked_silence = due[-1]
            self._asked_at = self._clock()
            self._spawn(self._ask(self._segment, bytes(self._audio[-JUDGE_BYTES:])))

    def resumed(self) -> bool:
        """The caller goes on after a pause: its facts are void. Returns whether its words were offered."""
        offered = self.offered
        self._segment += 1
        self._verdict = None
        self._understood = None
        self._asked_at = None
        self._asked_silence = 0
        return offered

    # --- facts out --------------------------------------------------------------------

    def facts(self, silence_ms: int, turn_ms: int) -> EndpointFacts:
        """What is known now, for ``endpointing.decide``."""
        now = self._clock()
        verdict_due = (
            self._asked_at is not None and (now - self._asked_at) * 1000 < self._rules.verdict_deadline
        )
        words_due = (
            self._peek is not None
            and not self._peek.done()
            and self._peek_segment == self._segment
            and now - self._peek_began < WORDS_DEADLINE_S
        )
        return EndpointFacts(
            silence_ms=silence_ms,
            turn_ms=turn_ms,
            words=None if self._words is None else self._words.text,
            words_current=self._words_segment == self._segment,
            complete=self._verdict,
            verdict_due=verdict_due,
            words_due=words_due,
            expects=self.expects,
            understood=self._understood,
        )

    def understood(self, text: str, made_something: bool) -> None:
        """Whether the dialogue made something of the words offered; of others it says nothing."""
        if self.offered and self._words is not None and self._words.text.strip() == text:
            self._understood = made_something

    @property
    def offered(self) -> bool:
        """Whether the words of this pause were offered."""
        return self._offered_segment == self._segment

    def offer(self, *, likely: bool) -> Transcript | None:
        """The words so far, if planning them early is worth it: once a pause, again once it is ``likely``."""
        if self._words is None or self._words_segment != self._segment or not self._words.text.strip():
            return None
        if self.offered and (self._offered_likely or not likely):
            return None
        if not self.offered:
            if self._offers >= OFFERS:
                return None
            self._offers += 1
        self._offered_segment, self._offered_likely = self._segment, likely
        return self._words

    @property
    def words(self) -> Transcript | None:
        """The words so far; None while none were decoded."""
        return self._words

    async def final(self) -> Transcript:
        """The words of the whole turn; the turn is closed afterwards.

        Raises:
            EngineDown: the recogniser is gone or past its deadline.
        """
        try:
            async with asyncio.timeout(FINAL_DEADLINE_S):
                return await self._final()
        except TimeoutError:
            raise EngineDown("stt", "deadline") from None
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """Drops what is still under way. Safe at any time, also twice."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        recognition, self._recognition = self._recognition, None
        if recognition is not None:
            await recognition.cancel()

    # --- tasks ------------------------------------------------------------------------

    async def _final(self) -> Transcript:
        self._flush()
        if self._peek is not None and self._peek_segment == self._segment:
            await asyncio.wait([self._peek])
            known = self._words_segment == self._segment
            if known and self._words is not None and self._peek_took >= SLOW_PEEK_S:
                return self._words
        recognition = await self._opened()
        self._closed = True
        transcript = await recognition.finish()
        self._recognition = None
        return transcript

    async def _open(self) -> Recognition:
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                recognition = await self._transcriber.open(self._call, self.expects, self._partial)
        except TimeoutError:
            raise EngineDown("stt", "deadline") from None
        self._recognition = recognition
        self._flush()
        return recognition

    async def _opened(self) -> Recognition:
        await asyncio.wait([self._opening])
        if self._opening.cancelled():
            raise EngineDown("stt", "cancelled")
        return self._opening.result()

    async def _decode(self, segment: int) -> None:
        try:
            recognition = await self._opened()
            self._flush()
            words = await recognition.peek()
        except EngineDown as down:
            # Not the end of the turn: finish() will say so again, and then it counts.
            log.warning("words_so_far_unavailable", engine=down.engine, reason=down.reason)
            return
        self._peek_took = self._clock() - self._peek_began
        self._words, self._words_segment = words, segment
        self._on_fact()

    async def _ask(self, segment: int, audio: bytes) -> None:
        try:
            async with asyncio.timeout(self._rules.verdict_deadline / 1000 * 2):
                probability = await self._judge.probability(self._call, audio)
        except (EngineDown, TimeoutError) as down:
            self._judge_down = True
            log.warning("turn_judge_unavailable", reason=getattr(down, "reason", "deadline"))
            probability = None
        if segment == self._segment:
            self._asked_at = None
            if probability is not None:
                self._verdict = probability
            self._on_fact()

    def _partial(self, transcript: Transcript) -> None:
        if self._closed:
            return
        if self._words is None or transcript.text != self._words.text:
            if self._words_segment != self._segment:
                self._words = transcript
            self._on_partial(transcript.text)

    def _flush(self) -> None:
        if self._recognition is not None and self._unsent:
            self._recognition.feed(bytes(self._unsent))
            self._unsent.clear()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, EngineDown):
            log.error("hearing_task_failed", exc_info=error)
