"""A turn is planned and its first clause made before it has ended; what does not come true leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from generation_kit import shop_phrases
from pipecat.processors.frame_processor import FrameDirection
from prometheus_client import REGISTRY
from sound_fakes import Ear, FakeEars, FakeJudge, FakeSpeech, ToneVoice
from virtual_time import virtual

from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.ahead import Ahead
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.frames import (
    AnswerFrame,
    CallerTurnFrame,
    CallerVoiceFrame,
    EagerTurnFrame,
    EagerVoidFrame,
)
from voicebot.channels.phone.speaking import PhoneSpeaking
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.bus import Bus
from voicebot.core.conversation import (
    Action,
    Clause,
    Decision,
    Heard,
    Keys,
    Route,
    Silence,
    TurnInput,
    TurnTimings,
    Utterance,
)
from voicebot.core.store.database import DatabaseDown
from voicebot.dialogue.eager import EagerPlans
from voicebot.dialogue.flow.speech import Said
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.plan import StalePlan
from voicebot.dialogue.speculation import Fate, Verdict

HOURS = "when are you open"
OPEN, DELIVERY = "We are open today.", "Delivery is free."
PLANNING_S, FIRST_SOUND_S = 0.05, 0.2
DECIDED = Decision(intent="x", tier=0, action=Action.ANSWER, route=Route.FIXED, policy_row="row")


@dataclass(frozen=True)
class Plan:
    """What `EagerPlans` and the phone use of a plan."""

    input: TurnInput
    stream: UtteranceStream | None
    early: bool = False
    turn: int = 1
    transaction_id: str = "tx_1"
    decision: Decision = DECIDED
    silent: bool = True
    understood: bool = True
    after: str = "continue"

    def of(self, given: TurnInput) -> Plan:
        return replace(self, input=given, early=True)


@dataclass
class Dialogue:
    """An orchestrator around the real early plans: it takes 50 ms to plan, and answers by the words."""

    acts: bool = False
    database_down: bool = False
    early_fails: bool = False
    stale: int = 0
    timings: list[TurnTimings] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    thrown_away: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = cast("Callable[..., Any]", self._early)
        self.eager = EagerPlans(made, cast("Any", self.discard), lambda given: ())

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text

    async def offer(self, conversation_id: str, words: TurnInput, *, likely: bool = False) -> Verdict:
        self.verdicts.append(await self.eager.offer(conversation_id, words, likely=likely))
        return self.verdicts[-1]

    async def first_clause(self, conversation_id: str, on_planned: Callable[..., None]) -> Clause | None:
        return await self.eager.first_clause(conversation_id, on_planned)

    async def withdraw(self, conversation_id: str) -> None:
        await self.eager.drop(conversation_id, Fate.RESUMED)

    async def settle(self, conversation_id: str, final: TurnInput) -> Plan:
        early = await self.eager.settle(conversation_id, final)
        return cast("Any", early) or await self.plan(final)

    async def plan(self, given: TurnInput) -> Plan:
        words = given.text if isinstance(given, Utterance) else given.kind
        self.planned.append(words)
        await asyncio.sleep(PLANNING_S)
        answer = Said(OPEN if "open" in words else DELIVERY)
        stream = UtteranceStream("cv", (answer,), shop_phrases(), GroundedResponder())
        return Plan(given, None if self.acts else stream, understood="sunday" not in words)

    async def commit(self, plan: Plan) -> Plan:
        if self.database_down:
            raise DatabaseDown("gone")
        if self.stale:
            self.stale -= 1
            await self.discard(plan)
            raise StalePlan("another node was first")
        return plan

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        self.timings.append(timings)

    async def discard(self, plan: Plan) -> None:
        self.thrown_away += 1
        if plan.stream is not None:
            await plan.stream.cancel()

    async def _early(self, conversation_id: str, given: TurnInput, likely: bool) -> Plan:
        if self.early_fails:
            raise DatabaseDown("gone")
        return await self.plan(given)


class Line(Ear):
    """The session of a call, as its parts see it."""

    conversation_id = "cv"


@dataclass
class Scene:
    """A call, its dialogue, and what is made ahead in it."""

    call: PhoneCall
    dialogue: Dialogue
    speech: FakeSpeech
    ahead: Ahead
    line: Line

    async def eager(self, words: str, *, likely: bool = False, for_s: float = 0.5) -> None:
        """The caller pauses behind ``words``; time passes."""
        self.ahead.offer(Utterance(text=words), 100, likely=likely)
        await asyncio.sleep(for_s)

    async def ends(self, given: TurnInput) -> float:
        """The turn ends and is answered; the seconds until the first sound left."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = len(self.line.log)
        self.waterfall = Waterfall(self.call.now_ms)
        plan = await self.ahead.settle(given)
        self.ahead.note(cast("Any", plan), self.waterfall)
        self.plan = plan
        assert plan.stream is not None
        await self.call.speaker.say(1, plan.stream.clauses())
        return next(at for at, kind, _ in self.line.log[sent:] if kind == "media") - began


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def a_call(folder: Path, *, speculation: bool = True, **dialogue_as: Any) -> AsyncIterator[Scene]:
    """A call in which early plans are made; when it is over nothing runs and nothing is held."""
    before = asyncio.all_tasks()
    dialogue, speech = Dialogue(**dialogue_as), FakeSpeech(first_s=FIRST_SOUND_S)

    async def recorder(conversation_id: str) -> Recorder:
        raise AssertionError("the call is given its recorder")

    kit = PhoneKit(
        dialogue=cast("Any", dialogue),
        phrases=cast("Any", None),
        transcriber=FakeEars(),
        speech=speech,
        judge=FakeJudge(),
        vad=ToneVoice,
        phrase_cache=PhraseCache(None),
        bus=Bus(),
        recorder=recorder,
        silence_s=30.0,
        speculation=speculation,
    )
    line = Line()
    clock = asyncio.get_running_loop().time
    call = PhoneCall(kit, cast("Any", line), Recorder(folder / "call", bytes(32), "cv"), clock)
    line.on_mark = call.speaker.mark_returned
    scene = Scene(call, dialogue, speech, Ahead(call), line)
    yield scene
    await scene.ahead.close()
    await call.close()
    await line.close()
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == before
    assert dialogue.eager.alive == 0
    assert speech.speaking == 0
    assert count("voicebot_held_clauses_alive") == 0


@virtual
async def test_the_same_words_are_answered_at_once(tmp_path: Path) -> None:
    """Plan and first sound are there: without them the caller waits for both."""
    async with a_call(tmp_path) as scene:
        kept = count("voicebot_held_clauses_total", fate="kept")
        await scene.eager(HOURS)
        assert scene.speech.said == [OPEN]
        assert await scene.ends(Utterance(text="When are you open?")) < 0.01
        assert (scene.dialogue.planned, scene.speech.said) == ([HOURS], [OPEN])
        timings = scene.waterfall.timings()
        assert (timings.early, timings.eager_ms) == (True, 100)
        assert timings.eager_planned_ms is not None
        assert timings.held_ms is not None
        assert count("voicebot_held_clauses_total", fate="kept") == kept + 1
    async with a_call(tmp_path, speculation=False) as scene:
        await scene.eager(HOURS)
        assert await scene.ends(Utterance(text=HOURS)) >= PLANNING_S + FIRST_SOUND_S
        assert scene.waterfall.timings().early is False


@virtual
async def test_a_turn_that_ends_while_it_is_being_planned_waits_for_that_plan(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=PLANNING_S / 2)
        await scene.ends(Utterance(text=HOURS))
        assert scene.dialogue.planned == [HOURS]


@virtual
async def test_a_turn_that_ends_with_its_offer_is_planned_once(tmp_path: Path) -> None:
    """Its words came so late that the end of the turn is in the same moment."""
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=0)
        await scene.ends(Utterance(text=HOURS))
        assert scene.dialogue.planned == [HOURS]
        assert scene.plan.early


@virtual
async def test_a_caller_who_interrupts_the_held_clause_ends_its_making(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        scene.speech.word_ms = 4000
        await scene.eager(HOURS)
        answering = asyncio.ensure_future(scene.ends(Utterance(text=HOURS)))
        await asyncio.sleep(0.5)
        heard = await scene.call.speaker.cut()
        assert heard is not None
        assert not heard.complete
        await answering
        assert scene.speech.speaking == 0
        assert scene.speech.made_ms < 16_000


@virtual
async def test_sound_that_is_being_made_when_the_turn_ends_is_taken_as_it_comes(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=PLANNING_S + FIRST_SOUND_S / 2)
        assert await scene.ends(Utterance(text=HOURS)) == pytest.approx(FIRST_SOUND_S / 2, abs=0.02)
        assert scene.speech.said == [OPEN]


@virtual
async def test_hearing_is_told_what_the_dialogue_makes_of_the_words(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        told: list[tuple[str, bool]] = []
        scene.call.listener.understood = lambda text, made: told.append((text, made))  # type: ignore[method-assign]
        await scene.eager("and on sunday")
        await scene.eager("and on monday are you open")
        assert told == [("and on sunday", False), ("and on monday are you open", True)]


@virtual
async def test_other_words_are_planned_anew_and_the_sound_is_waste(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        before = (
            count("voicebot_held_clauses_total", fate="dropped"),
            count("voicebot_held_wasted_seconds_total"),
        )
        await scene.eager(HOURS)
        await scene.ends(Utterance(text="how much is delivery"))
        assert scene.dialogue.planned == [HOURS, "how much is delivery"]
        assert scene.dialogue.thrown_away == 1
        assert scene.speech.said == [OPEN, DELIVERY]
        assert scene.waterfall.timings().early is False
        assert scene.waterfall.timings().eager_ms is None
        dropped, wasted_s = (
            count("voicebot_held_clauses_total", fate="dropped"),
            count("voicebot_held_wasted_seconds_total"),
        )
        assert (dropped - before[0], wasted_s - before[1]) == (1, pytest.approx(1.2))


@virtual
async def test_other_words_with_the_same_answer_keep_the_sound(tmp_path: Path) -> None:
    """The plan is another, its first clause is not: what was made of it can be said."""
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS)
        await scene.ends(Utterance(text="when are you open on sunday"))
        assert len(scene.dialogue.planned) == 2
        assert scene.speech.said == [OPEN]


@pytest.mark.parametrize("after_s", [0.0, PLANNING_S / 2, PLANNING_S + FIRST_SOUND_S / 2, 0.5])
@virtual
async def test_who_goes_on_leaves_no_plan_and_no_sound(tmp_path: Path, after_s: float) -> None:
    """At whatever point of it."""
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=after_s)
        scene.ahead.void()
        await asyncio.sleep(0.01)
        assert scene.dialogue.eager.alive == 0
        assert scene.speech.speaking == 0
        assert count("voicebot_held_clauses_alive") == 0


@virtual
async def test_of_two_offers_in_a_turn_the_last_counts(tmp_path: Path) -> None:
    """A pause, more words, another pause: the plan and the sound are those of all the words."""
    async with a_call(tmp_path) as scene:
        await scene.eager("how much is")
        scene.ahead.void()
        await scene.eager("how much is it when you open")
        assert await scene.ends(Utterance(text="how much is it when you open")) < 0.01
        assert scene.dialogue.planned == ["how much is", "how much is it when you open"]
        assert scene.speech.said == [DELIVERY, OPEN]
        assert (scene.dialogue.thrown_away, scene.plan.early) == (1, True)


@virtual
async def test_the_same_words_again_only_say_that_the_end_is_likely(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=0.03)
        await scene.eager(HOURS, likely=True)
        assert scene.dialogue.verdicts == [Verdict.START, Verdict.SAME]
        assert (scene.dialogue.planned, scene.speech.said) == ([HOURS], [OPEN])


@virtual
async def test_a_turn_that_acts_says_nothing_before_it_has_acted(tmp_path: Path) -> None:
    async with a_call(tmp_path, acts=True) as scene:
        await scene.eager(HOURS, likely=True)
        assert scene.dialogue.planned == [HOURS]
        assert scene.speech.said == []


@virtual
async def test_nothing_is_offered_before_it_is_known_what_was_heard_of_the_turn_before(
    tmp_path: Path,
) -> None:
    """That changes the state: such a plan would be stale."""
    async with a_call(tmp_path) as scene:
        scene.call.turn_closed.clear()
        await scene.eager(HOURS)
        assert scene.dialogue.planned == []
        scene.call.turn_closed.set()
        await scene.eager(HOURS)
        assert scene.dialogue.planned == [HOURS]


@virtual
async def test_keys_pressed_meanwhile_are_another_turn(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS)
        await scene.ends(Keys(digits="0"))
        assert scene.dialogue.thrown_away == 1
        assert scene.speech.said == [OPEN, DELIVERY]
        assert scene.dialogue.eager.alive == 0


@virtual
async def test_an_early_plan_that_fails_is_made_again(tmp_path: Path) -> None:
    async with a_call(tmp_path, early_fails=True) as scene:
        await scene.eager(HOURS)
        await scene.ends(Utterance(text=HOURS))
        assert scene.dialogue.planned == [HOURS]
        assert scene.plan.early is False


@virtual
async def test_an_engine_that_dies_over_a_held_clause_is_asked_again(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        scene.speech.down_after_chunks = [0]
        await scene.eager(HOURS)
        await scene.ends(Utterance(text=HOURS))
        assert scene.speech.said == [OPEN, OPEN]
        assert scene.line.heard_ms == pytest.approx(1200, abs=20)


@virtual
async def test_the_call_ends_with_a_plan_and_a_clause_at_hand(tmp_path: Path) -> None:
    """Nothing leaks, and what comes afterwards is not planned; `a_call` looks."""
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS, for_s=PLANNING_S + FIRST_SOUND_S / 2)
        await scene.ahead.close()
        await scene.eager(HOURS)
        assert scene.dialogue.planned == [HOURS]
        assert scene.dialogue.thrown_away == 1


@virtual
async def test_a_long_clause_is_made_ahead_only_so_far(tmp_path: Path) -> None:
    """The engine is not read further than six seconds of sound; the rest follows when it is said."""
    async with a_call(tmp_path) as scene:
        scene.speech.word_ms = 4000
        await scene.eager(HOURS, for_s=60)
        assert scene.speech.made_ms == 6000
        await scene.ends(Utterance(text=HOURS))
        assert scene.speech.made_ms == 16_000
        assert scene.line.heard_ms == pytest.approx(16_000, abs=20)


# --- through the pipeline's parts ---------------------------------------------------------------


async def say(part: Conversing | PhoneSpeaking, frame: Any) -> None:
    await part.process_frame(frame, FrameDirection.DOWNSTREAM)


@virtual
async def test_a_caller_who_speaks_again_before_the_answer_drops_its_sound(tmp_path: Path) -> None:
    """The turn is committed, nobody hears its words: they are waste like any other."""
    async with a_call(tmp_path) as scene:
        speaking = PhoneSpeaking(scene.call)
        await scene.eager(HOURS)
        dropped = count("voicebot_held_clauses_total", fate="dropped")
        waterfall = Waterfall(scene.call.now_ms)
        plan = await scene.ahead.settle(Utterance(text=HOURS))
        assert plan.stream is not None
        await say(speaking, CallerVoiceFrame(speaking=True))
        await say(speaking, AnswerFrame(turn=1, clauses=plan.stream.clauses(), waterfall=waterfall))
        assert count("voicebot_held_clauses_total", fate="dropped") == dropped + 1
        assert not scene.line.heard


@virtual
async def test_the_database_is_gone_when_an_early_plan_is_committed(tmp_path: Path) -> None:
    """The plan is thrown away, its sound too, and the caller is given to a person."""
    async with a_call(tmp_path, database_down=True) as scene:
        conversing = Conversing(scene.call)
        await say(conversing, EagerTurnFrame(utterance=Utterance(text=HOURS), at_ms=100))
        await asyncio.sleep(0.5)
        assert scene.speech.said == [OPEN]
        turn = CallerTurnFrame(input=Utterance(text=HOURS), waterfall=Waterfall(scene.call.now_ms))
        await say(conversing, turn)
        await asyncio.sleep(0.1)
        assert (scene.dialogue.planned, scene.dialogue.thrown_away) == ([HOURS], 1)
        assert count("voicebot_held_clauses_alive") == 0
        assert scene.call.turn_closed.is_set()


@pytest.mark.parametrize("stale", [0, 1])
@virtual
async def test_a_turn_says_that_it_was_early_only_if_that_plan_was_committed(
    tmp_path: Path, stale: int
) -> None:
    """One that lost its turn is made again; its moments are not those of the new one."""
    async with a_call(tmp_path, stale=stale) as scene:
        conversing = Conversing(scene.call)
        await say(conversing, EagerTurnFrame(utterance=Utterance(text=HOURS), at_ms=100))
        await asyncio.sleep(0.5)
        turn = CallerTurnFrame(input=Utterance(text=HOURS), waterfall=Waterfall(scene.call.now_ms))
        await say(conversing, turn)
        await asyncio.sleep(0.1)
        (timings,) = scene.dialogue.timings
        assert timings.early is (stale == 0)
        assert timings.eager_ms == (None if stale else 100)
        assert len(scene.dialogue.planned) == 1 + stale


@virtual
async def test_frames_of_a_pause_and_of_its_end_come_through(tmp_path: Path) -> None:
    async with a_call(tmp_path) as scene:
        conversing = Conversing(scene.call)
        await say(conversing, EagerTurnFrame(utterance=Utterance(text=HOURS), at_ms=100, likely=True))
        await asyncio.sleep(0.5)
        assert scene.dialogue.eager.alive == 1
        await say(conversing, EagerVoidFrame())
        await asyncio.sleep(0.1)
        assert (scene.dialogue.eager.alive, count("voicebot_held_clauses_alive")) == (0, 0)


@virtual
async def test_a_silence_settles_no_words(tmp_path: Path) -> None:
    """Whatever else becomes the turn: the early plan goes."""
    async with a_call(tmp_path) as scene:
        await scene.eager(HOURS)
        await scene.ends(Silence(nth=1))
        assert scene.dialogue.thrown_away == 1
