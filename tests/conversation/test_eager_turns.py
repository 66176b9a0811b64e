"""A pause offers the words so far once; going on takes them back; nothing is decoded twice for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sound_fakes import QUIET, TONE, FakeEars, FakeJudge, ToneVoice
from virtual_time import virtual

from voicebot.audio.hearing.endpointing import DEFAULT_RULES
from voicebot.audio.hearing.events import EagerTurn, EagerVoid, HearingEvent, TurnEnded
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.turn import EAGER_MS, OFFERS
from voicebot.core.conversation import Expects

WORDS = "when are you open"
UNSURE = 0.05


def finished(asked: int) -> float:
    return 0.95


def unsure(asked: int) -> float:
    return UNSURE


@dataclass
class Line:
    """A caller on a perfect line, and what the listener made of it."""

    listener: Listener
    ears: FakeEars
    judge: FakeJudge
    told: list[HearingEvent]
    ms: int = 0
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def frames(self, frame: bytes, ms: int) -> None:
        for _ in range(ms // 20):
            await asyncio.sleep(self.began + (self.ms + 20) / 1000 - asyncio.get_running_loop().time())
            self.listener.feed(frame, self.ms)
            self.ms += 20

    async def speaks(self, ms: int = 1000) -> None:
        await self.frames(TONE, ms)

    async def is_quiet(self, ms: int) -> None:
        await self.frames(QUIET, ms)

    def all(self, *kinds: type[HearingEvent]) -> list[HearingEvent]:
        return [event for event in self.told if isinstance(event, kinds)]

    def offers(self) -> list[EagerTurn]:
        return [event for event in self.told if isinstance(event, EagerTurn)]


@asynccontextmanager
async def on_line(
    *texts: str,
    verdict: Callable[[int], float] = finished,
    decode_s: float = 0.02,
    expects: Expects | None = None,
) -> AsyncIterator[Line]:
    told: list[HearingEvent] = []
    ears, judge = FakeEars(list(texts), decode_s=decode_s), FakeJudge(verdict)
    listener = Listener(
        "call",
        vad=ToneVoice(),
        transcriber=ears,
        judge=judge,
        emit=told.append,
        clock=asyncio.get_running_loop().time,
        silence_s=60.0,
    )
    if expects is not None:
        listener.expect(expects)
    yield Line(listener, ears, judge, told)
    await listener.close()


@virtual
async def test_the_words_so_far_are_offered_long_before_the_turn_ends() -> None:
    """At about 100 ms of silence; again when the end is likely; then the turn, with the same words."""
    async with on_line(WORDS) as line:
        await line.speaks(1000)
        await line.is_quiet(1000)
        offers = line.offers()
        first, last = offers[0], offers[-1]
        (ended,) = line.all(TurnEnded)
        assert isinstance(ended, TurnEnded)
        assert 1000 + EAGER_MS <= first.at_ms <= 1000 + EAGER_MS + 60
        assert last.likely
        assert len(offers) <= 2
        assert last.at_ms < (ended.timings.turn_ended_ms or 0)
        assert first.utterance.text == last.utterance.text == ended.utterance.text == WORDS
        assert first.utterance.last_voiced_ms == ended.utterance.last_voiced_ms
        assert line.all(EagerVoid) == []
        assert ended.timings.vad_ms is not None
        assert 1000 <= ended.timings.vad_ms <= 1080


@virtual
async def test_one_decode_serves_the_offer_and_the_endpointing() -> None:
    """However long the pause grows."""
    async with on_line(WORDS, verdict=unsure) as line:
        await line.speaks(1000)
        await line.is_quiet(1000)
        (recognition,) = line.ears.opened
        assert recognition.peeks == 1
        assert len(line.offers()) == 1


@virtual
async def test_a_pause_whose_words_mean_nothing_lasts_longer() -> None:
    """The dialogue says so of the words that were offered; of other words it is not believed."""
    ended: dict[str, int] = {}
    for told in ("", "other words", WORDS):
        async with on_line(WORDS) as line:
            await line.speaks(1000)
            await line.is_quiet(200)
            line.listener.understood(told, False)
            await line.is_quiet(1500)
            (turn,) = line.all(TurnEnded)
            assert isinstance(turn, TurnEnded)
            ended[told] = turn.timings.turn_ended_ms or 0
    assert ended[""] == ended["other words"] < 1600
    assert 1000 + DEFAULT_RULES.not_understood <= ended[WORDS] <= 1000 + DEFAULT_RULES.not_understood + 100


@virtual
async def test_what_was_not_understood_before_counts_no_more_once_they_go_on() -> None:
    async with on_line(WORDS) as line:
        await line.speaks(1000)
        await line.is_quiet(200)
        line.listener.understood(WORDS, False)
        await line.is_quiet(400)
        assert line.all(TurnEnded) == []
        await line.speaks(1000)
        await line.is_quiet(600)
        (turn,) = line.all(TurnEnded)
        assert isinstance(turn, TurnEnded)
        assert 2600 < (turn.timings.turn_ended_ms or 0) < 3200


@virtual
async def test_going_on_takes_the_offer_back_and_the_next_pause_offers_anew() -> None:
    async with on_line(WORDS, verdict=unsure) as line:
        await line.speaks(600)
        await line.is_quiet(300)
        await line.speaks(600)
        await line.is_quiet(300)
        kinds = [type(event) for event in line.told if isinstance(event, EagerTurn | EagerVoid)]
        assert kinds == [EagerTurn, EagerVoid, EagerTurn]
        assert line.ears.opened[0].peeks == 2


@virtual
async def test_a_pause_that_is_over_before_its_words_are_there_offers_nothing() -> None:
    async with on_line(WORDS, verdict=unsure, decode_s=0.2) as line:
        await line.speaks(600)
        await line.is_quiet(200)
        await line.speaks(600)
        assert line.all(EagerTurn, EagerVoid) == []


@virtual
async def test_a_pause_inside_a_word_is_none() -> None:
    async with on_line(WORDS) as line:
        await line.speaks(600)
        await line.is_quiet(60)
        await line.speaks(600)
        assert line.offers() == []


@virtual
async def test_who_pauses_all_the_time_is_planned_for_only_so_often() -> None:
    async with on_line(WORDS, verdict=unsure) as line:
        for _ in range(OFFERS + 3):
            await line.speaks(400)
            await line.is_quiet(240)
        assert len(line.offers()) == OFFERS
        assert len(line.all(EagerVoid)) == OFFERS


@virtual
async def test_no_words_no_offer() -> None:
    async with on_line("", verdict=unsure) as line:
        await line.speaks(600)
        await line.is_quiet(400)
        assert line.offers() == []


@virtual
async def test_what_proves_an_answer_whole_makes_its_end_likely_at_once() -> None:
    """Six digits of six need no verdict on how they sound."""
    async with on_line(
        "four two seven one zero three", verdict=finished, expects=Expects(kind="digits", length=6)
    ) as line:
        await line.speaks(1000)
        await line.is_quiet(600)
        assert line.offers()[-1].likely


@virtual
async def test_an_offer_that_becomes_nothing_is_taken_back() -> None:
    """A short sound in which the recogniser heard a word and then none: what was planned for it must go."""
    async with on_line(WORDS) as line:
        line.ears.so_far = lambda fed, text: "" if line.ears.opened[0].finished else text
        await line.speaks(100)
        await line.is_quiet(1000)
        kinds = [type(event) for event in line.all(EagerTurn, EagerVoid, TurnEnded)]
        assert EagerTurn in kinds
        assert kinds[-1] is EagerVoid
