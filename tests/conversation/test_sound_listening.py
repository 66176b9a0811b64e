"""A caller's sound becomes turns: begun with pre-roll, ended by three witnesses, told in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from sound_fakes import QUIET, TONE, FakeEars, FakeJudge, ToneVoice
from virtual_time import virtual

from voicebot.audio.engines.types import Transcript
from voicebot.audio.hearing.completeness import Completeness
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, silence_needed
from voicebot.audio.hearing.events import (
    CallerFinished,
    CallerSilent,
    HearingEvent,
    NothingSaid,
    OverlapStarted,
    PartialHeard,
    SpeechStarted,
    TurnEnded,
    Unheard,
)
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.vad import VoiceActivity, shared_silero
from voicebot.audio.mulaw import decode, encode
from voicebot.audio.speaking import emergency
from voicebot.core.conversation import FREE, Expects, HearingFailure

SIX = Expects(kind="digits", length=6)
FAR_FROM_FINISHED_MS = silence_needed(Completeness.WHOLE, 0.02)
"""What is waited for behind a sentence that sounds unfinished."""
ECHO = encode((decode(TONE) * 0.02).astype("<i2"))
"""The same tone 34 dB softer: about -54 dBFS."""


class Line:
    """A caller on a perfect line: what they do, and what the listener made of it, with the media time."""

    def __init__(
        self,
        ears: FakeEars,
        judge: FakeJudge,
        silence_s: float,
        vad: VoiceActivity,
        *,
        bot_done: bool = False,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.ears = ears
        self.judge = judge
        self.told: list[tuple[int, HearingEvent]] = []
        self.ms = 0
        self._began = self.loop.time()
        self.listener = Listener(
            "call",
            vad=vad,
            transcriber=ears,
            judge=judge,
            emit=lambda event: self.told.append((self.now_ms, event)),
            clock=self.loop.time,
            silence_s=silence_s,
            bot_done=lambda: bot_done,
        )

    @property
    def now_ms(self) -> int:
        return round((self.loop.time() - self._began) * 1000)

    async def frames(self, frame: bytes, ms: int) -> None:
        for _ in range(ms // 20):
            await asyncio.sleep(self._began + (self.ms + 20) / 1000 - self.loop.time())
            self.listener.feed(frame, self.ms)
            self.ms += 20

    async def speaks(self, ms: int = 1000) -> None:
        await self.frames(TONE, ms)

    async def is_quiet(self, ms: int) -> None:
        await self.frames(QUIET, ms)

    def all(self, kind: type) -> list[HearingEvent]:
        return [event for _, event in self.told if isinstance(event, kind)]

    def when(self, kind: type, nth: int = 0) -> int:
        return [at for at, event in self.told if isinstance(event, kind)][nth]


@asynccontextmanager
async def on_line(
    *texts: str,
    ears: FakeEars | None = None,
    judge: FakeJudge | None = None,
    silence_s: float = 60.0,
    vad: VoiceActivity | None = None,
    bot_done: bool = False,
) -> AsyncIterator[Line]:
    """A call; at its end nothing may be left running."""
    before = asyncio.all_tasks()
    line = Line(
        ears or FakeEars(list(texts)), judge or FakeJudge(), silence_s, vad or ToneVoice(), bot_done=bot_done
    )
    yield line
    await line.listener.close()
    told = len(line.told)
    await asyncio.sleep(30)
    assert len(line.told) == told, "told after close"
    assert asyncio.all_tasks() == before
    assert all(r.finished or r.cancelled for r in line.ears.opened)


# --- a plain turn ---------------------------------------------------------------------------


@virtual
async def test_a_turn_ends_soon_after_its_last_sound_and_carries_words_and_times() -> None:
    async with on_line("where is my order") as line:
        await line.is_quiet(1000)
        await line.speaks(1000)
        await line.is_quiet(1000)
        (started,), (ended,) = line.all(SpeechStarted), line.all(TurnEnded)
        assert isinstance(started, SpeechStarted)
        assert isinstance(ended, TurnEnded)
        assert started.at_ms == pytest.approx(1000, abs=32)
        assert ended.utterance.text == "where is my order"
        assert ended.utterance.confidence == 0.9
        assert ended.utterance.alternatives == ("other",)
        assert ended.utterance.started_ms == started.at_ms
        assert ended.utterance.last_voiced_ms == pytest.approx(2000, abs=32)
        assert ended.timings.last_voiced_ms == ended.utterance.last_voiced_ms
        assert ended.timings.turn_ended_ms is not None
        assert 2280 <= ended.timings.turn_ended_ms <= 2360
        assert ended.timings.final_ms == ended.at_ms
        assert line.when(TurnEnded) - 2000 <= 400


@virtual
async def test_the_recogniser_hears_what_came_before_the_onset_in_packets() -> None:
    async with on_line("hello") as line:
        await line.is_quiet(1000)
        await line.speaks(1000)
        await line.is_quiet(1000)
        (recognition,) = line.ears.opened
        pcm = np.frombuffer(bytes(recognition.fed), dtype="<i2")
        first_voiced = next(i for i in range(pcm.size) if abs(int(pcm[i])) > 300) / 8
        assert 280 <= first_voiced <= 460
        assert all(960 <= packet <= 1800 for packet in recognition.packets[1:-3])


@virtual
async def test_words_so_far_are_shown_while_the_caller_speaks() -> None:
    async with on_line("hello there") as line:
        await line.speaks(500)
        recognition = line.ears.opened[0]
        for text in ("hello", "hello there"):
            recognition.on_partial(Transcript(text, final=False))
        shown = [(e.text, e.at_ms) for e in line.all(PartialHeard) if isinstance(e, PartialHeard)]
        assert shown == [("hello", 500), ("hello there", 500)]


# --- the end of a turn ----------------------------------------------------------------------


@virtual
async def test_speech_that_goes_on_before_the_end_is_one_turn() -> None:
    judge = FakeJudge(verdict=lambda asked: 0.1 if asked < 3 else 0.95)
    ears = FakeEars(["i would like to"])
    async with on_line(ears=ears, judge=judge) as line:
        await line.speaks(800)
        await line.is_quiet(700)
        ears.opened[0].text = "i would like to know where it is"
        await line.speaks(800)
        await line.is_quiet(1500)
        assert len(line.all(TurnEnded)) == len(line.all(SpeechStarted)) == len(line.ears.opened) == 1
        assert line.when(TurnEnded) == pytest.approx(2300 + 340, abs=80)


@virtual
async def test_a_verdict_on_an_earlier_pause_does_not_end_a_later_one() -> None:
    """It sounded finished before "and"; what was said since has not been judged yet."""
    judge = FakeJudge(verdict=lambda asked: 0.98 if asked < 2 else 0.02, takes_s=0.3)
    ears = FakeEars(["i want this and that and"])
    async with on_line(ears=ears, judge=judge) as line:
        await line.speaks(800)
        await line.is_quiet(700)  # the verdict is in
        ears.texts = ["i want this and that one"]
        ears.opened[0].text = "i want this and that one"
        await line.speaks(800)
        await line.is_quiet(2500)
        assert line.when(TurnEnded) >= 2300 + FAR_FROM_FINISHED_MS


@virtual
async def test_a_verdict_that_comes_when_speech_went_on_is_void() -> None:
    judge = FakeJudge(verdict=lambda asked: 0.98 if asked == 0 else 0.02, takes_s=0.3)
    async with on_line("well now where is it", judge=judge) as line:
        await line.speaks(800)
        await line.is_quiet(200)  # asked, and the answer comes while the caller speaks again
        await line.speaks(800)
        await line.is_quiet(2500)
        assert line.when(TurnEnded) >= 1800 + FAR_FROM_FINISHED_MS


@virtual
async def test_smart_turn_is_asked_again_as_the_pause_grows() -> None:
    judge = FakeJudge(verdict=lambda asked: 0.05 if asked < 2 else 0.95)
    unfinished = silence_needed(Completeness.OPENING, 0.05)
    finished = silence_needed(Completeness.OPENING, 0.95)
    async with on_line("hello", judge=judge) as line:
        await line.speaks(800)
        await line.is_quiet(2500)
        assert len(judge.asked) >= 3
        assert 800 + finished <= line.when(TurnEnded) <= 800 + finished + 120 < 800 + unfinished


@virtual
async def test_what_sounds_unfinished_is_waited_for_but_not_for_ever() -> None:
    async with on_line("i would like to", judge=FakeJudge(verdict=lambda _: 0.02)) as line:
        await line.speaks(800)
        await line.is_quiet(2500)
        assert 800 + DEFAULT_RULES.longest <= line.when(TurnEnded) <= 800 + DEFAULT_RULES.longest + 100


@pytest.mark.parametrize("judge", [FakeJudge(down=True), FakeJudge(takes_s=10)])
def test_without_a_verdict_words_and_silence_end_the_turn(judge: FakeJudge) -> None:
    @virtual
    async def check() -> None:
        judge.asked.clear()
        async with on_line("hello", judge=judge) as line:
            await line.speaks(800)
            await line.is_quiet(2500)
            needed = silence_needed(Completeness.OPENING, None)
            assert 800 + needed <= line.when(TurnEnded) <= 800 + needed + 100
            assert len(judge.asked) == 1, "a judge that is down is not asked again in this turn"

    check()


def digits_by_length(said: str, ms_per_digit: int = 300) -> Callable[[bytes, str], str]:
    """As many digits as the tone so far has room for."""

    def so_far(fed: bytes, _: str) -> str:
        voiced = int((np.abs(np.frombuffer(fed, dtype="<i2")) > 300).sum()) * 1.02
        return " ".join(said.split()[: round(voiced / 8 / 0.95 / ms_per_digit)])

    return so_far


@virtual
async def test_a_number_in_groups_is_one_turn_and_ends_when_it_is_whole() -> None:
    ears = FakeEars(["x"], so_far=digits_by_length("four two seven one oh three"))
    async with on_line(ears=ears) as line:
        line.listener.expect(SIX)
        await line.speaks(900)
        await line.is_quiet(1500)
        await line.speaks(900)
        await line.is_quiet(2000)
        (ended,) = line.all(TurnEnded)
        assert isinstance(ended, TurnEnded)
        assert ended.utterance.text == "four two seven one oh three"
        assert line.when(TurnEnded) - 3300 <= 420
        assert ears.opened[0].expects == SIX


@virtual
async def test_an_unfinished_number_is_waited_for_but_not_for_ever() -> None:
    async with on_line("four two seven") as line:
        line.listener.expect(SIX)
        await line.speaks(900)
        await line.is_quiet(4000)
        assert (
            900 + DEFAULT_RULES.digits_open <= line.when(TurnEnded) <= 900 + DEFAULT_RULES.digits_open + 100
        )


@virtual
async def test_what_was_asked_holds_for_the_turns_that_begin_afterwards() -> None:
    async with on_line("four two", "four two") as line:
        await line.speaks(400)
        line.listener.expect(SIX)
        await line.is_quiet(1000)
        await line.speaks(400)
        await line.is_quiet(3000)
        assert line.when(TurnEnded, 0) <= 400 + 420
        assert line.when(TurnEnded, 1) >= 1800 + DEFAULT_RULES.digits_open
        assert [r.expects.kind for r in line.ears.opened] == ["free", "digits"]


@virtual
async def test_a_slow_recogniser_is_not_asked_twice() -> None:
    """What it made of the whole turn while the pause grew stands: a second decode would double the wait."""
    ears = FakeEars(["hello"], decode_s=0.8)
    async with on_line(ears=ears) as line:
        await line.speaks(800)
        await line.is_quiet(3000)
        assert line.when(TurnEnded) - 800 <= 128 + 800 + 100
        assert not ears.opened[0].finished
        assert ears.opened[0].cancelled


@virtual
async def test_turns_are_told_in_the_order_they_were_spoken() -> None:
    class SlowFirst(FakeEars):
        async def open(self, call, expects, on_partial):
            recognition = await super().open(call, expects, on_partial)
            self.decode_s = 2.0 if len(self.opened) == 1 else 0.01
            return recognition

    async with on_line(ears=SlowFirst(["first", "second"])) as line:
        await line.speaks(500)
        await line.is_quiet(500)
        await line.speaks(300)
        await line.is_quiet(3000)
        assert [e.utterance.text for e in line.all(TurnEnded) if isinstance(e, TurnEnded)] == [
            "first",
            "second",
        ]


# --- a bad line ------------------------------------------------------------------------------


@virtual
async def test_a_burst_after_a_stall_of_the_network_does_not_end_the_turn() -> None:
    """Twilio delivers up to 233 ms late without losing audio; silence is measured in audio, not in time."""
    async with on_line("hello") as line:
        await line.speaks(500)
        for _ in range(2):
            await asyncio.sleep(0.4)
            for _ in range(20):
                line.listener.feed(TONE, line.ms)
                line.ms += 20
        assert not line.all(TurnEnded)
        await line.is_quiet(2500)
        assert len(line.all(TurnEnded)) == 1


@virtual
async def test_a_turn_ends_also_when_no_more_audio_comes() -> None:
    async with on_line("hello") as line:
        await line.speaks(500)
        await asyncio.sleep(3)
        assert len(line.all(TurnEnded)) == 1


@virtual
async def test_lost_and_repeated_frames_of_any_length_change_nothing() -> None:
    async with on_line("where is my order") as line:
        for number in range(60):
            await asyncio.sleep(0.02)
            if number % 7:
                line.listener.feed(TONE, number * 20)
            if number % 5 == 0:
                line.listener.feed(TONE, max(0, number - 3) * 20)
        line.listener.feed(b"", 1200)
        line.listener.feed(TONE * 10, 1200)
        line.ms = 1400
        await line.is_quiet(1000)
        assert len(line.all(TurnEnded)) == 1
        assert len(line.ears.opened[0].fed) == pytest.approx(2 * 8 * 1730, rel=0.03)


# --- no words --------------------------------------------------------------------------------


@virtual
async def test_sound_without_words_is_told() -> None:
    async with on_line("") as line:
        await line.speaks(800)
        await line.is_quiet(1500)
        (event,) = line.all(Unheard)
        (began,) = line.all(SpeechStarted)
        assert isinstance(event, Unheard)
        assert isinstance(began, SpeechStarted)
        assert event.reason is HearingFailure.EMPTY
        assert event.started_ms == began.at_ms
        assert event.last_voiced_ms == pytest.approx(began.at_ms + 800, abs=60)


@virtual
async def test_a_click_or_a_cough_bothers_nobody() -> None:
    async with on_line("", "") as line:
        await line.speaks(100)
        await line.is_quiet(2000)
        await line.speaks(20)
        await line.is_quiet(2000)
        assert {type(e) for _, e in line.told} <= {SpeechStarted, CallerFinished, NothingSaid}


@pytest.mark.parametrize("lost", ["before", "during"])
def test_a_lost_recogniser_is_told_at_the_end_of_the_turn(lost: str) -> None:
    @virtual
    async def check() -> None:
        ears = FakeEars(["hello"], down=lost == "before")
        async with on_line(ears=ears) as line:
            await line.speaks(800)
            ears.down = True
            await line.is_quiet(2000)
            (event,) = line.all(Unheard)
            assert isinstance(event, Unheard)
            assert event.reason is HearingFailure.ENGINE_DOWN
            assert line.when(Unheard) - 800 <= 1000
            ears.down = False
            ears.texts = ["x", "it is back", "it is back"]
            await line.speaks(800)
            await line.is_quiet(1000)
            assert len(line.all(TurnEnded)) == 1

    check()


@virtual
async def test_a_recogniser_that_hangs_is_given_up() -> None:
    async with on_line(ears=FakeEars(["hello"], decode_s=3600)) as line:
        await line.speaks(800)
        await line.is_quiet(9000)
        (event,) = line.all(Unheard)
        assert isinstance(event, Unheard)
        assert event.reason is HearingFailure.ENGINE_DOWN


# --- silence ----------------------------------------------------------------------------------


@virtual
async def test_silence_is_told_and_counted_from_when_the_bot_stopped() -> None:
    async with on_line(silence_s=7) as line:
        line.listener.bot_speaks(True)
        await line.is_quiet(20_000)
        assert not line.all(CallerSilent)
        line.listener.bot_speaks(False)
        await line.is_quiet(7100)
        line.listener.bot_speaks(True)  # "are you still there?"
        await line.is_quiet(2000)
        line.listener.bot_speaks(False)
        await line.is_quiet(7100)
        assert [e.nth for e in line.all(CallerSilent) if isinstance(e, CallerSilent)] == [1, 2]
        assert line.when(CallerSilent, 0) == pytest.approx(27_000, abs=40)
        assert line.when(CallerSilent, 1) == pytest.approx(27_100 + 2000 + 7000, abs=40)


@virtual
async def test_words_and_keys_begin_the_count_anew_but_a_click_does_not() -> None:
    async with on_line("", "yes", silence_s=7) as line:
        await line.is_quiet(7100)
        await line.speaks(100)
        await line.is_quiet(8500)
        await line.speaks(500)
        await line.is_quiet(9500)
        line.listener.caller_active()
        await line.is_quiet(7100)
        counts = [e.nth for e in line.all(CallerSilent) if isinstance(e, CallerSilent)]
        assert counts == [1, 2, 1, 1]


@virtual
async def test_clicks_do_not_put_off_that_the_caller_is_asked() -> None:
    async with on_line(*[""] * 8, silence_s=7) as line:
        for _ in range(8):
            await line.is_quiet(3000)
            await line.speaks(100)
        assert [e.nth for e in line.all(CallerSilent) if isinstance(e, CallerSilent)][:2] == [1, 2]
        assert line.when(CallerSilent) < 12_000


@virtual
async def test_right_after_a_click_nobody_is_asked() -> None:
    async with on_line("", silence_s=7) as line:
        await line.is_quiet(6900)
        await line.speaks(100)
        await line.is_quiet(3000)
        (told,) = line.all(NothingSaid)
        (silent,) = line.all(CallerSilent)
        assert silent.at_ms - told.at_ms == pytest.approx(1000, abs=40)


@virtual
async def test_a_caller_who_speaks_is_not_silent() -> None:
    async with on_line("a long story", silence_s=3) as line:
        await line.speaks(12_000)
        await line.is_quiet(500)
        assert not line.all(CallerSilent)


# --- barge-in ---------------------------------------------------------------------------------


@virtual
async def test_a_caller_who_speaks_over_the_bot_is_told_within_three_windows_and_once() -> None:
    async with on_line("stop please") as line:
        await line.is_quiet(1000)
        line.listener.bot_speaks(True)
        await line.is_quiet(500)
        await line.speaks(1000)
        line.listener.bot_speaks(False)
        await line.is_quiet(1000)
        (overlap,) = line.all(OverlapStarted)
        assert isinstance(overlap, OverlapStarted)
        assert overlap.at_ms == pytest.approx(1500, abs=32)
        assert line.when(OverlapStarted) - 1500 <= 3 * 32 + 20
        (ended,) = line.all(TurnEnded)
        assert isinstance(ended, TurnEnded)
        assert ended.utterance.text == "stop please"
        assert ended.utterance.started_ms == overlap.at_ms


@virtual
async def test_each_answer_can_be_interrupted() -> None:
    async with on_line("stop", "stop", silence_s=3) as line:
        for _ in range(2):
            line.listener.bot_speaks(True)
            await line.is_quiet(500)
            await line.speaks(200)
            line.listener.bot_speaks(False)  # cut
            await line.speaks(5000)
            await line.is_quiet(500)
        assert len(line.all(OverlapStarted)) == 2
        assert len(line.all(TurnEnded)) == 2
        assert not line.all(CallerSilent), "a caller who goes on after a cut is not silent"


@virtual
async def test_noise_of_an_earlier_answer_does_not_add_up_to_a_barge_in() -> None:
    class Unsure(ToneVoice):
        def probability(self, window: np.ndarray) -> float:
            return min(0.6, super().probability(window))

    async with on_line("", vad=Unsure()) as line:
        line.listener.bot_speaks(True)
        await line.frames(TONE, 60)
        line.listener.bot_speaks(False)
        line.listener.bot_speaks(True)
        await line.frames(TONE, 20)
        await line.is_quiet(200)
        assert not line.all(OverlapStarted)


@virtual
async def test_the_bots_own_echo_is_neither_a_barge_in_nor_a_turn() -> None:
    async with on_line() as line:
        line.listener.bot_speaks(True)
        await line.frames(ECHO, 4000)
        assert not line.told


@virtual
async def test_a_turn_that_is_under_way_when_the_bot_begins_is_a_barge_in() -> None:
    async with on_line("and one more thing") as line:
        await line.speaks(500)
        line.listener.bot_speaks(True)
        await line.speaks(500)
        assert len(line.all(OverlapStarted)) == 1
        assert len(line.all(SpeechStarted)) == 1


# --- real speech ------------------------------------------------------------------------------


class KeenVoice(ToneVoice):
    """Takes the soft tail of a sound for a voice, as Silero does for about 100 ms."""

    def probability(self, window: np.ndarray) -> float:
        return 0.9 if np.abs(window.astype(int)).mean() > 20 else 0.02


@virtual
async def test_the_soft_tail_behind_speech_is_silence() -> None:
    async with on_line("hello", vad=KeenVoice()) as line:
        await line.speaks(1000)
        await line.frames(ECHO, 140)
        await line.is_quiet(1000)
        (ended,) = line.all(TurnEnded)
        assert isinstance(ended, TurnEnded)
        assert ended.utterance.last_voiced_ms == pytest.approx(1000, abs=32)


@virtual
async def test_real_speech_through_the_real_model_is_one_turn_with_its_true_end() -> None:
    said = emergency.line("handing_over").ulaw
    loud = np.flatnonzero(np.abs(decode(said).astype(int)) > 600)
    judge = FakeJudge(verdict=lambda _: 0.3)  # pauses between its two sentences
    async with on_line("x", vad=shared_silero().voice(), judge=judge) as line:
        await line.is_quiet(500)
        for at in range(0, len(said), 160):
            await line.frames((said[at : at + 160] + QUIET)[:160], 20)
        await line.is_quiet(1500)
        (started,), (ended,) = line.all(SpeechStarted), line.all(TurnEnded)
        assert isinstance(started, SpeechStarted)
        assert isinstance(ended, TurnEnded)
        assert started.at_ms == pytest.approx(500 + loud[0] / 8, abs=70)
        assert ended.utterance.last_voiced_ms == pytest.approx(500 + loud[-1] / 8, abs=70)


@pytest.mark.parametrize("bot_done", [True, False])
def test_who_speaks_into_the_last_word_of_a_question_answers_it(bot_done: bool) -> None:
    """Near miss: into the middle of it they answer nothing yet."""

    @virtual
    async def check() -> None:
        async with on_line("four two seven one oh three", bot_done=bot_done) as line:
            await line.is_quiet(1000)
            line.listener.will_expect(SIX)
            line.listener.bot_speaks(True)
            await line.is_quiet(500)
            await line.speaks(1000)
            line.listener.bot_speaks(False)
            await line.is_quiet(1500)
            assert [opened.expects for opened in line.ears.opened] == [SIX if bot_done else FREE]

    check()


def softer(db: float) -> bytes:
    return encode((decode(TONE) * 10 ** (-db / 20)).astype("<i2"))


@pytest.mark.parametrize(("known", "within_ms"), [(True, 800), (False, 3000)])
def test_somebody_far_softer_who_goes_on_behind_the_caller_does_not_keep_the_turn_open(
    known: bool, within_ms: int
) -> None:
    """It ends where the caller's own voice did; sooner when that is known from a turn before."""

    @virtual
    async def check() -> None:
        async with on_line(*["where is my order"] * 6) as line:
            await line.is_quiet(1000)
            if known:
                await line.speaks(1000)
                await line.is_quiet(1500)
            before, began = len(line.all(TurnEnded)), line.ms
            await line.speaks(1000)
            await line.frames(softer(18), 6000)
            ended = line.all(TurnEnded)[before]
            assert isinstance(ended, TurnEnded)
            assert ended.utterance.last_voiced_ms == pytest.approx(began + 1000, abs=70)
            assert line.when(TurnEnded, before) < began + 1000 + within_ms + 400
            await line.is_quiet(3000)

    check()


@virtual
async def test_a_caller_who_drops_their_voice_is_heard_to_the_end() -> None:
    async with on_line("where is my order", "well i do not know any more") as line:
        await line.is_quiet(1000)
        await line.speaks(1000)
        await line.is_quiet(1500)
        began = line.ms
        await line.speaks(600)
        for _ in range(5):
            await line.frames(softer(20), 380)
            await line.frames(softer(13), 40)
        await line.is_quiet(1500)
        assert len(line.all(TurnEnded)) == 2
        assert line.when(TurnEnded, 1) > began + 600 + 5 * 420
