"""A sound over the bot pauses it; it goes on over a backchannel or a noise, and gives the turn to words.

From the caller's frames to the caller's ear, through the call's own pipeline, in virtual time. The dialogue
is a stand-in that answers every turn with the same words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pipecat.frames.frames import Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner
from prometheus_client import REGISTRY
from sound_fakes import QUIET, TONE, Ear, FakeEars, FakeJudge, FakeSpeech, ToneVoice, clauses_of
from virtual_time import virtual

from voicebot.audio.engines.types import Transcript
from voicebot.audio.hearing.events import (
    CallerFinished,
    CallerSilent,
    HearingEvent,
    NothingSaid,
    OverlapEnded,
    OverlapStarted,
)
from voicebot.audio.hearing.overlap import DEFAULT_RULES
from voicebot.audio.hearing.vad import VoiceActivity
from voicebot.audio.mulaw import decode, encode
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking import emergency
from voicebot.audio.speaking.ledger import WORD_MARGIN_MS
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.frames import AnswerFrame, CallerTurnFrame, SpokenFrame, StopSpeakingFrame
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.speaking import PhoneSpeaking
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.channels.twilio.wire import Dtmf, Mark, Media
from voicebot.core.bus import Bus
from voicebot.core.conversation import FREE, Clause, Expects, Heard

ANSWER = "one two three four five six seven eight nine ten"
WORD_MS = 300
MESSAGE_MS = 110
"""The ear keeps a message once it has played: the last sound may be this old."""
YES_NO = Expects(kind="yes_no")
SIX = Expects(kind="digits", length=6)
ROOM = encode((decode(TONE) * 0.07).astype("<i2"))
"""23 dB below the caller, -38 dBFS."""
DULL = encode((decode(TONE) * 0.125).astype("<i2"))
"""18 dB below the caller, -33 dBFS."""


class Session(Ear):
    """The media socket of a call: plays what is sent, hands on what arrives."""

    conversation_id = "cv_test"
    resumed = False
    returned = None

    def __init__(self, delay_s: float, *, returns_marks: bool) -> None:
        super().__init__(delay_s, returns_marks=returns_marks)
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self.on_mark = lambda name: self.arrived.put_nowait(Mark("MZ", name, None))

    async def messages(self) -> AsyncIterator[Any]:
        while (message := await self.arrived.get()) is not None:
            yield message


class Unwatched:
    """An orchestrator whose calls nobody watches."""

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text


class Dialogue(FrameProcessor):
    """Answers each turn; keeps the turns, and what was heard of the answers."""

    def __init__(self, call: PhoneCall, answer: AnswerFrame) -> None:
        super().__init__()
        self._call = call
        self._answer = answer
        self.turns: list[Any] = []
        self.spoken: list[Heard] = []
        self.over = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerTurnFrame):
            self.turns.append(frame.input)
            if self.over:
                return
            await self.push_frame(StopSpeakingFrame(cause="turn"))
            await self.may_answer.wait()
            self._call.answers()
            await self.push_frame(
                replace(self._answer, clauses=clauses_of(ANSWER), waterfall=frame.waterfall)
            )
            return
        if isinstance(frame, SpokenFrame):
            self.spoken.append(frame.heard)
        await self.push_frame(frame, direction)


class Caller:
    """What the caller does, and what they hear."""

    def __init__(self, call: PhoneCall, session: Session, dialogue: Dialogue) -> None:
        self.call = call
        self.session = session
        self.dialogue = dialogue
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.ms = 0
        self.told: list[HearingEvent] = []
        self._tell = call.heard.put_nowait
        call.heard.put_nowait = self._keep  # type: ignore[method-assign]

    def _keep(self, event: HearingEvent) -> None:
        self.told.append(event)
        self._tell(event)

    async def frames(self, frame: bytes, ms: int) -> None:
        for _ in range(ms // 20):
            await asyncio.sleep(self.began + (self.ms + 20) / 1000 - self.loop.time())
            self.session.arrived.put_nowait(Media("MZ", frame, self.ms, None, None, "inbound"))
            self.ms += 20

    async def speaks(self, ms: int) -> None:
        await self.frames(TONE, ms)

    async def is_quiet(self, ms: int) -> None:
        await self.frames(QUIET, ms)

    def press(self, digit: str) -> None:
        self.session.arrived.put_nowait(Dtmf("MZ", digit, None))

    @property
    def verdicts(self) -> list[str]:
        return [event.verdict for event in self.told if isinstance(event, OverlapEnded)]

    @property
    def pauses(self) -> int:
        return sum(isinstance(event, OverlapStarted) for event in self.told)

    @property
    def clears(self) -> int:
        return sum(kind == "clear" for _, kind, _ in self.session.log)

    @property
    def silent_ms(self) -> int:
        """How long ago the last sound of the bot was."""
        began, ulaw = self.session.heard[-1]
        return round((self.loop.time() - began) * 1000 - len(ulaw) / 8)


@asynccontextmanager
async def a_call(
    folder: Path,
    *words: str,
    ears: FakeEars | None = None,
    speech: FakeSpeech | None = None,
    asks: Expects = FREE,
    proposes: bool = False,
    delay_s: float = 0.03,
    returns_marks: bool = True,
    silence_s: float = 60.0,
    vad: Callable[[], VoiceActivity] = ToneVoice,
    quiet_ms: int = 600,
    judge: FakeJudge | None = None,
) -> AsyncIterator[Caller]:
    """A call in which the bot has just begun its answer (0.5 s of it heard); ``words`` of the caller."""

    async def recorder(conversation_id: str) -> Recorder:
        raise AssertionError("the call is given its recorder")

    class Phrases:
        def filler(self, nth: int = 0) -> Clause:
            return Clause(text="one moment")

        def fallback(self) -> Clause:
            return Clause(text="sorry")

    kit = PhoneKit(
        dialogue=cast("Any", Unwatched()),
        phrases=Phrases(),
        transcriber=ears or FakeEars(list(words), decode_s=0.05),
        speech=speech or FakeSpeech(),
        judge=judge or FakeJudge(),
        vad=vad,
        phrase_cache=PhraseCache(None),
        bus=Bus(),
        recorder=recorder,
        silence_s=silence_s,
    )
    session = Session(delay_s, returns_marks=returns_marks)
    clock = asyncio.get_running_loop().time
    call = PhoneCall(kit, cast("Any", session), Recorder(folder / "call", bytes(32), "cv_test"), clock)
    answer = AnswerFrame(
        turn=1,
        clauses=clauses_of(ANSWER),
        expects=asks,
        proposes=proposes,
        waterfall=Waterfall(call.now_ms),
    )
    dialogue = Dialogue(call, answer)
    worker = PipelineWorker(
        Pipeline([PhoneListening(call), dialogue, PhoneSpeaking(call)]),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    while not dialogue.turns:
        await asyncio.sleep(0.001)
    call.queue_frames = worker.queue_frames
    caller = Caller(call, session, dialogue)
    dialogue.turns.clear()
    await caller.is_quiet(quiet_ms)
    try:
        yield caller
    finally:
        session.arrived.put_nowait(None)
        await worker.cancel()
        await asyncio.wait({running}, timeout=5)
        await call.close()
        await session.close()


def counted(verdict: str) -> float:
    return REGISTRY.get_sample_value("voicebot_overlaps_total", {"verdict": verdict}) or 0.0


@virtual
async def test_a_backchannel_pauses_the_bot_and_is_no_turn(tmp_path: Path) -> None:
    before = counted("backchannel")
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        assert caller.clears == 1
        assert caller.silent_ms >= 150
        await caller.is_quiet(300)
        assert caller.verdicts == ["backchannel"]
        assert caller.silent_ms <= MESSAGE_MS
        await caller.is_quiet(4000)
        assert caller.dialogue.turns == []
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]
        assert counted("backchannel") == before + 1
        ended = next(event for event in caller.told if isinstance(event, OverlapEnded))
        assert ended.decided_after_ms <= 300 + 150


@virtual
async def test_the_bot_goes_on_from_the_interrupted_word(tmp_path: Path) -> None:
    async with a_call(tmp_path, "okay") as caller:
        await caller.is_quiet(800)
        await caller.speaks(300)
        await caller.is_quiet(4000)
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]
        again_ms = caller.session.heard_ms - 10 * WORD_MS
        assert 0 < again_ms <= WORD_MS + WORD_MARGIN_MS, "the word is said again and nothing else"


@pytest.mark.parametrize("ms", [80, 300])
def test_a_noise_pauses_the_bot_at_most(tmp_path: Path, ms: int) -> None:
    @virtual
    async def check() -> None:
        async with a_call(tmp_path, "") as caller:
            await caller.is_quiet(400)
            await caller.speaks(ms)
            await caller.is_quiet(5000)
            assert caller.verdicts == ["noise"]
            assert caller.dialogue.turns == []
            assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]

    check()


@virtual
async def test_words_take_the_turn_and_the_dialogue_knows_what_was_heard(tmp_path: Path) -> None:
    async with a_call(tmp_path, "where is my parcel") as caller:
        await caller.is_quiet(400)
        await caller.speaks(200)
        heard_ms = caller.session.heard_ms
        await caller.speaks(800)
        await caller.is_quiet(600)
        assert caller.verdicts == ["interruption"]
        assert [turn.text for turn in caller.dialogue.turns] == ["where is my parcel"]
        (spoken,) = caller.dialogue.spoken
        assert not spoken.complete
        assert abs(len(spoken.text.split()) - heard_ms / WORD_MS) <= 1
        assert caller.clears == 1, "what was paused need not be cleared again"


def partly(until_ms: int, first: str, then: str) -> Callable[[bytes, str], str]:
    """Other words once more than ``until_ms`` of the tone were fed."""

    def so_far(fed: bytes, _: str) -> str:
        loud_ms = int((np.abs(np.frombuffer(fed, dtype="<i2")) > 300).sum() / 8 / 0.95)
        return first if loud_ms <= until_ms else then

    return so_far


@virtual
async def test_a_word_that_says_stop_cuts_before_the_sentence_is_over(tmp_path: Path) -> None:
    async with a_call(tmp_path, "stop it now please") as caller:
        await caller.is_quiet(400)
        await caller.speaks(260)
        ears = caller.call.kit.transcriber
        assert isinstance(ears, FakeEars)
        ears.opened[0].on_partial(Transcript("stop", final=False, confidence=0.4))
        await caller.speaks(60)
        assert caller.verdicts == ["interruption"]
        assert len(caller.dialogue.spoken) == 1


@virtual
async def test_a_long_sound_without_words_takes_the_turn(tmp_path: Path) -> None:
    """The recogniser is gone: length decides."""
    async with a_call(tmp_path, ears=FakeEars(down=True)) as caller:
        await caller.is_quiet(400)
        await caller.speaks(DEFAULT_RULES.long + 64)
        assert caller.verdicts == ["interruption"]


@virtual
async def test_a_short_sound_while_the_recogniser_is_gone_does_not(tmp_path: Path) -> None:
    async with a_call(tmp_path, ears=FakeEars(down=True)) as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(3500)
        assert caller.verdicts == ["backchannel"]
        assert caller.dialogue.turns == []
        assert caller.dialogue.spoken[-1].complete


@pytest.mark.parametrize("proposes", [True, False])
def test_an_acknowledgement_of_a_proposal_is_an_answer(tmp_path: Path, proposes: bool) -> None:
    """Near miss: the same in an answer whose question was not asked yet is none."""

    @virtual
    async def check() -> None:
        async with a_call(tmp_path, "mm hm", asks=YES_NO, proposes=proposes) as caller:
            await caller.is_quiet(400)
            await caller.speaks(300)
            await caller.is_quiet(1000)
            assert caller.verdicts == ["interruption" if proposes else "backchannel"]
            assert [turn.text for turn in caller.dialogue.turns] == (["mm hm"] if proposes else [])

    check()


@virtual
async def test_okay_into_the_last_word_is_a_turn(tmp_path: Path) -> None:
    async with a_call(tmp_path, "okay") as caller:
        await caller.is_quiet(2100)
        await caller.speaks(300)
        await caller.is_quiet(2500)
        assert caller.verdicts == ["interruption"]
        assert [turn.text for turn in caller.dialogue.turns] == ["okay"]


@pytest.mark.parametrize(("asked", "verdict"), [(SIX, "interruption"), (FREE, "backchannel")])
def test_a_first_digit_into_the_last_word_of_the_question_is_its_answer(
    tmp_path: Path, asked: Expects, verdict: str
) -> None:
    """The recogniser is slow; near miss: nothing was asked."""

    @virtual
    async def check() -> None:
        async with a_call(tmp_path, ears=FakeEars(["four"], decode_s=0.9), asks=asked) as caller:
            await caller.is_quiet(2100)
            await caller.speaks(300)
            await caller.is_quiet(600)
            assert caller.verdicts == [verdict]

    check()


@virtual
async def test_words_that_come_after_the_bot_went_on_take_the_turn(tmp_path: Path) -> None:
    """A slow recogniser: the pause has ended by the time it says "stop"."""
    async with a_call(tmp_path, ears=FakeEars(["stop"], decode_s=0.9)) as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(700)
        assert caller.verdicts == ["backchannel"]
        assert caller.silent_ms <= MESSAGE_MS
        await caller.is_quiet(1500)
        assert [turn.text for turn in caller.dialogue.turns] == ["stop"]
        assert not caller.dialogue.spoken[0].complete


@virtual
async def test_words_that_come_late_and_cannot_be_used_do_not_stop_the_bot(tmp_path: Path) -> None:
    """Near miss: "hang on" of a cough, and the recogniser itself does not believe it."""

    class Doubtful(FakeEars):
        async def open(self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]) -> Any:
            recognition = await super().open(call, expects, on_partial)
            decode = recognition._decode

            async def doubted(*, final: bool) -> Transcript:
                return replace(await decode(final=final), confidence=0.15, avg_logprob=-2.5)

            recognition._decode = doubted  # type: ignore[method-assign]
            return recognition

    async with a_call(tmp_path, ears=Doubtful(["hang on"], decode_s=0.9)) as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(4500)
        assert caller.verdicts == ["backchannel"]
        assert caller.dialogue.turns == []
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_two_backchannels_are_two_pauses(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh", "okay") as caller:
        for _ in range(2):
            await caller.is_quiet(600)
            await caller.speaks(300)
        await caller.is_quiet(4000)
        assert caller.verdicts == ["backchannel"] * 2
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_a_backchannel_then_words_take_the_turn(tmp_path: Path) -> None:
    async with a_call(tmp_path, "yeah", "but what about the lamp") as caller:
        await caller.is_quiet(400)
        await caller.speaks(260)
        await caller.is_quiet(260)
        await caller.speaks(1000)
        await caller.is_quiet(800)
        assert caller.verdicts == ["backchannel", "interruption"]
        assert [turn.text for turn in caller.dialogue.turns] == ["but what about the lamp"]


@virtual
async def test_keys_stop_the_bot_at_once_also_during_a_pause(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        await caller.speaks(160)
        assert caller.pauses == 1
        caller.press("1")
        await caller.is_quiet(40)
        assert len(caller.dialogue.spoken) == 1
        assert not caller.dialogue.spoken[0].complete
        assert caller.verdicts == ["noise"], "each pause has its end"
        await caller.is_quiet(3000)
        (keyed,) = caller.dialogue.turns
        assert keyed.kind == "keys", "the sound beside the key is no turn of its own"


@virtual
async def test_a_call_that_is_handed_over_during_a_pause_says_so(tmp_path: Path) -> None:
    """The pause ends with the answer; what is said next is not cut with it."""
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        await caller.speaks(160)
        caller.dialogue.over = True
        await caller.call.hand_over("test")
        await caller.is_quiet(6000)
        assert emergency.line("handing_over").ulaw in b"".join(ulaw for _, ulaw in caller.session.heard)
        assert caller.call.over.result().kind == "handoff"


@virtual
async def test_a_caller_who_hangs_up_during_a_pause(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        await caller.speaks(160)
        caller.session.arrived.put_nowait(None)
        await asyncio.sleep(0.01)
        assert caller.call.over.done()
        await caller.call.settle(1.0)
        await asyncio.sleep(0.05)
        assert len(caller.dialogue.spoken) == 1
        assert caller.dialogue.spoken[0].text


@virtual
async def test_frames_that_stop_during_a_pause_do_not_leave_it_open(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        await caller.speaks(160)
        await asyncio.sleep(1.3)
        assert len(caller.verdicts) == 1
        assert caller.verdicts != ["interruption"]


@virtual
async def test_late_frames_that_come_in_a_burst_change_nothing(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh") as caller:
        await caller.is_quiet(400)
        caller.began += 0.2  # 200 ms late from here on, then back
        await caller.speaks(100)
        caller.began -= 0.2
        await caller.speaks(200)
        await caller.is_quiet(4500)
        assert caller.verdicts == ["backchannel"]
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_a_peer_without_marks(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh", returns_marks=False) as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(6000)
        assert caller.verdicts == ["backchannel"]
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_the_engine_is_lost_during_a_pause(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh", speech=FakeSpeech(rate=1.1, down_after_chunks=[24])) as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(9000)
        assert caller.verdicts[0] == "backchannel"
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_the_silence_of_the_caller_is_not_counted_during_a_pause(tmp_path: Path) -> None:
    async with a_call(tmp_path, "uh huh", silence_s=2.0) as caller:
        await caller.is_quiet(1000)
        await caller.speaks(300)
        await caller.is_quiet(1200)
        assert not any(isinstance(event, CallerSilent) for event in caller.told)
        await caller.is_quiet(6000)
        assert any(isinstance(event, CallerSilent) for event in caller.told)


@virtual
async def test_an_answer_after_a_backchannel_can_be_interrupted_and_begun_anew(tmp_path: Path) -> None:
    """A caller whose "mm-hm" was passed over does not count as speaking: the next answer is spoken."""
    async with a_call(tmp_path, "uh huh", "where is my parcel") as caller:
        await caller.is_quiet(400)
        await caller.speaks(300)
        await caller.is_quiet(4000)
        caller.press("#")
        await caller.is_quiet(4500)
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)] * 2
        caller.dialogue.spoken.pop()
        caller.dialogue.turns.clear()
        await caller.speaks(900)
        await caller.is_quiet(5000)
        assert [turn.text for turn in caller.dialogue.turns] == ["where is my parcel"]
        assert caller.dialogue.spoken == [Heard(text=ANSWER, complete=True)] * 2


@virtual
async def test_a_television_far_below_the_callers_voice_is_no_onset(tmp_path: Path) -> None:
    """Near miss: before the caller has spoken, nobody knows how loud they are."""
    async with a_call(tmp_path, "", "where is my parcel") as caller:
        await caller.is_quiet(400)
        await caller.frames(ROOM, 300)
        await caller.is_quiet(3500)
        assert caller.verdicts == ["noise"]
        await caller.speaks(900)
        await caller.is_quiet(1500)
        assert len(caller.dialogue.turns) == 1
        await caller.frames(ROOM, 600)
        assert caller.pauses == 1


@virtual
async def test_a_lasting_noise_pauses_the_bot_once_and_the_caller_is_heard_over_it(tmp_path: Path) -> None:
    async with a_call(tmp_path, "", "stop it") as caller:
        for _ in range(3):
            await caller.frames(DULL, 560)
            await caller.is_quiet(300)
        assert caller.verdicts == ["noise"]
        await caller.speaks(400)
        await caller.is_quiet(300)
        assert caller.verdicts == ["noise", "interruption"]


@virtual
async def test_what_the_line_returns_of_the_bot_is_no_sound_of_the_caller(tmp_path: Path) -> None:
    """20 dB down and 180 ms late, from the first word on; and over it the caller is heard."""

    class Rough(FakeSpeech):
        async def _chunks(self, text: str) -> AsyncIterator[Any]:
            noise = np.random.default_rng(5)
            async for chunk in super()._chunks(text):
                smooth = np.convolve(noise.normal(0, 6000, 407), np.ones(8) / 3, "valid")
                yield replace(chunk, audio=smooth.astype("<i2").tobytes())

    class Keen:
        def probability(self, window: np.ndarray) -> float:
            return 0.95 if np.abs(window.astype(int)).mean() > 100 else 0.02

    async with a_call(tmp_path, "my parcel is late", speech=Rough(), vad=Keen, quiet_ms=0) as caller:
        for _ in range(80):
            await caller.frames(returned(caller), 20)
        assert caller.pauses == 0
        for _ in range(45):
            both = decode(returned(caller)).astype(int) + decode(TONE)
            await caller.frames(encode(np.clip(both, -32768, 32767).astype(np.int16)), 20)
        await caller.is_quiet(800)
        assert caller.verdicts == ["interruption"]
        assert [turn.text for turn in caller.dialogue.turns] == ["my parcel is late"]


def returned(caller: Caller) -> bytes:
    """What comes back of what was played 180 ms ago."""
    track = np.zeros(160)
    first = caller.loop.time() - 0.18
    for began, ulaw in caller.session.heard[-8:]:
        offset, pcm = round((began - first) * 8000), decode(ulaw)
        low, high = max(0, offset), min(160, offset + len(pcm))
        if low < high:
            track[low:high] = pcm[low - offset : high - offset]
    return encode((track / 10).astype(np.int16))


@pytest.mark.parametrize(("ms", "words", "heard"), [(100, "", True), (500, "no wait", False)])
def test_an_answer_that_comes_into_a_cough_is_spoken(
    tmp_path: Path, ms: int, words: str, heard: bool
) -> None:
    """The caller's turn is over, and the answer is ready just when they cough; near miss: when they go on."""

    @virtual
    async def check() -> None:
        async with a_call(tmp_path, "where is my parcel", words) as caller:
            await caller.is_quiet(3500)
            caller.dialogue.may_answer.clear()
            await caller.speaks(900)
            while not caller.dialogue.turns:
                await caller.is_quiet(20)
            await caller.speaks(80)
            caller.dialogue.may_answer.set()
            await caller.speaks(ms - 80)
            await caller.is_quiet(5500)
            _, answer = caller.dialogue.spoken[:2]
            assert answer == Heard(text=ANSWER if heard else "", complete=heard)

    check()


@virtual
async def test_an_answer_waits_for_a_click_whose_end_is_doubted(tmp_path: Path) -> None:
    """Smart-turn takes a click for the beginning of something: its turn lasts for more than a second."""
    async with a_call(tmp_path, "where is my parcel", judge=FakeJudge(lambda _: 0.02)) as caller:
        await caller.is_quiet(3500)
        caller.dialogue.may_answer.clear()
        await caller.speaks(900)
        while not caller.dialogue.turns:
            await caller.is_quiet(20)
        await caller.speaks(80)
        caller.dialogue.may_answer.set()
        await caller.is_quiet(6000)
        assert isinstance(caller.told[-1], NothingSaid)
        assert caller.dialogue.spoken[1:] == [Heard(text=ANSWER, complete=True)]


@virtual
async def test_who_goes_on_before_their_words_are_there_is_not_spoken_over(tmp_path: Path) -> None:
    ears = FakeEars(["where is my parcel", "and my refund"], decode_s=0.45)
    async with a_call(tmp_path, ears=ears) as caller:
        await caller.is_quiet(3500)
        await caller.speaks(600)
        while not any(isinstance(event, CallerFinished) for event in caller.told):
            await caller.is_quiet(20)
        heard_ms = caller.session.heard_ms
        await caller.speaks(1200)
        assert len(caller.dialogue.turns) == 1, "the words came meanwhile"
        assert caller.session.heard_ms == heard_ms
        await caller.is_quiet(5000)
        assert len(caller.dialogue.turns) == 2
        assert caller.dialogue.spoken[-1] == Heard(text=ANSWER, complete=True)
