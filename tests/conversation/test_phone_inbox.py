"""What comes for a call from elsewhere becomes a turn, after the bot's sentence and without cutting it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pipecat.frames.frames import Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner
from virtual_time import virtual

from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.frames import AnswerFrame, CallerTurnFrame, SpokenFrame, StopSpeakingFrame
from voicebot.channels.phone.punctual import Patience
from voicebot.channels.phone.waiting import Waiting
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.conversation import (
    Action,
    CallStarted,
    Clause,
    Decision,
    Heard,
    Route,
    Timer,
    TurnInput,
    TurnTimings,
    Utterance,
)
from voicebot.core.store.database import DatabaseDown
from voicebot.dialogue.inbox import Inbox

ID = "cv_test"
SILENT = "silent"
"""About what there is nothing to say."""


DECIDED = Decision(intent="x", tier=0, action=Action.ANSWER, route=Route.FIXED, policy_row="row")


@dataclass
class Turn:
    """A plan and a commit in one."""

    turn: int
    words: str
    silent: bool
    transaction_id: str = "tx_1"
    input: TurnInput = field(default_factory=CallStarted)
    after: str = "continue"
    decision: Decision = DECIDED
    early: bool = False


@dataclass
class Dialogue:
    """An orchestrator that answers every input with its own kind."""

    inbox: Inbox = field(default_factory=Inbox)
    inputs: list[str] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    events: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    discarded: int = 0
    slow: asyncio.Event | None = None
    waits: bool = False

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text

    async def settle(self, conversation_id: str, given: TurnInput) -> Turn:
        self.inputs.append(given.kind)
        silent = isinstance(given, Timer) and given.about == SILENT
        return Turn(len(self.inputs), f"about {given.kind}", silent)

    async def withdraw(self, conversation_id: str) -> None:
        return None

    async def commit(self, plan: Turn) -> Turn:
        if self.broken:
            raise DatabaseDown("gone")
        return plan

    async def discard(self, plan: Turn) -> None:
        self.discarded += 1
        self.events.set()

    async def words(self, committed: Turn) -> AsyncIterator[Clause]:
        yield Clause(text=committed.words)

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        if self.slow is not None and not self.waits:
            self.waits = True
            await self.slow.wait()
        self.closed.append((turn, heard.text))
        self.events.set()


class Mouth(FrameProcessor):
    """The end of the pipeline: keeps what comes; speaks an answer only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self.stops = 0
        self.may_finish = asyncio.Event()
        self.call: Call

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, StopSpeakingFrame):
            self.stops += 1
        if isinstance(frame, AnswerFrame):
            text = " ".join([clause.text async for clause in frame.clauses])
            self.answers.put_nowait((frame.turn, text))
            await self.may_finish.wait()
            heard = SpokenFrame(turn=frame.turn, heard=Heard(text=text, complete=True), timings=TurnTimings())
            await self.push_frame(heard, FrameDirection.UPSTREAM)
        await self.push_frame(frame, direction)


class Call:
    """What `Conversing` uses of a call."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.conversation_id = ID
        self.kit = self
        self.dialogue = dialogue
        self.phrases = self
        self.speculation = True
        self.speaker = self
        self.turn_closed = asyncio.Event()
        self.turn_closed.set()
        self._kept: set[asyncio.Task[None]] = set()
        self.clock = asyncio.get_running_loop().time
        self.sounds_until_s = 0.0
        self.waiting = Waiting(cast("Any", self), self.filler, self.clock)

    def note_masked(self, given: TurnInput) -> None:
        pass

    def filler(self, nth: int = 0) -> Clause:
        return Clause(text="one moment")

    def answers(self) -> Patience:
        return self.waiting.answered()

    def fallback(self) -> Clause:
        return Clause(text="sorry")

    async def let_go(self) -> None:
        return None

    def now_ms(self) -> int:
        return 0

    def keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)


@asynccontextmanager
async def a_call() -> AsyncIterator[tuple[Dialogue, Mouth, PipelineWorker]]:
    dialogue, mouth = Dialogue(), Mouth()
    call = mouth.call = Call(dialogue)
    worker = PipelineWorker(
        Pipeline([Conversing(cast("Any", call)), mouth]),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            while not dialogue.inbox.deliver(ID, Timer(about=SILENT)):  # until it listens
                await asyncio.sleep(0)
            yield dialogue, mouth, worker
    finally:
        mouth.may_finish.set()
        await worker.cancel()
        await asyncio.wait({running}, timeout=5)


@virtual
async def test_what_comes_from_elsewhere_is_spoken_like_an_answer() -> None:
    """A timer is due: its turn is planned, committed and said; nobody is cut off for it."""
    async with a_call() as (dialogue, mouth, _):
        mouth.may_finish.set()
        dialogue.inbox.deliver(ID, Timer(about="dr_1"))
        assert (await mouth.answers.get())[1] == "about timer"
        assert mouth.stops == 0


@virtual
async def test_a_turn_with_nothing_to_say_is_closed_and_speaks_to_nobody() -> None:
    """Recorded, closed as heard, and the next one goes on at once."""
    async with a_call() as (dialogue, mouth, _):
        await dialogue.events.wait()
        assert dialogue.closed == [(1, "")]
        assert mouth.answers.empty()
        mouth.may_finish.set()
        dialogue.inbox.deliver(ID, Timer(about="dr_1"))
        assert (await mouth.answers.get())[0] == 2


@virtual
async def test_it_waits_until_the_bot_has_finished_and_the_caller_does_not() -> None:
    """In the middle of an answer a timer waits; a caller's turn silences the bot."""
    async with a_call() as (dialogue, mouth, worker):
        await dialogue.events.wait()
        asked = CallerTurnFrame(input=Utterance(text="hello"), waterfall=Waterfall(lambda: 0))
        await worker.queue_frames([asked])
        assert (await mouth.answers.get())[1] == "about utterance"
        assert mouth.stops == 1
        dialogue.inbox.deliver(ID, Timer(about="dr_1"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert dialogue.inputs == ["timer", "utterance"]
        mouth.may_finish.set()
        assert (await mouth.answers.get())[1] == "about timer"
        assert mouth.stops == 1


@virtual
async def test_a_turn_that_is_written_late_does_not_close_the_one_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database was slow to keep what was heard: the third turn still waits for the second."""
    monkeypatch.setattr("voicebot.channels.phone.conversing._CLOSE_S", 0.05)
    async with a_call() as (dialogue, mouth, worker):
        await dialogue.events.wait()
        dialogue.slow = asyncio.Event()
        asked = [
            CallerTurnFrame(input=Utterance(text=text), waterfall=Waterfall(lambda: 0)) for text in "abc"
        ]
        await worker.queue_frames(asked[:1])
        first, _ = await mouth.answers.get()
        mouth.may_finish.set()  # the first is spoken; writing it down takes its time
        while not dialogue.waits:
            await asyncio.sleep(0)
        mouth.may_finish.clear()
        await worker.queue_frames(asked[1:2])
        second, _ = await mouth.answers.get()
        assert second == first + 1
        dialogue.slow.set()
        while (first, "about utterance") not in dialogue.closed:
            await asyncio.sleep(0)
        assert not mouth.call.turn_closed.is_set(), "the second is not heard yet"
        mouth.may_finish.set()


@virtual
async def test_a_plan_whose_commit_fails_is_thrown_away() -> None:
    """Its words would be written on for nobody."""
    async with a_call() as (dialogue, mouth, _):
        await dialogue.events.wait()
        dialogue.events.clear()
        dialogue.broken = True
        mouth.may_finish.set()
        dialogue.inbox.deliver(ID, Timer(about="dr_1"))
        await dialogue.events.wait()
        assert dialogue.discarded == 1


@virtual
async def test_a_turn_that_is_cancelled_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before it is closed in the very tick of the cancellation: no plan, no commit all the same."""
    monkeypatch.setattr(asyncio, "wait_for", asyncio.tasks.wait_for)  # Pipecat puts another in its place
    dialogue = Dialogue()
    call = Call(dialogue)
    call.turn_closed.clear()
    conversing = Conversing(cast("Any", call))
    asked = CallerTurnFrame(input=Utterance(text="hello"), waterfall=Waterfall(lambda: 0))
    turn = asyncio.create_task(conversing.process_frame(asked, FrameDirection.DOWNSTREAM))
    for _ in range(5):
        await asyncio.sleep(0)
    call.turn_closed.set()
    turn.cancel()
    await asyncio.wait({turn})
    assert turn.cancelled()
    assert dialogue.inputs == []


@virtual
async def test_the_box_closes_with_the_call() -> None:
    """Nothing is delivered to a call that is over."""
    async with a_call() as (dialogue, mouth, _):
        mouth.may_finish.set()
    assert not dialogue.inbox.deliver(ID, Timer(about="late"))
