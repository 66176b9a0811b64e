"""The speaking side of one call: clauses in, paced mu-law out, and what was heard of them. A thin shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Protocol

import structlog

from voicebot.audio.engines.types import EngineDown, Speech
from voicebot.audio.media_clock import MediaClock
from voicebot.audio.speaking import emergency
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
from voicebot.audio.speaking.playout import Playout, Wire, WireLost
from voicebot.audio.speaking.synthesis import Piece, Synthesis, close
from voicebot.core.clock import Clock
from voicebot.core.conversation import Clause, Heard

log = structlog.get_logger(__name__)

RETRY_S = (0.7, 1.0, 1.2, 1.0)
"""Pauses before a clause is tried again while its engine is being restarted."""

GIVE_UP_S = 3.9
"""So long after a clause's engine was lost it is not tried again: the sum of those pauses, also for an engine
that hangs instead of failing."""

LEAST_S = 0.05
"""Between two looks at a line that must not be spoken on."""

LINE_AGAIN_S = 2.5
"""The emergency line is spoken again when the engine has been away for so long since."""

NOTHING = Heard(text="", complete=False)


class Idle(Protocol):
    """What to say while a clause is slow to become sound."""

    def due_s(self) -> float:
        """Seconds until something must be heard; 0: now."""
        ...

    def filler(self) -> Clause | None:
        """What to say then; None: nothing, the caller speaks."""
        ...


class Speaker:
    """One per call. Every method must be called on the call's event loop.

    Args:
        call: the call's name for engines and logs.
        speech: synthesis, shared by calls.
        phrases: the cache of fixed phrases, shared by calls.
        wire: this call's media stream.
        emit: gets every ``SpeakingEvent``, on the event loop, in order; must not block.
        clock: the loop's clock, seconds.
        lead_ms: audio runs ahead of the caller's ear by this much to 100 ms more.
        on_bot_audio: gets every piece of audio that was played (mu-law, and the media time of its first
            sample in ms), shortly after it was; never audio that a cut dropped.
        media_clock: the listener's; without it media times are None.
        on_bot_sent: gets every piece of audio as it leaves, with the media time at which it will play as far
            as is known; b"" and a time when what was to play from then on will not, or at another time (then
            it is told again).
    """

    def __init__(
        self,
        call: str,
        *,
        speech: Speech,
        phrases: PhraseCache,
        wire: Wire,
        emit: Callable[[SpeakingEvent], None],
        clock: Clock,
        lead_ms: int = 300,
        on_bot_audio: Callable[[bytes, int | None], None] | None = None,
        media_clock: MediaClock | None = None,
        on_bot_sent: Callable[[bytes, int | None], None] | None = None,
        idle: Idle | None = None,
    ) -> None:
        self._call = call
        self._synthesis = Synthesis(call, speech, phrases)
        self._voice_id = speech.voice_id
        self._phrases = phrases
        self._idle = idle
        self._silent_since = float("-inf")
        self._wire = wire
        self._emit = emit
        self._clock = clock
        self._lead_ms = lead_ms
        self._on_bot_audio = on_bot_audio
        self._on_bot_sent = on_bot_sent
        self._media_clock = media_clock
        self._generation = 0
        self._cuts = 0
        self._one_at_a_time = asyncio.Lock()
        self._playout: Playout | None = None
        self._sending: asyncio.Task[None] | None = None
        self._marks_return = True
        self._round_trip_ms: float | None = None

    @property
    def speaking(self) -> bool:
        """Whether audio is on its way to the caller's ear."""
        return self._playout is not None and self._playout.started and not self._playout.over

    @property
    def left_ms(self) -> float | None:
        """How much of the answer the caller has not heard yet; None while it is still being made; 0: none."""
        if self._playout is None or self._playout.over:
            return 0.0
        return self._playout.left_ms

    @property
    def sounds_until_s(self) -> float:
        """When the line falls silent, or fell (our clock): the end of all audio that is made by now."""
        playout = self._playout
        if playout is None or playout.over:
            return self._silent_since
        return playout.sounds_until_s if playout.started or playout.waiting else self._silent_since

    async def say(self, turn: int, clauses: AsyncIterator[Clause]) -> Heard:
        """Speaks the clauses as they come; returns what was heard once the last mark is back, or at a cut.

        A second ``say`` waits for the first (and says nothing if a cut came meanwhile). When the engine
        is lost, an emergency line fills in while the clause is tried again; ``SpeechFailed`` tells if it
        stayed away. When the wire is lost it returns at once. Errors of ``clauses`` itself are raised
        after what came before them was heard.
        """
        try:
            return await self._play(turn, lambda playout: self._produce(turn, playout, clauses))
        finally:
            await close(clauses)

    async def line(self, turn: int, name: str) -> Heard:
        """Speaks an emergency line; needs no engine.

        Raises:
            UnknownLine: no such line.
        """
        audio = emergency.line(name)

        async def produce(playout: Playout) -> None:
            playout.clause(emergency.LINES[name])
            await playout.add(audio.ulaw, audio.words)
            playout.clause_made()
            playout.no_more(complete=True)

        return await self._play(turn, produce)

    async def pause(self) -> Heard | None:
        """Somebody may be speaking over the answer: silences the caller's ear at once, keeps the rest.

        Returns what was heard by then; None if nothing was being said. What follows is ``resume`` or ``cut``;
        meanwhile synthesis goes on as far as its buffer. A second pause changes nothing.
        """
        playout = self._playout
        if playout is None or playout.over:
            return None
        audible = playout.started and not playout.paused
        self._generation += 1
        heard = playout.pause(self._generation)
        if audible:
            await self._clear()
        return heard

    def resume(self) -> None:
        """It was nothing: the answer goes on from the word that was interrupted."""
        if self._playout is not None:
            self._playout.resume()

    async def cut(self) -> Heard | None:
        """Barge-in: silences the caller's ear at once, for good; ends a pause.

        Returns what was heard by then (by the beginning of the pause); None if nothing was being said.
        """
        self._cuts += 1
        playout = self._playout
        if playout is None or playout.over:
            return None
        audible = playout.started and not playout.paused
        heard = playout.cut()
        if self._sending is not None:
            self._sending.cancel()
        if audible:
            await self._clear()
        return heard

    async def _clear(self) -> None:
        try:
            await self._wire.clear()
        except Exception as error:
            log.warning("clear_not_sent", error=type(error).__name__)

    async def hold(self, clause: Clause, on_sound: Callable[[], None] = lambda: None) -> None:
        """Makes the first clause of an answer that may come; see ``Synthesis.hold``."""
        await self._synthesis.hold(clause, on_sound)

    async def let_go(self) -> None:
        """That answer does not come: what was made for it is dropped."""
        await self._synthesis.let_go()

    def mark_returned(self, name: str) -> None:
        """A mark came back from the peer; unknown, old and repeated ones are ignored."""
        if self._playout is not None:
            self._playout.returned(name)

    # --- one answer -------------------------------------------------------------------

    async def _play(self, turn: int, produce: Callable[[Playout], Coroutine[Any, Any, None]]) -> Heard:
        cuts = self._cuts
        async with self._one_at_a_time:
            if cuts != self._cuts:
                return NOTHING
            self._generation += 1
            playout = Playout(
                self._generation,
                wire=self._wire,
                clock=self._clock,
                lead_ms=self._lead_ms,
                observer=_Observer(self, turn),
                on_played=self._played,
                on_sent=self._sent,
                marks_return=self._marks_return,
                round_trip_ms=self._round_trip_ms,
            )
            self._playout = playout
            loop = asyncio.get_running_loop()
            making: asyncio.Task[None] = loop.create_task(produce(playout))
            making.add_done_callback(lambda task: _stopped_making(task, playout))
            self._sending = sending = loop.create_task(playout.run())
            try:
                await asyncio.wait([sending])
                self._settle(sending, playout)
            finally:
                making.cancel()
                sending.cancel()
                await asyncio.wait([making, sending])
                if playout.started:
                    self._silent_since = self._clock()
                self._playout = self._sending = None
            if playout.started:
                self._marks_return = playout.marks_returned or not playout.heard.complete
                if playout.marks_returned:
                    self._round_trip_ms = playout.round_trip_ms
            self._emit(SpeakingEnded(turn, playout.heard, self.media_ms()))
            if not making.cancelled() and (error := making.exception()) is not None:
                raise error
            return playout.heard

    def _settle(self, sending: asyncio.Task[None], playout: Playout) -> None:
        if sending.cancelled():
            playout.lost()  # no-op after a cut
        elif (error := sending.exception()) is not None:
            playout.lost()
            if not isinstance(error, WireLost):
                raise error
            log.warning("wire_lost", reason=str(error))

    async def _produce(self, turn: int, playout: Playout, clauses: AsyncIterator[Clause]) -> None:
        async for clause in clauses:
            if not any(character.isalnum() for character in clause.text):
                continue  # a lone dash or quote has no sound
            if not await self._render(turn, playout, clause):
                self._emit(SpeechFailed(turn, self.media_ms()))
                playout.no_more(complete=False)
                return
        playout.no_more(complete=True)

    async def _render(self, turn: int, playout: Playout, clause: Clause) -> bool:
        number = playout.clause(clause.text)
        last_line = lost_at = float("-inf")
        for attempt in range(len(RETRY_S) + 1):
            try:
                async with aclosing(self._synthesis.pieces(clause)) as pieces:
                    piece = await self._first(anext(pieces, None), turn, playout, number)
                    while piece is not None:
                        await playout.add(piece.ulaw, piece.words)
                        piece = await anext(pieces, None)
                playout.clause_made()
                return True
            except EngineDown as down:
                log.warning("speech_lost", reason=down.reason, attempt=attempt)
            now = self._clock()
            lost_at = max(lost_at, now) if attempt == 0 else lost_at
            if attempt == len(RETRY_S) or now - lost_at >= GIVE_UP_S:
                return False
            if now - last_line >= LINE_AGAIN_S:
                last_line = now
                await self._fill_in(turn, playout)
            await asyncio.sleep(RETRY_S[attempt])
            playout.again(number)
        return False

    async def _first(
        self, coming: Awaitable[Piece | None], turn: int, playout: Playout, number: int
    ) -> Piece | None:
        """The first sound of a clause; the line does not fall silent over it."""
        task = asyncio.ensure_future(coming)
        try:
            while self._idle is not None:
                due_s = self._idle.due_s()
                if due_s <= 0:
                    await self._fill_in(turn, playout)
                    playout.again(number)
                    due_s = max(LEAST_S, self._idle.due_s())
                done, _ = await asyncio.wait({task}, timeout=None if due_s == float("inf") else due_s)
                if done:
                    break
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _fill_in(self, turn: int, playout: Playout) -> None:
        clause = None if self._idle is None else self._idle.filler()
        if self._idle is not None and clause is None:
            return
        kept = None if clause is None else await self._phrases.get(self._voice_id, clause.text)
        audio = emergency.line("one_moment") if kept is None else kept
        playout.clause("")
        await playout.add(audio.ulaw, audio.words)
        playout.clause_made()
        self._emit(LineSpoken(turn, "one_moment" if kept is None else "filler", self.media_ms()))

    def _played(self, ulaw: bytes, at_s: float) -> None:
        if self._on_bot_audio is not None:
            self._on_bot_audio(ulaw, self.media_ms(at_s))

    def _sent(self, ulaw: bytes, at_s: float) -> None:
        if self._on_bot_sent is not None:
            self._on_bot_sent(ulaw, self.media_ms(at_s))

    def media_ms(self, at_s: float | None = None) -> int | None:
        """Media time of a moment of our clock (now, if not given)."""
        if self._media_clock is None:
            return None
        return self._media_clock.at_ms(self._clock() if at_s is None else at_s)

    def tell(self, event: SpeakingEvent) -> None:
        """Passes an event on to the pipeline."""
        self._emit(event)


class _Observer:
    """Turns what a playout sees into the events of its turn."""

    def __init__(self, speaker: Speaker, turn: int) -> None:
        self._speaker = speaker
        self._turn = turn
        self._first = True

    def clause_left(self, text: str) -> None:
        at_ms = self._speaker.media_ms()
        if self._first:
            self._first = False
            self._speaker.tell(FirstAudioSent(self._turn, at_ms))
        if text:
            self._speaker.tell(ClauseStarted(self._turn, text, at_ms))

    def first_heard(self, at_s: float) -> None:
        self._speaker.tell(FirstHeard(self._turn, self._speaker.media_ms(at_s)))


def _stopped_making(task: asyncio.Task[None], playout: Playout) -> None:
    """A producer that failed must not leave the sender waiting for more."""
    if task.cancelled() or task.exception() is not None:
        playout.no_more(complete=False)
