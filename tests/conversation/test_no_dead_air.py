"""While it is the bot's turn the line is never silent for three seconds, whatever is slow, stalls or dies.

Whole calls in virtual time: the real listening, conversing and speaking, engines and dialogue faked with
their delays. What counts is the audio that came out at the caller's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner
from prometheus_client import REGISTRY
from sound_fakes import QUIET, TONE, Ear, FakeEars, FakeJudge, FakeSpeech, ToneVoice
from virtual_time import virtual

from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.speaking import PhoneSpeaking
from voicebot.channels.twilio.wire import Dtmf, Media
from voicebot.core.bus import Bus
from voicebot.core.conversation import (
    Action,
    AgentDecision,
    CallStarted,
    Clause,
    Decision,
    Heard,
    HearingFailure,
    LateResult,
    NotHeard,
    Route,
    Silence,
    ToolRead,
    TurnInput,
    TurnTimings,
)
from voicebot.dialogue.inbox import Inbox

ID = "cv_test"
LONGEST_S = 3.0
FILLERS = ("One moment please.", "Still working on that.", "Thanks for waiting.")
FALLBACK = "Sorry this takes too long."
ANSWERED = Decision(intent="x", tier=0, action=Action.ANSWER, route=Route.FIXED, policy_row="row")
TOOL = ToolRead(tool="order_status", arguments={})
DRAFTED = Decision(intent="x", tier=0, action=Action.DRAFT, route=Route.DRAFT, policy_row="row")
HELD = ("I'm still here.", "I'm waiting for my colleague.")
APPROVED = AgentDecision(draft=f"dr_{'0' * 32}", verdict="edit", agent="ada", text="Thirty days.")


class Lines:
    """The deployment's phrases."""

    def filler(self, nth: int = 0) -> Clause:
        return Clause(text=FILLERS[nth % len(FILLERS)], fixed=True)

    def held(self, nth: int = 0) -> Clause:
        return Clause(text=HELD[nth % len(HELD)], fixed=True)

    def fallback(self) -> Clause:
        return Clause(text=FALLBACK, fixed=True)


@dataclass
class Turn:
    """A plan and a commit in one."""

    turn: int
    clauses: tuple[tuple[float, str], ...]
    decision: Decision = ANSWERED
    transaction_id: str = "tx"
    input: TurnInput = field(default_factory=CallStarted)
    after: str = "continue"
    silent: bool = False
    early: bool = False


@dataclass
class Dialogue:
    """An orchestrator with delays: of planning, of the commit, and before each clause (seconds, words)."""

    plan_s: float = 0.02
    commit_s: float = 0.02
    clauses: tuple[tuple[float, str], ...] = ((0.0, "Here is your answer."),)
    greets_s: float = 0.0
    late_s: float | None = None
    """So long after its turn a tool's result comes into the inbox."""
    after: str = "continue"
    approved_s: float | None = None
    """So long after its turn a person decides on the words that it holds back."""
    inbox: Inbox = field(default_factory=Inbox)
    inputs: list[TurnInput] = field(default_factory=list)

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text

    async def settle(self, conversation_id: str, given: TurnInput) -> Turn:
        self.inputs.append(given)
        if isinstance(given, CallStarted):
            await asyncio.sleep(self.greets_s)
            return Turn(len(self.inputs), ((0.0, "Hello there."),))
        if isinstance(given, LateResult):
            return Turn(len(self.inputs), ((0.0, "It is on its way."),))
        if isinstance(given, AgentDecision):
            return Turn(len(self.inputs), ((0.0, given.text or ""),))
        await asyncio.sleep(self.plan_s)
        if isinstance(given, Silence):
            return Turn(len(self.inputs), ((0.0, "My colleague is still looking at it."),), DRAFTED)
        if isinstance(given, NotHeard):
            row = f"not_heard/{given.reason}/keypad"
            decision = ANSWERED.model_copy(update={"policy_row": row})
            return Turn(len(self.inputs), self.clauses, decision, input=given)
        decision = ANSWERED
        if self.approved_s is not None:
            decision = DRAFTED
            asyncio.get_running_loop().call_later(self.approved_s, self.inbox.deliver, ID, APPROVED)
        if self.late_s is not None:
            decision = ANSWERED.model_copy(update={"tools": (TOOL,)})
            result = LateResult(task="task_1", tool="order_status", arguments={}, result={})
            asyncio.get_running_loop().call_later(self.late_s, self.inbox.deliver, ID, result)
        return Turn(len(self.inputs), self.clauses, decision, after=self.after)

    async def commit(self, plan: Turn) -> Turn:
        await asyncio.sleep(0.0 if plan.turn == 1 else self.commit_s)
        return plan

    async def withdraw(self, conversation_id: str) -> None:
        return None

    async def discard(self, plan: Turn) -> None:
        return None

    async def words(self, committed: Turn) -> AsyncIterator[Clause]:
        for wait_s, text in committed.clauses:
            await asyncio.sleep(wait_s)
            yield Clause(text=text)

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        await asyncio.sleep(0.01)


class Line(Ear):
    """The session of a call: the caller's frames, and their ear. ``voiced``: from, to (s since the start)."""

    conversation_id = ID
    resumed = False
    returned = None

    def __init__(self, voiced: tuple[tuple[float, float], ...], keys: tuple[tuple[float, str], ...]) -> None:
        super().__init__()
        self.began = asyncio.get_running_loop().time()
        self._voiced = voiced
        self._keys = list(keys)
        self.lost = False

    async def messages(self) -> AsyncIterator[Media | Dtmf]:
        for number in range(100_000):
            if self.lost:
                return
            at_s = number * 0.02
            while self._keys and self._keys[0][0] <= at_s:
                yield Dtmf("MZ", self._keys.pop(0)[1], None)
            loud = any(begin <= at_s < end for begin, end in self._voiced)
            yield Media("MZ", TONE if loud else QUIET, number * 20, number, number, "inbound")
            await asyncio.sleep(0.02)

    def sounds(self) -> list[tuple[float, float]]:
        """Runs of the bot's sound at the caller's ear, seconds since the start."""
        runs: list[tuple[float, float]] = []
        for at, ulaw in self.heard:
            begin, end = at - self.began, at - self.began + len(ulaw) / 8000
            if runs and begin - runs[-1][1] < 0.05:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((begin, end))
        return runs


@dataclass
class Scene:
    """A call that runs."""

    call: PhoneCall
    line: Line
    dialogue: Dialogue
    speech: FakeSpeech

    def gaps(self, since_s: float) -> list[float]:
        """Silences on the line from the end of the caller's turn on."""
        heard = [run for run in self.line.sounds() if run[1] > since_s]
        edges = [since_s, *(edge for run in heard for edge in run)]
        return [round(b - a, 2) for a, b in list(pairwise(edges))[::2]]

    def said(self) -> list[str]:
        return self.speech.said


@asynccontextmanager
async def a_call(
    folder: Path,
    dialogue: Dialogue,
    *,
    voiced: tuple[tuple[float, float], ...] = ((2.0, 3.0),),
    keys: tuple[tuple[float, str], ...] = (),
    ears: FakeEars | None = None,
    speech: FakeSpeech | None = None,
    silence_s: float = 30.0,
) -> AsyncIterator[Scene]:
    speech = speech or FakeSpeech()
    kit = PhoneKit(
        dialogue=cast("Any", dialogue),
        phrases=Lines(),
        transcriber=ears or FakeEars(["where is my order"] * 9),
        speech=speech,
        judge=FakeJudge(),
        vad=ToneVoice,
        phrase_cache=PhraseCache(None),
        bus=Bus(),
        recorder=cast("Any", None),
        silence_s=silence_s,
        speculation=False,
    )
    line = Line(voiced, keys)
    clock = asyncio.get_running_loop().time
    call = PhoneCall(kit, cast("Any", line), Recorder(folder / "call", bytes(32), ID), clock)
    line.on_mark = call.speaker.mark_returned
    worker = PipelineWorker(
        Pipeline([PhoneListening(call), Conversing(call), PhoneSpeaking(call)]),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    call.queue_frames = worker.queue_frames
    running = asyncio.create_task(runner.run())
    try:
        yield Scene(call, line, dialogue, speech)
    finally:
        line.lost = True
        await worker.cancel()
        await asyncio.wait({running}, timeout=5)
        await call.close()
        await line.close()


SLOW = {
    "plan": Dialogue(plan_s=3.0),
    "a plan for ever": Dialogue(plan_s=60.0),
    "act": Dialogue(commit_s=3.4),
    "first token": Dialogue(clauses=((3.5, "Here is your answer."),)),
    "first token for ever": Dialogue(clauses=((60.0, "Never said."),)),
    "stall in the middle": Dialogue(clauses=((0.1, "First."), (3.7, "Second."), (3.7, "Third."))),
    "stall for ever": Dialogue(clauses=((0.1, "First of all."), (60.0, "Never said."))),
    "everything a little": Dialogue(plan_s=1.3, commit_s=0.8, clauses=((1.4, "First."), (2.0, "Second."))),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_slow_answer_leaves_no_three_seconds_of_silence(what: str, tmp_path: Path) -> None:
    @virtual
    async def check() -> None:
        async with a_call(tmp_path, SLOW[what]) as scene:
            await asyncio.sleep(20)
            gaps = scene.gaps(3.0)
            assert max(gaps) < LONGEST_S, gaps
            ends = "for ever" in what
            assert ends or scene.said()[-1] == SLOW[what].clauses[-1][1]
            assert any(text in FILLERS for text in scene.said())

    check()


@virtual
async def test_the_first_filler_comes_by_its_time_and_no_two_are_alike(tmp_path: Path) -> None:
    """1.5 s after the turn ended, which is 0.3 s after its last sound."""
    async with a_call(tmp_path, Dialogue(clauses=((3.0, "One."), (3.0, "Two.")))) as scene:
        await asyncio.sleep(20)
        assert 1.5 <= scene.gaps(3.0)[0] <= 2.1
        fillers = [text for text in scene.said() if text in FILLERS]
        assert len(fillers) == 2
        assert fillers[0] != fillers[1]


@virtual
async def test_a_quick_answer_has_no_filler(tmp_path: Path) -> None:
    async with a_call(tmp_path, Dialogue()) as scene:
        await asyncio.sleep(10)
        assert scene.said() == ["Hello there.", "Here is your answer."]


@virtual
async def test_a_late_answer_ends_with_the_fallback_or_a_person(tmp_path: Path) -> None:
    async with a_call(tmp_path, Dialogue(clauses=((60.0, "Never."),))) as scene:
        await asyncio.sleep(12)
        assert scene.said()[-1] == FALLBACK
    async with a_call(tmp_path / "2", Dialogue(plan_s=60.0)) as scene:
        await asyncio.sleep(12)
        assert scene.call.over.result().kind == "handoff"


@virtual
async def test_a_slow_recogniser_is_talked_over_too(tmp_path: Path) -> None:
    """The words take three seconds: the caller hears that we are at it before there is a turn."""
    ears = FakeEars(["where is my order"] * 3, decode_s=2.9)
    async with a_call(tmp_path, Dialogue(plan_s=1.0), ears=ears) as scene:
        await asyncio.sleep(20)
        assert max(scene.gaps(3.0)) < LONGEST_S
        assert "Here is your answer." in scene.said()


@pytest.mark.parametrize("late_s", [1.0, 6.0, 12.0])
def test_a_slow_tool_is_waited_for_in_company(late_s: float, tmp_path: Path) -> None:
    """First that it is being looked up, then what came of it, with no three seconds of silence between."""

    @virtual
    async def check() -> None:
        dialogue = Dialogue(clauses=((0.0, "Let me look that up."),), late_s=late_s)
        async with a_call(tmp_path, dialogue, silence_s=7.0) as scene:
            await asyncio.sleep(late_s + 6)
            kinds = [given.kind for given in dialogue.inputs]
            assert kinds == ["call_started", "utterance", "late_result"]  # and nobody was asked who is there
            assert scene.said()[-1] == "It is on its way."
            assert max(scene.gaps(3.0)) < LONGEST_S, scene.gaps(3.0)

    check()


@pytest.mark.parametrize("approved_s", [3.0, 20.0, 58.0])
def test_an_approval_is_waited_for_in_company(approved_s: float, tmp_path: Path) -> None:
    """With words that say what is waited for; then exactly what the person wrote, and nothing behind it."""

    @virtual
    async def check() -> None:
        dialogue = Dialogue(clauses=((0.0, "I'm asking a colleague."),), approved_s=approved_s)
        async with a_call(tmp_path, dialogue, silence_s=7.0) as scene:
            await asyncio.sleep(3.5 + approved_s + 4)
            said = scene.said()
            assert max(scene.gaps(3.0)[:-1]) < LONGEST_S, scene.gaps(3.0)
            assert said[-1] == "Thirty days."
            assert not any(text in FILLERS for text in said)
            assert any(text in HELD for text in said)

    check()


@virtual
async def test_what_a_person_says_through_the_bot_is_not_said_over_the_caller(tmp_path: Path) -> None:
    """It comes in the middle of their sentence."""
    dialogue = Dialogue(clauses=((0.0, "I'm asking a colleague."),), approved_s=8.0)
    async with a_call(tmp_path, dialogue, voiced=((2.0, 3.0), (11.0, 15.0)), silence_s=7.0) as scene:
        await asyncio.sleep(30)
        assert "agent_decision" in [given.kind for given in dialogue.inputs]
        assert all(end < 11.4 or begin > 15.0 for begin, end in scene.line.sounds()), scene.line.sounds()


@virtual
async def test_a_tool_that_never_comes_back_is_not_waited_for_aloud_for_ever(tmp_path: Path) -> None:
    dialogue = Dialogue(clauses=((0.0, "Let me look that up."),), late_s=600.0)
    async with a_call(tmp_path, dialogue, silence_s=7.0) as scene:
        await asyncio.sleep(60)
        assert "silence" in [given.kind for given in dialogue.inputs]
        assert sum(text in FILLERS for text in scene.said()) <= 10


@virtual
async def test_an_engine_that_hangs_is_filled_for_and_ends_with_a_person(tmp_path: Path) -> None:
    """No sound comes of the answer: emergency lines, then the hand-over, which is a file as well."""
    speech = FakeSpeech()
    async with a_call(tmp_path, Dialogue(plan_s=1.3), speech=speech) as scene:
        await asyncio.sleep(2.5)
        speech.hangs = True
        await asyncio.sleep(25)
        gaps = scene.gaps(3.0)
        assert len(gaps) >= 3
        assert max(gaps) < LONGEST_S, gaps
        assert scene.call.over.result().reason == "speech_engine_down"


@virtual
async def test_an_engine_that_dies_in_mid_sentence_leaves_no_silence(tmp_path: Path) -> None:
    speech = FakeSpeech(down_after_chunks=[100, 6, 0, 0])
    dialogue = Dialogue(plan_s=1.0, clauses=((0.0, "one two three four five"),))
    async with a_call(tmp_path, dialogue, speech=speech) as scene:
        await asyncio.sleep(15)
        assert max(scene.gaps(3.0)) < LONGEST_S
        assert scene.said()[-1] == "one two three four five"


@virtual
async def test_a_slow_greeting_is_announced(tmp_path: Path) -> None:
    async with a_call(tmp_path, Dialogue(greets_s=3.5), voiced=()) as scene:
        await asyncio.sleep(8)
        assert scene.said()[-1] == "Hello there."
        assert max(scene.gaps(0.0)) < LONGEST_S, scene.gaps(0.0)


@virtual
async def test_a_call_that_is_handed_over_leaves_with_its_last_word(tmp_path: Path) -> None:
    """Also when what was heard of it is slow to be written down."""
    async with a_call(tmp_path, Dialogue(plan_s=2.0, after="hand_over")) as scene:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            await asyncio.shield(scene.call.over)
        assert scene.call.over.result().kind == "handoff"
        assert loop.time() - scene.line.began - scene.line.sounds()[-1][1] < 0.5
        assert max(scene.gaps(3.0)) < LONGEST_S


@virtual
async def test_nothing_is_said_over_a_caller_who_goes_on(tmp_path: Path) -> None:
    """The plan is slow and the caller speaks again before the filler was due."""
    dialogue = Dialogue(plan_s=3.0)
    async with a_call(tmp_path, dialogue, voiced=((2.0, 3.0), (4.2, 7.0))) as scene:
        await asyncio.sleep(6.9)
        assert all(end < 4.2 for _, end in scene.line.sounds())


@virtual
async def test_a_cough_while_the_bot_works_changes_nothing(tmp_path: Path) -> None:
    """It is no turn; and the plan that was waited for is still waited for."""
    ears = FakeEars(["where is my order", ""])
    async with a_call(tmp_path, Dialogue(plan_s=3.6), voiced=((2.0, 3.0), (3.6, 3.7)), ears=ears) as scene:
        await asyncio.sleep(14)
        assert [given.kind for given in scene.dialogue.inputs] == ["call_started", "utterance"]
        assert max(scene.gaps(3.0)) < LONGEST_S, scene.gaps(3.0)
        assert any(text in FILLERS for text in scene.said())


@virtual
async def test_a_cough_with_nothing_to_wait_for_is_not_answered(tmp_path: Path) -> None:
    async with a_call(tmp_path, Dialogue(), voiced=((3.6, 3.7),), ears=FakeEars([""])) as scene:
        await asyncio.sleep(14)
        assert scene.said() == ["Hello there."]


@virtual
async def test_a_number_that_is_not_finished_is_not_waited_out_in_silence(tmp_path: Path) -> None:
    """A long silence ends the turn: what the caller waited already counts."""
    judge_unsure = FakeEars(["and my"] * 3)
    async with a_call(tmp_path, Dialogue(plan_s=2.5), ears=judge_unsure) as scene:
        await asyncio.sleep(12)
        assert max(scene.gaps(3.0)) < LONGEST_S, scene.gaps(3.0)


@virtual
async def test_what_was_tried_after_a_failure_is_counted(tmp_path: Path) -> None:
    """By reason and rung; the failure itself by reason, as ever."""

    def counted() -> tuple[float, float]:
        rung = REGISTRY.get_sample_value(
            "voicebot_not_heard_rungs_total", {"reason": "empty", "rung": "keypad"}
        )
        return rung or 0.0, REGISTRY.get_sample_value("voicebot_not_heard_total", {"reason": "empty"}) or 0.0

    before = counted()
    async with a_call(tmp_path, Dialogue(), ears=FakeEars([""])) as scene:
        await asyncio.sleep(8)
        given = scene.dialogue.inputs[-1]
        assert isinstance(given, NotHeard)
        assert (given.reason, given.confidence) == (HearingFailure.EMPTY, 0.9)
    assert counted() == (before[0] + 1, before[1] + 1)
    told = read_recording(tmp_path / "call", bytes(32), accept_truncated=True).events
    (silent,) = [one for one in told if one["type"] == "masked"]  # nobody knows what it was
    assert silent["channel"] == "caller"
    assert (silent["at_ms"], silent["until_ms"]) == (given.started_ms, given.last_voiced_ms)


@virtual
async def test_keys_are_an_answer_that_is_not_kept_waiting(tmp_path: Path) -> None:
    async with a_call(tmp_path, Dialogue(plan_s=3.0), voiced=(), keys=((2.0, "1"), (2.1, "#"))) as scene:
        await asyncio.sleep(10)
        assert max(scene.gaps(2.1)) < LONGEST_S
        assert [given.kind for given in scene.dialogue.inputs] == ["call_started", "keys"]


@virtual
async def test_keys_count_as_an_answer_to_are_you_still_there(tmp_path: Path) -> None:
    """The caller's silence is counted anew after a key."""
    async with a_call(
        tmp_path, Dialogue(), voiced=(), keys=((12.0, "1"), (12.1, "#")), silence_s=7.0
    ) as scene:
        await asyncio.sleep(22)
        told = [(given.kind, getattr(given, "nth", 0)) for given in scene.dialogue.inputs]
        assert told == [("call_started", 0), ("silence", 1), ("keys", 0), ("silence", 1)]


@virtual
async def test_a_turn_that_was_gone_on_over_first_is_waited_for_in_company(tmp_path: Path) -> None:
    """The bot goes on over a short sound; its words come late, stop it, and are slow to be planned."""

    class SlowAfterOne(FakeEars):
        async def open(self, call: Any, expects: Any, on_partial: Any) -> Any:
            self.decode_s = 1.3 if self.opened else 0.05
            return await super().open(call, expects, on_partial)

    dialogue = Dialogue(clauses=((0.0, "one two three four five six seven eight nine ten eleven twelve"),))
    ears = SlowAfterOne(["where is my order", "stop I want a refund"])
    async with a_call(tmp_path, dialogue, voiced=((2.0, 3.0), (4.5, 4.8)), ears=ears) as scene:
        await asyncio.sleep(4.9)
        dialogue.plan_s = 3.9
        await asyncio.sleep(12)
        assert len(dialogue.inputs) == 3
        assert max(scene.gaps(3.0)) < LONGEST_S
        assert any(text in FILLERS for text in scene.said())
