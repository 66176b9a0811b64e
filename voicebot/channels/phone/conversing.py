"""The middle of a call's pipeline: a turn goes in, an answer comes out.

Turns are the caller's, and what comes for the call from elsewhere: a slow tool's result, a person's
approval, a timer. Those wait until the bot has finished its sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog
from pipecat.frames.frames import Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.phone.ahead import Ahead
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import (
    AnswerFrame,
    CallerTurnFrame,
    CallOverFrame,
    EagerTurnFrame,
    EagerVoidFrame,
    EmergencyFrame,
    SpokenFrame,
    StopSpeakingFrame,
)
from voicebot.channels.phone.punctual import punctual
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core import metrics
from voicebot.core.conversation import (
    BY_CALLER,
    Action,
    Clause,
    Decision,
    Heard,
    NotHeard,
    PaymentOver,
    TurnInput,
)
from voicebot.core.store.conversations import ConversationEnded
from voicebot.core.store.database import DatabaseDown
from voicebot.dialogue.orchestrator import Committed, StalePlan

log = structlog.get_logger(__name__)

T = TypeVar("T")

_TRIES = 3  # a plan loses its turn only to another node or a late write; once is already rare
_CLOSE_S = 2.5  # how long a turn waits for the one before it to be written down as heard
_FINISH_S = 12.0  # how long what comes from elsewhere waits for the bot to finish its answer


class TooSlow(Exception):  # a state of the turn
    """No plan in the time that a caller waits: they are given to a person."""


class Conversing(FrameProcessor):
    """Plans and commits each of the caller's turns and hands the words on.

    One turn at a time, in order. A turn waits until what was heard of the one before it has
    been written, so that the plan sees it.

    Args:
        call: the call's parts.
    """

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._call = call
        self._conversation_id = call.conversation_id
        self._dialogue = call.kit.dialogue
        self._phrases = call.kit.phrases
        self._closed = call.turn_closed
        self._ahead = Ahead(call)
        self._pump: asyncio.Task[None] | None = None
        self._pays: int | None = None  # the turn after which a card is typed in here
        self._taking: asyncio.Task[None] | None = None
        self._promised: int | None = None  # the turn that left a slow tool at work, or waits for a person
        self._held: Callable[[int], Clause] | None = None  # what is said meanwhile, if it waits for a person
        self._open_turn: int | None = None  # not yet written as heard; None while it is planned

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerTurnFrame):
            await self._turn(frame)
            return
        if isinstance(frame, EagerTurnFrame):
            self._ahead.offer(frame.utterance, frame.at_ms, likely=frame.likely)
            return
        if isinstance(frame, EagerVoidFrame):
            self._ahead.void()
            return
        if isinstance(frame, SpokenFrame):
            # Not awaited: system frames (a barge-in) must not queue behind a write. Not a task of the
            # pipeline's either: it must outlive a call that ends now (see run_call).
            self._call.keep(self._close(frame))
            if frame.turn == self._pays:
                self._pays = None
                self._taking = self.create_task(self._take_card())
            if frame.turn == self._promised and frame.heard.complete:
                self._call.waiting.hold(self._held)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._pump = self.create_task(self._from_elsewhere())

    async def cleanup(self) -> None:
        """Stops listening for what comes from elsewhere, and drops what was made ahead."""
        for task in (self._pump, self._taking):
            if task is not None:
                await self.cancel_task(task)
        await self._ahead.close()
        await super().cleanup()

    async def _from_elsewhere(self) -> None:
        """Late results, agents' decisions and timers become turns, in order with the caller's."""
        with self._dialogue.inbox.open(self._conversation_id) as box:
            while True:
                given = await box.get()
                await self.queue_frame(CallerTurnFrame(input=given, waterfall=Waterfall(self._call.now_ms)))

    async def _take_card(self) -> None:
        """On our own keypad; what came of it becomes a turn."""
        payment = await self._call.cards.take()
        if payment is not None:
            self._call.waiting.begin()
            given = PaymentOver(payment=payment)
            await self.queue_frame(CallerTurnFrame(input=given, waterfall=Waterfall(self._call.now_ms)))

    async def _turn(self, frame: CallerTurnFrame) -> None:
        by_caller = frame.input.kind in {*BY_CALLER, "call_started", "transfer_failed"}
        if by_caller and not self._call.waiting.saying:
            await self.push_frame(StopSpeakingFrame(cause="turn"))
        try:
            within_s = _CLOSE_S if by_caller else _FINISH_S
            async with asyncio.timeout(within_s):  # wait_for may swallow a cancellation
                await self._closed.wait()
        except TimeoutError:
            log.warning("turn.previous_not_closed")
        self._closed.clear()
        self._open_turn = None
        try:
            committed = await self._in_time(self._commit(frame.input, frame.waterfall))
        except ConversationEnded:
            self._call.waiting.over()
            self._closed.set()
            await self.push_frame(CallOverFrame(outcome="ended", reason="over"), FrameDirection.UPSTREAM)
            return
        except (DatabaseDown, TooSlow) as error:
            reason = "database_down" if isinstance(error, DatabaseDown) else "too_slow"
            log.error("turn.fails_to_person", reason=reason)
            await self._fail_to_person(reason)
            return
        except Exception:
            # Whatever it is, the caller is on the line: a person takes over, and we get the traceback.
            log.exception("turn.fails_to_person", reason="internal_error")
            await self._fail_to_person("internal_error")
            return
        self._open_turn = committed.turn
        if committed.after == "keypad":
            self._pays = committed.turn
            self._call.cards.begin()
        if committed.silent:  # recorded, and nothing to say
            self._ahead.let_go()
            self._call.waiting.over()
            timings = frame.waterfall.timings()
            nothing = SpokenFrame(turn=committed.turn, heard=Heard(text="", complete=True), timings=timings)
            self._call.keep(self._close(nothing))
            return
        words = punctual(
            _noting(self._dialogue.words(committed), frame.waterfall),
            filler=self._call.waiting.next_filler,
            fallback=self._phrases.fallback(),
            patience=self._call.answers(),
            sounds_until=lambda: self._call.speaker.sounds_until_s,
            may_speak=self._call.waiting.may_speak,
            clock=self._call.clock,
        )
        drafted = committed.decision.action is Action.DRAFT
        if drafted or _works_on(committed.decision):
            self._promised = committed.turn
            self._held = self._phrases.held if drafted else None
        await self.push_frame(
            AnswerFrame(
                turn=committed.turn,
                clauses=words,
                expects=committed.decision.expects,
                after=committed.after,
                reason="caller_silent" if frame.input.kind == "silence" else "goodbye",
                waterfall=frame.waterfall,
                proposes=committed.decision.action is Action.PROPOSE,
            )
        )

    async def _fail_to_person(self, reason: str) -> None:
        self._ahead.let_go()
        self._call.waiting.over()
        metrics.turns_to_person.labels(reason).inc()
        self._closed.set()
        await self.push_frame(EmergencyFrame(line="handing_over", outcome="handoff", reason=reason))

    async def _commit(self, turn_input: TurnInput, waterfall: Waterfall) -> Committed:
        for attempt in range(_TRIES):
            plan = await self._ahead.settle(turn_input)
            waterfall.note("planned_ms")
            try:
                committed = await self._dialogue.commit(plan)
            except StalePlan:
                metrics.stale_plans.inc()
                if attempt == _TRIES - 1:
                    raise
                continue
            except BaseException:  # its words and slow reads are nobody's any more
                await self._dialogue.discard(plan)
                raise
            structlog.contextvars.bind_contextvars(turn=plan.turn, transaction=plan.transaction_id)
            waterfall.note("committed_ms")
            self._call.note_masked(plan.input)
            self._ahead.note(plan, waterfall)
            metrics.turns.labels(turn_input.kind, committed.decision.action).inc()
            if isinstance(turn_input, NotHeard):
                rung = committed.decision.policy_row.rpartition("/")[2]
                metrics.not_heard_rungs.labels(turn_input.reason.value, rung).inc()
            return committed
        raise AssertionError("unreachable")

    async def _in_time(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._call.waiting.left_s())
            if not done:
                raise TooSlow
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _close(self, frame: SpokenFrame) -> None:
        try:
            await self._dialogue.heard(self._conversation_id, frame.turn, frame.heard, frame.timings)
        except DatabaseDown:
            # The turn stays open in the database; the next plan fails over to a person.
            log.error("turn.heard_not_stored", turn=frame.turn)
        finally:
            if self._open_turn is not None and frame.turn >= self._open_turn:  # else a late one before it
                self._closed.set()


def _works_on(decision: Decision) -> bool:
    """Whether a slow tool is still at work for the turn."""
    return any(read.result is None and read.error is None for read in decision.tools)


async def _noting(clauses: AsyncIterator[Clause], waterfall: Waterfall) -> AsyncIterator[Clause]:
    async for clause in clauses:
        waterfall.note("first_clause_ms")
        yield clause
