"""What the caller hears is paced, cut at once, outlives its engine, and is accounted for to the word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sound_fakes import Ear, FakeSpeech, clauses_of
from virtual_time import virtual

from voicebot.audio.media_clock import MediaClock
from voicebot.audio.speaking.emergency import LINES, UnknownLine, line
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
from voicebot.core.conversation import Clause, Heard

ANSWER = ("one two three four five", "six seven eight", "nine ten")
WHOLE = " ".join(ANSWER)
WORD_MS = 300


class Call:
    """A speaker and the ear at the other end of its line."""

    def __init__(self, speech: FakeSpeech, ear: Ear, phrases: PhraseCache) -> None:
        self.loop = asyncio.get_running_loop()
        self.speech = speech
        self.ear = ear
        self.told: list[tuple[float, SpeakingEvent]] = []
        self.recorded: list[tuple[int | None, bytes]] = []
        self.media_clock = MediaClock()
        self.media_clock.observe(0, self.loop.time())  # media time 0 is now
        self.began = self.loop.time()
        self.speaker = Speaker(
            "call",
            speech=speech,
            phrases=phrases,
            wire=ear,
            emit=lambda event: self.told.append((self.loop.time(), event)),
            clock=self.loop.time,
            on_bot_audio=lambda ulaw, at_ms: self.recorded.append((at_ms, ulaw)),
            media_clock=self.media_clock,
        )
        ear.on_mark = self.speaker.mark_returned

    def say(self, *texts: str, turn: int = 1, fixed: bool = False) -> asyncio.Task[Heard]:
        return self.loop.create_task(self.speaker.say(turn, clauses_of(*texts, fixed=fixed)))

    def all(self, kind: type) -> list[SpeakingEvent]:
        return [event for _, event in self.told if isinstance(event, kind)]

    @property
    def words_heard(self) -> int:
        """Whole words (of 300 ms) that came out at the ear."""
        return self.ear.heard_ms // WORD_MS


@asynccontextmanager
async def on_line(
    speech: FakeSpeech | None = None,
    *,
    delay_s: float = 0.03,
    returns_marks: bool = True,
    phrases: PhraseCache | None = None,
) -> AsyncIterator[Call]:
    """A call; at its end nothing may be left running."""
    before = asyncio.all_tasks()
    ear = Ear(delay_s, returns_marks=returns_marks)
    yield Call(speech or FakeSpeech(), ear, phrases or PhraseCache(None))
    await ear.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


# --- an answer heard to its end ----------------------------------------------------------------


@virtual
async def test_an_answer_is_heard_whole_and_without_a_gap() -> None:
    async with on_line() as call:
        heard = await call.say(*ANSWER)
        assert heard == Heard(text=WHOLE, complete=True)
        assert call.ear.heard_ms == 10 * WORD_MS
        assert call.ear.gaps == []
        assert not call.speaker.speaking


@virtual
async def test_the_first_audio_leaves_as_soon_as_100_ms_exist() -> None:
    async with on_line(FakeSpeech(first_s=0.03, rate=2)) as call:
        await call.say(*ANSWER)
        first = call.ear.log[0][0] - call.began
        assert first == pytest.approx(0.03 + 0.05 / 2, abs=0.005)  # two chunks of 50 ms at 2x real time


@virtual
async def test_the_first_clause_is_spoken_while_the_rest_is_being_written() -> None:
    async with on_line() as call:
        heard = await call.speaker.say(1, clauses_of(*ANSWER, pause_s=0.4))
        assert call.ear.log[0][0] - call.began < 0.5
        assert heard.text == WHOLE
        assert call.ear.gaps == []


@virtual
async def test_events_say_when_it_was_sent_and_when_it_was_heard() -> None:
    async with on_line(delay_s=0.05) as call:
        await call.say(*ANSWER, turn=7)
        (sent,), (heard,), (ended,) = (call.all(k) for k in (FirstAudioSent, FirstHeard, SpeakingEnded))
        assert isinstance(sent, FirstAudioSent)
        assert isinstance(heard, FirstHeard)
        assert isinstance(ended, SpeakingEnded)
        assert sent.at_ms is not None
        assert heard.at_ms == pytest.approx(sent.at_ms + 100, abs=2)  # a round trip
        assert ended.at_ms == pytest.approx(heard.at_ms + 10 * WORD_MS, abs=2)
        started = [event for event in call.all(ClauseStarted) if isinstance(event, ClauseStarted)]
        assert [event.text for event in started] == list(ANSWER)
        assert {event.turn for event in (sent, heard, ended, *started)} == {7}


@virtual
async def test_never_more_than_400_ms_run_ahead() -> None:
    async with on_line(delay_s=0.0) as call:
        answer = call.say(*ANSWER)
        most = 0
        while not answer.done():
            most = max(most, call.ear.buffered_ms())
            await asyncio.sleep(0.01)
        assert 300 <= most <= 400


@virtual
async def test_every_message_is_followed_by_a_mark_of_its_generation() -> None:
    async with on_line() as call:
        await call.say("one two")
        await call.say("three four")
        kinds = [kind for _, kind, _ in call.ear.log]
        assert kinds == ["media", "mark"] * 12
        names = [str(what) for _, kind, what in call.ear.log if kind == "mark"]
        assert names == [f"g1.{n}" for n in range(6)] + [f"g2.{n}" for n in range(6)]


@pytest.mark.parametrize("stall_s", [0.1, 0.2, 0.29])
def test_a_stall_of_the_loop_shorter_than_the_lead_is_not_heard(stall_s: float) -> None:
    @virtual
    async def check() -> None:
        async with on_line(delay_s=0.0) as call:
            answer = call.say(*ANSWER)
            stalled = Stalled(call.ear)
            call.loop.call_later(0.95, stalled.begin)
            call.loop.call_later(0.95 + stall_s, stalled.end)
            assert (await answer).complete
            assert call.ear.gaps == []

    check()


class Stalled:
    """Our side hangs: what it sends in between arrives only afterwards."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._held: list[tuple[str, object]] | None = None
        self._take = ear._take
        ear._take = self._maybe  # type: ignore[method-assign]

    def begin(self) -> None:
        self._held = []

    def end(self) -> None:
        held, self._held = self._held or [], None
        for kind, what in held:
            self._take(kind, what)

    def _maybe(self, kind: str, what: object) -> None:
        if self._held is None:
            self._take(kind, what)
        else:
            self._held.append((kind, what))


# --- cut ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.15])
@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.81, 1.3, 1.75, 2.4, 2.9])
def test_a_cut_silences_at_once_and_knows_the_words_heard(after_s: float, delay_s: float) -> None:
    @virtual
    async def check() -> None:
        async with on_line(delay_s=delay_s) as call:
            answer = call.say(*ANSWER)
            await asyncio.sleep(after_s)
            sent_before = len(call.ear.log)
            heard = await call.speaker.cut()
            assert not call.speaker.speaking
            assert await answer == heard
            await asyncio.sleep(3)
            assert [kind for _, kind, _ in call.ear.log[sent_before:]] == ["clear"]
            assert call.ear.log[sent_before][0] == pytest.approx(call.began + after_s)
            assert call.ear.heard_ms <= (after_s + delay_s) * 1000
            assert heard is not None
            assert WHOLE.startswith(heard.text)
            assert abs(len(heard.text.split()) - call.words_heard) <= 1
            assert not heard.complete

    check()


@virtual
async def test_marks_that_come_back_after_our_own_clear_do_not_count_as_heard() -> None:
    async with on_line(delay_s=0.1) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        heard = await call.speaker.cut()
        await asyncio.sleep(1)
        assert await answer == heard
        again = await call.say("nine ten", turn=2)  # the old marks are back by now, and mean nothing
        assert again == Heard(text="nine ten", complete=True)


@virtual
async def test_a_cut_before_any_audio_says_nothing_and_sends_nothing() -> None:
    async with on_line(FakeSpeech(first_s=1.0)) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(0.5)
        assert await call.speaker.cut() == Heard(text="", complete=False)
        assert await answer == Heard(text="", complete=False)
        assert call.ear.log == []
        assert await call.speaker.cut() is None


class Writer:
    """Clauses that note whether they were closed, begun or not."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.closed = False

    def __aiter__(self) -> Writer:
        return self

    async def __anext__(self) -> Clause:
        if not self._texts:
            raise StopAsyncIteration
        return Clause(text=self._texts.pop(0))

    async def aclose(self) -> None:
        self.closed = True


@virtual
async def test_a_cut_also_drops_what_waits_behind() -> None:
    """A filler and the answer behind it: the caller interrupts both."""
    writer = Writer("never")
    async with on_line() as call:
        filler = call.say("one two three")
        behind = call.loop.create_task(call.speaker.say(2, writer))
        await asyncio.sleep(0.4)
        await call.speaker.cut()
        assert (await filler).text == "one"
        assert await behind == Heard(text="", complete=False)
        assert call.speech.said == ["one two three"]
        assert writer.closed, "the model behind it would go on writing"
        assert (await call.say("four")).complete


@virtual
async def test_a_cut_stops_the_writer_and_the_engine() -> None:
    writer = Writer(*ANSWER)
    async with on_line(FakeSpeech(rate=1.2)) as call:
        answer = call.loop.create_task(call.speaker.say(2, writer))
        await asyncio.sleep(0.5)
        assert call.speech.speaking == 1
        await call.speaker.cut()
        await answer
        assert call.speech.speaking == 0
        assert writer.closed


@virtual
async def test_an_engine_faster_than_speech_is_not_read_without_end() -> None:
    """A minute of speech made in an instant waits in the engine, not in our memory."""
    async with on_line(FakeSpeech(rate=1e6)) as call:
        answer = call.say("word " * 200)
        await asyncio.sleep(1)
        assert call.speech.made_ms <= 12_000
        assert (await answer).complete


@virtual
async def test_clauses_without_a_word_are_passed_over() -> None:
    """An engine makes no sound of a lone quote or dash, and is not lost for that."""
    async with on_line() as call:
        heard = await call.say("one two.", '"', "-", "three")
        assert heard == Heard(text="one two. three", complete=True)
        assert call.speech.said == ["one two.", "three"]


@virtual
async def test_an_engine_that_makes_no_sound_of_words_counts_as_lost() -> None:
    async with on_line(FakeSpeech(word_ms=0)) as call:
        assert not (await call.say("one two")).complete
        assert len(call.all(SpeechFailed)) == 1


@virtual
async def test_answers_are_heard_one_after_the_other() -> None:
    async with on_line() as call:
        first, second = call.say("one two", turn=1), call.say("three", turn=2)
        assert (await first).text == "one two"
        assert (await second).text == "three"
        assert call.ear.heard_ms == 3 * WORD_MS


@virtual
async def test_a_cancelled_answer_leaves_nothing_running() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(0.5)
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        assert (await call.say("nine")).complete


# --- a line that lies or breaks --------------------------------------------------------------------


@virtual
async def test_a_peer_that_returns_no_marks_is_believed_by_the_clock() -> None:
    async with on_line(returns_marks=False) as call:
        assert await call.say(*ANSWER) == Heard(text=WHOLE, complete=True)
        took = call.loop.time() - call.began
        assert 3.0 <= took <= 4.3
        began = call.loop.time()
        assert (await call.say("one two", turn=2)).complete
        assert call.loop.time() - began <= 1.0  # it is not waited for a second time
        assert sum(len(ulaw) for _, ulaw in call.recorded) == 12 * WORD_MS * 8


@pytest.mark.parametrize("sends", range(5))
def test_a_broken_line_ends_the_answer(sends: int) -> None:
    @virtual
    async def check() -> None:
        async with on_line() as call:
            call.ear.fails_after = sends
            heard = await call.say(*ANSWER)
            assert not heard.complete
            assert WHOLE.startswith(heard.text)
            assert call.loop.time() - call.began < 2
            assert not call.speaker.speaking
            assert len(call.all(SpeakingEnded)) == 1

    check()


@virtual
async def test_a_line_that_breaks_at_the_clear_is_still_cut() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1)
        call.ear.fails_after = 0
        heard = await call.speaker.cut()
        assert heard is not None
        assert heard.text == "one two three"
        assert await answer == heard


# --- an engine that is lost ------------------------------------------------------------------------


@virtual
async def test_a_lost_engine_is_bridged_by_a_line_and_the_clause_said_again() -> None:
    async with on_line(FakeSpeech(down_after_chunks=[9, 0])) as call:
        heard = await call.say(*ANSWER)
        assert heard == Heard(text=WHOLE, complete=True)
        (spoken,) = call.all(LineSpoken)
        assert isinstance(spoken, LineSpoken)
        assert spoken.name == "one_moment"
        assert line("one_moment").ulaw in b"".join(ulaw for _, ulaw in call.ear.heard)
        assert not call.all(SpeechFailed)
        assert max(call.ear.gaps, default=0) < 3


@virtual
async def test_an_engine_that_stays_away_is_told_and_what_was_heard_is_kept() -> None:
    async with on_line(FakeSpeech(down_after_chunks=[0] * 20)) as call:
        heard = await call.say(*ANSWER)
        assert heard == Heard(text="", complete=False)
        assert len(call.all(SpeechFailed)) == 1
        assert max(call.ear.gaps, default=0) < 3
        assert call.loop.time() - call.began < 8


@virtual
async def test_an_engine_lost_in_the_second_clause_leaves_the_first_as_heard() -> None:
    class SecondDies(FakeSpeech):
        async def say(self, call, text, rate_hz=8000):
            self.down_after_chunks = [] if text == ANSWER[0] else [2]
            async for chunk in super().say(call, text, rate_hz):
                yield chunk

    async with on_line(SecondDies()) as call:
        heard = await call.say(*ANSWER)
        assert heard.text == ANSWER[0]
        assert not heard.complete
        assert len(call.all(SpeechFailed)) == 1


@virtual
async def test_an_engine_that_hangs_is_given_up_before_the_caller_does() -> None:
    async with on_line(FakeSpeech(hangs=True)) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(3)
        assert call.ear.heard_ms > 0  # the emergency line, within 3 s
        call.speech.hangs = False
        assert (await answer).text == WHOLE


@pytest.mark.parametrize("name", LINES)
def test_an_emergency_line_needs_no_engine(name: str) -> None:
    @virtual
    async def check() -> None:
        async with on_line(FakeSpeech(hangs=True)) as call:
            assert await call.speaker.line(3, name) == Heard(text=LINES[name], complete=True)
            assert b"".join(ulaw for _, ulaw in call.ear.heard) == line(name).ulaw

    check()


@virtual
async def test_an_unknown_line_is_refused() -> None:
    async with on_line() as call:
        with pytest.raises(UnknownLine):
            await call.speaker.line(3, "nope")


@virtual
async def test_an_error_of_the_writer_is_raised_after_what_came_before_was_heard() -> None:
    async def failing() -> AsyncIterator[Clause]:
        yield Clause(text="one two")
        raise ValueError("the model is gone")

    async with on_line() as call:
        with pytest.raises(ValueError, match="the model"):
            await call.speaker.say(1, failing())
        assert call.ear.heard_ms == 2 * WORD_MS
        (ended,) = call.all(SpeakingEnded)
        assert isinstance(ended, SpeakingEnded)
        assert ended.heard == Heard(text="one two", complete=False)


# --- phrases and recording ---------------------------------------------------------------------------


def test_a_fixed_phrase_is_synthesised_once_per_voice(tmp_path: Path) -> None:
    @virtual
    async def check() -> None:
        for expected, voice in ((["one two"], "v/1"), ([], "v/1"), (["one two"], "v/2")):
            speech = FakeSpeech(voice_id=voice)
            async with on_line(speech, phrases=PhraseCache(tmp_path)) as call:
                for _ in range(2):
                    heard = await call.say("one two", fixed=True)
                    assert heard == Heard(text="one two", complete=True)
                    await asyncio.sleep(0.1)
                assert speech.said == expected

    check()


@virtual
async def test_a_cached_phrase_is_cut_to_the_word_like_any_other() -> None:
    async with on_line(delay_s=0) as call:
        await call.say(ANSWER[0], fixed=True)
        answer = call.say(ANSWER[0], fixed=True)
        await asyncio.sleep(0.7)
        await call.speaker.cut()
        assert (await answer).text == "one two"


def placed(call: Call) -> list[tuple[float, bytes]]:
    return [(0 if at is None else at, ulaw) for at, ulaw in call.recorded]


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2])
def test_the_recording_gets_what_was_heard_where_it_was_heard(delay_s: float) -> None:
    @virtual
    async def check() -> None:
        async with on_line(delay_s=delay_s) as call:
            await call.say(*ANSWER)
            assert b"".join(u for _, u in call.recorded) == b"".join(u for _, u in call.ear.heard)
            for (at_ms, _), (at_s, _) in zip(placed(call), call.ear.heard, strict=True):
                # Media time is told as seen from here: one way later than at the ear, like every mark.
                assert at_ms == pytest.approx((at_s + delay_s - call.began) * 1000, abs=2)

    check()


@virtual
async def test_answers_with_pauses_between_clauses_are_recorded_with_them() -> None:
    """Each time the buffer runs dry, what follows begins anew: later, not where the last left off."""
    async with on_line(delay_s=0.05) as call:
        heard = await call.speaker.say(1, clauses_of("one", "two", "three", pause_s=1.0))
        assert heard.complete
        assert len(call.ear.gaps) == 2
        for (at_ms, _), (at_s, _) in zip(placed(call), call.ear.heard, strict=True):
            assert at_ms == pytest.approx((at_s + 0.05 - call.began) * 1000, abs=2)


@virtual
async def test_an_answer_cut_before_its_first_mark_is_recorded_where_it_was_heard() -> None:
    """The round trip is known from the answer before."""
    async with on_line(delay_s=0.15) as call:
        await call.say("one two three")
        already = len(call.recorded)
        answer = call.say(*ANSWER)
        await asyncio.sleep(0.25)
        await call.speaker.cut()
        await answer
        await asyncio.sleep(1)
        at_s, _ = call.ear.heard[already]
        assert placed(call)[already][0] == pytest.approx((at_s + 0.15 - call.began) * 1000, abs=2)


@pytest.mark.parametrize("after_s", [0.31, 0.77, 1.36, 2.05])
def test_what_a_cut_dropped_is_not_in_the_recording(after_s: float) -> None:
    @virtual
    async def check() -> None:
        async with on_line(delay_s=0.06) as call:
            answer = call.say(*ANSWER)
            await asyncio.sleep(after_s)
            await call.speaker.cut()
            await answer
            await asyncio.sleep(3)
            recorded = b"".join(u for _, u in call.recorded)
            heard = b"".join(u for _, u in call.ear.heard)
            assert abs(len(recorded) - len(heard)) <= 20 * 8
            assert recorded.startswith(heard) or heard.startswith(recorded)

    check()


@virtual
async def test_recording_is_held_back_by_no_more_than_what_runs_ahead() -> None:
    async with on_line(returns_marks=False) as call:
        late: list[float] = []
        answer = call.say(*ANSWER)
        while not answer.done():
            await asyncio.sleep(0.05)
            recorded = sum(len(u) for _, u in call.recorded) / 8
            late.append(call.ear.heard_ms - recorded)
        assert max(late) <= 1600


@virtual
async def test_whoever_watches_and_fails_does_not_end_the_answer() -> None:
    def fails(event: SpeakingEvent) -> None:
        if isinstance(event, ClauseStarted):
            raise AttributeError("a watcher's bug")

    ear, clock = Ear(), asyncio.get_running_loop().time
    speaker = Speaker(
        "call", speech=FakeSpeech(), phrases=PhraseCache(None), wire=ear, emit=fails, clock=clock
    )
    ear.on_mark = speaker.mark_returned
    assert await speaker.say(1, clauses_of(*ANSWER)) == Heard(text=WHOLE, complete=True)
    await ear.close()
