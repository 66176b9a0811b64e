"""A paused answer goes on from the interrupted word; ledger and recording know what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate

import pytest
from sound_fakes import Ear, FakeSpeech, clauses_of
from virtual_time import virtual

from voicebot.audio.media_clock import MediaClock
from voicebot.audio.speaking.events import FirstAudioSent, FirstHeard, SpeakingEnded, SpeakingEvent
from voicebot.audio.speaking.ledger import WORD_MARGIN_MS
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.playout import PAUSE_LIMIT_S
from voicebot.audio.speaking.speaker import Speaker
from voicebot.core.conversation import Heard

ANSWER = ("one two three four five", "six seven eight nine", "ten eleven")
WHOLE = " ".join(ANSWER)
WORD_MS = 300
WHOLE_MS = len(WHOLE.split()) * WORD_MS
CLAUSES_MS = [0, *accumulate(len(text.split()) * WORD_MS for text in ANSWER)][:-1]


class Call:
    """A speaker and the ear at the other end of its line."""

    def __init__(self, speech: FakeSpeech, ear: Ear) -> None:
        self.loop = asyncio.get_running_loop()
        self.ear = ear
        self.speech = speech
        self.told: list[SpeakingEvent] = []
        self.recorded: list[tuple[int | None, bytes]] = []
        self.began = self.loop.time()
        media_clock = MediaClock()
        media_clock.observe(0, self.began)
        self.sent: list[tuple[bytes, int | None]] = []
        self.speaker = Speaker(
            "call",
            speech=speech,
            phrases=PhraseCache(None),
            wire=ear,
            emit=self.told.append,
            clock=self.loop.time,
            on_bot_audio=lambda ulaw, at_ms: self.recorded.append((at_ms, ulaw)),
            on_bot_sent=lambda ulaw, at_ms: self.sent.append((ulaw, at_ms)),
            media_clock=media_clock,
        )
        ear.on_mark = self.speaker.mark_returned

    def say(self, *texts: str) -> asyncio.Task[Heard]:
        return self.loop.create_task(self.speaker.say(1, clauses_of(*texts)))

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.ear.log]

    def first(self, kind: type) -> SpeakingEvent:
        (event,) = [event for event in self.told if isinstance(event, kind)]
        return event


@asynccontextmanager
async def on_line(
    speech: FakeSpeech | None = None, *, delay_s: float = 0.03, returns_marks: bool = True
) -> AsyncIterator[Call]:
    """A call; at its end nothing may be left running."""
    before = asyncio.all_tasks()
    ear = Ear(delay_s, returns_marks=returns_marks)
    yield Call(speech or FakeSpeech(), ear)
    await ear.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


def goes_on_at(heard_ms: float) -> float:
    """Where an answer goes on that was paused after ``heard_ms``: at its word, or its clause's beginning."""
    clause = max(at for at in CLAUSES_MS if at <= heard_ms)
    word = (heard_ms - clause) // WORD_MS
    return clause if word < 2 else clause + word * WORD_MS - WORD_MARGIN_MS


@pytest.mark.parametrize("word_times", [True, False])
@pytest.mark.parametrize("delay_s", [0.0, 0.04, 0.15])
@pytest.mark.parametrize("after_s", [0.25, 0.56, 0.81, 1.37, 1.75, 2.44, 2.9, 3.3])
def test_it_is_silent_at_once_and_goes_on_from_the_interrupted_word(
    after_s: float, delay_s: float, word_times: bool
) -> None:
    @virtual
    async def check() -> None:
        async with on_line(FakeSpeech(word_times=word_times), delay_s=delay_s) as call:
            answer = call.say(*ANSWER)
            await asyncio.sleep(after_s)
            sent = len(call.ear.log)
            paused = await call.speaker.pause()
            assert paused is not None
            assert call.ear.log[sent][0] == pytest.approx(call.began + after_s)
            await asyncio.sleep(0.6)
            assert call.kinds()[sent:] == ["clear"], "nothing leaves during a pause"
            before_ms, pieces = call.ear.heard_ms, len(call.ear.heard)
            assert abs(len(paused.text.split()) - before_ms / WORD_MS) <= 1
            assert not paused.complete

            call.speaker.resume()
            assert await answer == Heard(text=WHOLE, complete=True)
            again_ms = sum(len(ulaw) for _, ulaw in call.ear.heard[pieces:]) / 8
            went_on_at = WHOLE_MS - again_ms
            assert went_on_at <= before_ms + 1
            if word_times:
                assert went_on_at == pytest.approx(goes_on_at(before_ms), abs=2)
            else:  # estimated by the number of characters
                assert before_ms - went_on_at <= 3 * WORD_MS
            resumed = next(at for at, kind, _ in call.ear.log[sent + 1 :] if kind == "media")
            assert resumed == pytest.approx(call.began + after_s + 0.6), "the first message leaves at once"

    check()


@virtual
async def test_what_was_heard_before_the_pause_stays_heard() -> None:
    """Cut while the repeated word is still being said again: not less was heard than before."""
    async with on_line(delay_s=0.05) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.3)
        paused = await call.speaker.pause()
        await asyncio.sleep(0.3)
        call.speaker.resume()
        await asyncio.sleep(0.1)
        assert await call.speaker.cut() == paused
        assert await answer == paused
        assert paused is not None
        assert paused.text == "one two three four"


@virtual
async def test_a_cut_after_going_on_knows_the_words_to_the_word() -> None:
    async with on_line(delay_s=0.05) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        await call.speaker.pause()
        await asyncio.sleep(0.5)
        call.speaker.resume()
        await asyncio.sleep(1.05)  # from "three" or "four" on again
        await call.speaker.cut()
        heard = await answer
        await asyncio.sleep(1)
        ms_of_old_generation = 1000 - goes_on_at(950)
        said = (call.ear.heard_ms - ms_of_old_generation) / WORD_MS
        assert abs(len(heard.text.split()) - said) <= 1
        assert WHOLE.startswith(heard.text)


@virtual
async def test_a_cut_ends_a_pause_with_what_had_been_heard_when_it_began() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        paused = await call.speaker.pause()
        await asyncio.sleep(0.7)
        assert await call.speaker.cut() == paused
        assert await answer == paused
        await asyncio.sleep(3)
        assert call.kinds().count("clear") == 1, "there is nothing left to clear"
        assert call.kinds()[-1] == "clear"
        call.speaker.resume()  # too late: nothing happens
        assert (await call.say("twelve")).complete


@virtual
async def test_a_pause_during_a_pause_and_a_second_resume_change_nothing() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        first = await call.speaker.pause()
        await asyncio.sleep(0.2)
        assert await call.speaker.pause() == first
        assert call.kinds().count("clear") == 1
        call.speaker.resume()
        call.speaker.resume()
        assert (await answer).complete
        assert call.ear.heard_ms <= WHOLE_MS + 3 * WORD_MS


@virtual
async def test_several_pauses_in_one_answer() -> None:
    async with on_line(delay_s=0.06) as call:
        answer = call.say(*ANSWER)
        for wait_s in (0.9, 0.35, 0.02, 0.9, 1.1):
            await asyncio.sleep(wait_s)
            assert await call.speaker.pause() is not None
            await asyncio.sleep(0.25)
            call.speaker.resume()
        assert await answer == Heard(text=WHOLE, complete=True)
        generations = {str(name).split(".")[0] for _, kind, name in call.ear.log if kind == "mark"}
        assert len(generations) >= 5, "marks of a cleared buffer must not count for what is sent again"


@virtual
async def test_old_marks_that_come_back_late_do_not_count_for_what_is_sent_again() -> None:
    """The clear brings back every mark at once, 300 ms later: after the answer went on."""
    async with on_line(delay_s=0.15) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        await call.speaker.pause()
        await asyncio.sleep(0.05)
        call.speaker.resume()
        await asyncio.sleep(0.4)
        await call.speaker.cut()
        heard = await answer
        assert len(heard.text.split()) <= 4
        assert not heard.complete


@virtual
async def test_after_a_short_pause_it_goes_on_at_once() -> None:
    """What was ahead of the ear was dropped: nothing has to be waited for."""
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.04)  # a message has just left
        await call.speaker.pause()
        await asyncio.sleep(0.02)
        left_ms = (call.speaker.sounds_until_s - call.loop.time()) * 1000
        assert left_ms == pytest.approx(WHOLE_MS - goes_on_at(1005), abs=20), (
            "the line is not about to fall silent"
        )
        sent = len(call.ear.log)
        call.speaker.resume()
        await answer
        assert call.ear.log[sent][0] == pytest.approx(call.began + 1.06, abs=0.001)


@virtual
async def test_when_the_first_mark_tells_the_round_trip_the_times_are_told_again() -> None:
    async with on_line(delay_s=0.1) as call:
        await call.say(*ANSWER)
        told: dict[int, int] = {}
        at = 0
        for ulaw, at_ms in call.sent:
            assert at_ms is not None
            if not ulaw:
                told = {known_ms: length for known_ms, length in told.items() if known_ms < at_ms}
            else:
                told[at_ms] = len(ulaw)
            at += len(ulaw)
        heard = [round((at_s + 0.1 - call.began) * 1000) for at_s, _ in call.ear.heard]
        assert list(told) == pytest.approx(heard, abs=2)
        assert at > WHOLE_MS * 8, "some of it twice"


@virtual
async def test_a_pause_in_the_last_word_says_it_again() -> None:
    async with on_line() as call:
        answer = call.say("one two three")
        await asyncio.sleep(0.85)
        await call.speaker.pause()
        await asyncio.sleep(0.4)
        assert not answer.done()
        call.speaker.resume()
        assert await answer == Heard(text="one two three", complete=True)
        assert call.ear.heard_ms > 3 * WORD_MS + 150


@virtual
async def test_a_pause_when_all_was_heard_leaves_nothing_to_say() -> None:
    """Only the last mark was still on its way."""
    async with on_line(delay_s=0.15) as call:
        answer = call.say("one two three")
        await asyncio.sleep(0.03 + 0.02 + 0.9 + 0.2)
        paused = await call.speaker.pause()
        assert paused == Heard(text="one two three", complete=True)
        call.speaker.resume()
        assert await answer == paused
        assert call.ear.heard_ms == 3 * WORD_MS


@pytest.mark.parametrize("resumes", [True, False])
def test_a_pause_before_the_first_mark_came_back(resumes: bool) -> None:
    @virtual
    async def check() -> None:
        async with on_line(delay_s=0.2) as call:
            answer = call.say(*ANSWER)
            await asyncio.sleep(0.4)
            await call.speaker.pause()
            await asyncio.sleep(0.5)
            if not resumes:
                await call.speaker.cut()
                assert len((await answer).text.split()) <= 2
                return
            call.speaker.resume()
            assert (await answer).complete
            sent, heard = call.first(FirstAudioSent), call.first(FirstHeard)
            assert sent.at_ms is not None
            # The caller heard it when it was first sent, not when it was sent again.
            assert heard.at_ms == pytest.approx(sent.at_ms + 400, abs=30)

    check()


@virtual
async def test_a_pause_before_any_audio_holds_the_answer_back() -> None:
    async with on_line(FakeSpeech(first_s=0.5)) as call:
        answer = call.say("one two")
        await asyncio.sleep(0.3)
        assert await call.speaker.pause() == Heard(text="", complete=False)
        await asyncio.sleep(0.5)
        assert call.ear.log == []
        call.speaker.resume()
        assert (await answer).complete
        assert await call.speaker.pause() is None


@virtual
async def test_a_peer_that_returns_no_marks() -> None:
    async with on_line(returns_marks=False) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        paused = await call.speaker.pause()
        assert paused is not None
        assert len(paused.text.split()) in (3, 4)
        await asyncio.sleep(0.4)
        call.speaker.resume()
        assert await answer == Heard(text=WHOLE, complete=True)


@virtual
async def test_the_answer_is_still_being_made_while_it_pauses() -> None:
    """Synthesis goes on as far as its buffer; nothing is lost, and the lead is back afterwards."""
    async with on_line(FakeSpeech(rate=1.3)) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.2)
        made = call.speech.made_ms
        await call.speaker.pause()
        await asyncio.sleep(1.0)
        assert call.speech.made_ms > made
        call.speaker.resume()
        assert (await answer).text == WHOLE
        assert len(call.ear.gaps) == 1, "the pause itself and no other hole"


@virtual
async def test_speech_that_is_faster_than_the_pause_waits_in_the_engine() -> None:
    async with on_line(FakeSpeech(rate=1e6)) as call:
        answer = call.say("word " * 200)
        await asyncio.sleep(1)
        await call.speaker.pause()
        await asyncio.sleep(2)
        assert call.speech.made_ms <= 13_000
        call.speaker.resume()
        assert (await answer).complete


@virtual
async def test_the_engine_is_lost_during_a_pause() -> None:
    """What it had made is said, then the line that fills in, then the clause anew."""
    async with on_line(FakeSpeech(rate=1.1, down_after_chunks=[18])) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(0.6)
        await call.speaker.pause()
        await asyncio.sleep(0.5)
        call.speaker.resume()
        assert await answer == Heard(text=WHOLE, complete=True)


@virtual
async def test_a_line_that_breaks_during_a_pause_ends_the_answer_when_it_goes_on() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        paused = await call.speaker.pause()
        call.ear.fails_after = 0
        await asyncio.sleep(0.2)
        call.speaker.resume()
        assert await answer == paused
        assert isinstance(call.first(SpeakingEnded), SpeakingEnded)


@virtual
async def test_a_pause_that_nobody_ends_ends_itself() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        await call.speaker.pause()
        assert (await answer).complete
        assert call.loop.time() - call.began == pytest.approx(1 + PAUSE_LIMIT_S + 2.7, abs=0.4)


@virtual
async def test_a_cancelled_answer_that_is_paused_leaves_nothing_running() -> None:
    async with on_line() as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(0.5)
        await call.speaker.pause()
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        assert (await call.say("nine")).complete


@virtual
async def test_never_more_than_the_lead_runs_ahead_after_going_on() -> None:
    async with on_line(delay_s=0.0) as call:
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.03)
        await call.speaker.pause()
        await asyncio.sleep(0.33)
        call.speaker.resume()
        most = 0
        while not answer.done():
            await asyncio.sleep(0.01)
            most = max(most, call.ear.buffered_ms())
        assert 300 <= most <= 400


@pytest.mark.parametrize("delay_s", [0.0, 0.06])
@pytest.mark.parametrize("after_s", [0.31, 1.36, 2.05])
def test_the_recording_holds_what_was_played_where_it_was_played(after_s: float, delay_s: float) -> None:
    """Dropped audio is not in it, repeated audio twice, the pause as long as it was."""

    @virtual
    async def check() -> None:
        async with on_line(delay_s=delay_s) as call:
            answer = call.say(*ANSWER)
            await asyncio.sleep(after_s)
            await call.speaker.pause()
            await asyncio.sleep(0.5)
            call.speaker.resume()
            await answer
            heard = [(round((at + delay_s - call.began) * 1000), ulaw) for at, ulaw in call.ear.heard if ulaw]
            recorded = [(at or 0, ulaw) for at, ulaw in call.recorded]
            assert abs(line(recorded, 6000).count(b"\xff") - line(heard, 6000).count(b"\xff")) <= 20 * 8
            assert sum(a != b for a, b in zip(line(recorded, 6000), line(heard, 6000), strict=True)) <= 40 * 8

    check()


def line(pieces: list[tuple[int, bytes]], ms: int) -> bytes:
    """The pieces laid out in time."""
    track = bytearray(b"\xff" * ms * 8)
    for at_ms, ulaw in pieces:
        track[at_ms * 8 : at_ms * 8 + len(ulaw)] = ulaw
    return bytes(track[: ms * 8])


@virtual
async def test_what_leaves_is_told_with_the_time_it_plays_and_what_was_dropped() -> None:
    async with on_line(delay_s=0.05) as call:
        await call.say("one two")
        call.sent.clear()
        began_ms = round((call.loop.time() - call.began) * 1000)
        answer = call.say(*ANSWER)
        await asyncio.sleep(1.0)
        await call.speaker.pause()
        (dropped,) = [at for ulaw, at in call.sent if not ulaw]
        assert dropped == pytest.approx(began_ms + 1000 + 100, abs=2)  # a round trip after it was asked for
        played = [(at, ulaw) for ulaw, at in call.sent if ulaw]
        first_at, _ = played[0]
        assert first_at is not None
        assert call.ear.heard[-1][0] >= call.began
        assert first_at == pytest.approx(began_ms + 30 + 5 + 100, abs=10)
        call.speaker.resume()
        await answer
