"""Answers of a recording: rows and words by what was asked, engines by when and after how much sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import numpy as np
import pytest
from virtual_time import virtual

from voicebot.audio.engines.types import EngineDown, Transcript
from voicebot.audio.recording.reader import Recording
from voicebot.audio.recording.wirelog import Message, What
from voicebot.channels.legs import Dtmf, Media, Stop
from voicebot.core import witness
from voicebot.core.conversation import FREE, Route
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.connectors.noted import NotedConnector, plain, restored
from voicebot.dialogue.generation.noted import NotedGenerator
from voicebot.dialogue.generation.request import Failure, GenerationFailed, GenerationRequest, Meter
from voicebot.proof.replay.leg import RecordedParty, VirtualLeg
from voicebot.proof.replay.outside import Answers, RecordedConnector, RecordedGenerator
from voicebot.proof.replay.pace import Pace
from voicebot.proof.replay.recorded import RecordedJudge, RecordedTranscriber
from voicebot.proof.replay.taken import TEST_CARD, kept_turns, messages_of, missing_in
from voicebot.proof.replay.voice import RecordedVoice


class Shop:
    """A connector that counts."""

    local = True
    queries: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked = 0

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked += 1
        if query == "broken":
            raise ConnectorError("down")
        return [{"n": self.asked, "on": date(2026, 1, 2), "sum": Decimal("1.20")}]


def test_values_come_back_as_they_were_and_cards_do_not() -> None:
    row = {"a": datetime(2026, 1, 2, tzinfo=UTC), "b": [date(2026, 1, 2), Decimal("0.10"), None, 3], "c": "x"}
    assert restored(plain(row)) == row
    assert plain("paid with 4242 4242 4242 4242") == "paid with [card]"
    assert plain("order 4242424242424241") == "order 4242424242424241"


@virtual
async def test_a_question_gets_the_answers_it_had_in_their_order() -> None:
    told: list[dict[str, Any]] = []
    shop = Shop()
    noted = NotedConnector(cast("Any", shop))
    with witness.told_to(told.append):
        first = await noted.rows("order", number="1")
        second = await noted.rows("order", number="1")
        with pytest.raises(ConnectorError):
            await noted.rows("broken")
    await noted.rows("order", number="9")  # nobody listens
    again = RecordedConnector(Answers(told), cast("Any", shop), 0.01)
    assert await again.rows("order", number="1") == first
    assert [await again.rows("order", number="1") for _ in range(2)] == [second, second]
    with pytest.raises(ConnectorError, match="as recorded"):
        await again.rows("broken")
    with pytest.raises(ConnectorError, match="holds no answer"):
        await again.rows("order", number="9")
    assert shop.asked == 4


STT = {
    "type": "engine.stt", "at_ms": 5000, "n": 1, "open_ms": 4.0, "fed_ms": 900,
    "answers": [
        ["partial", 300, 0.0, {"text": "where", "final": False}],
        ["peek", 700, 40.0, {"text": "where is", "final": False}],
        ["final", 900, 55.0, {"text": "where is it", "final": True, "confidence": 0.8}],
    ],
}  # fmt: skip


@virtual
async def test_an_utterance_gets_its_words_after_as_much_sound_and_time() -> None:
    clock = asyncio.get_running_loop().time
    heard: list[Transcript] = []
    ears = RecordedTranscriber([STT], lambda: 5100)
    recognition = await ears.open("call", FREE, heard.append)
    recognition.feed(bytes(16 * 200))
    await asyncio.sleep(0.1)
    assert heard == []
    recognition.feed(bytes(16 * 100))
    await asyncio.sleep(0.1)
    assert [one.text for one in heard] == ["where"]
    began = clock()
    assert (await recognition.peek()).text == "where is"
    assert clock() - began == pytest.approx(0.040)
    assert (await recognition.finish()).confidence == 0.8
    assert clock() - began == pytest.approx(0.095)


@virtual
async def test_an_utterance_that_was_never_spoken_has_no_words() -> None:
    ears = RecordedTranscriber([STT], lambda: 9000)
    recognition = await ears.open("call", FREE, lambda _: None)
    assert (await recognition.finish()).text == ""
    assert ears.unknown == 1


@virtual
async def test_engines_that_were_down_are_down_again() -> None:
    judge = RecordedJudge(
        [{"type": "engine.turn", "at_ms": 10, "took_ms": 5.0, "down": "deadline"}], lambda: 0
    )
    with pytest.raises(EngineDown):
        await judge.probability("call", b"")
    assert await judge.probability("call", b"") == 0.5
    assert judge.unknown == 1


def test_the_pace_is_the_recordings_median() -> None:
    judged = [{"type": "engine.turn", "took_ms": ms, "at_ms": 0, "probability": 1.0} for ms in (10, 20, 90)]
    pace = Pace.of([STT, *judged])
    assert (pace.judge_s, pace.answer_s, pace.open_s) == (0.020, 0.048, 0.004)
    assert Pace.of([]) == Pace()


def test_a_recorded_voice_speaks_as_long_as_the_real_one() -> None:
    from voicebot.audio.engines.types import SpokenWord
    from voicebot.audio.recording.engine_notes import spoken

    fact = spoken("Good morning.", 900, [SpokenWord("Good", 0, 400), SpokenWord("morning.", 400, 900)], 12.0)
    voice = RecordedVoice([fact])
    pcm, words = voice.speak("Good  morning.")
    assert len(pcm) == 900 * 16
    assert [(w.text, w.start_ms, w.end_ms) for w in words] == [("Good", 0, 400), ("morning.", 400, 900)]
    assert len(voice.speak("Never said.")[0]) == 2 * 340 * 16
    assert len(voice.unknown) == 1


def recording(events: list[dict[str, Any]] | None = None, wire: tuple[Message, ...] = ()) -> Recording:
    ulaw = np.full((1600, 2), 0x55, dtype=np.uint8)
    return Recording("cv", np.zeros((1600, 2), dtype=np.int16), events or [], True, ulaw, wire)


def test_what_came_comes_again_with_its_sound_and_its_time() -> None:
    wire = (
        Message(What.MEDIA, 33.5, 2, 0, 160),
        Message(What.SENT, 34.0, size=800),
        Message(What.KEY, 40.0, 3, name="7"),
        Message(What.KEY, 41.0, 4, name="?"),
        Message(What.MEDIA, 75.0, 5, 20, 160),
        Message(What.STOP, 80.0, 6),
    )
    came = messages_of(recording(wire=wire))
    assert [(at, type(m)) for at, m in came] == [
        (33.5, Media), (40.0, Dtmf), (75.0, Media), (80.0, Stop),
    ]  # fmt: skip
    assert came[0][1].ulaw == b"\x55" * 160  # type: ignore[union-attr]
    assert [p.kind for p in missing_in(recording(wire=wire))] == ["withheld"]


def test_without_messages_the_line_has_no_jitter() -> None:
    came = messages_of(recording())
    assert [at for at, _ in came] == [53.0 + 20 * n for n in range(10)]


def test_a_turn_whose_sound_was_taken_out_comes_back_as_words() -> None:
    events = [
        {"type": "unsaid", "channel": "caller", "at_ms": 800, "until_ms": 5200},
        {"type": "turn.committed", "at_ms": 5900, "turn": 2,
         "input": {"kind": "utterance", "text": "my card is [card 1]", "started_ms": 1000,
                   "last_voiced_ms": 5000}},
        {"type": "turn.committed", "at_ms": 9000, "turn": 3,
         "input": {"kind": "utterance", "text": "thanks", "started_ms": 8000, "last_voiced_ms": 8500}},
    ]  # fmt: skip
    (kept,) = kept_turns(events)
    assert kept.utterance.text == f"my card is {TEST_CARD}"
    assert (kept.started_ms, kept.ended_ms) == (1000, 5800)


@virtual
async def test_a_recorded_caller_stays_a_while_and_hangs_up() -> None:
    frame = Media("MZ", b"\x55" * 160, 0, None, 2, "inbound")
    party = RecordedParty([(53.0, frame)], stays_ms=100)
    leg = VirtualLeg(party, "cv")
    line = asyncio.create_task(leg.run())
    came = [message async for message in leg.messages()]
    await line
    assert [type(m) for m in came] == [Media] * 6 + [Stop]
    assert [m.timestamp_ms for m in came if isinstance(m, Media)] == [0, 20, 40, 60, 80, 100]


@virtual
async def test_marks_come_back_when_the_sound_before_them_was_played() -> None:
    leg = VirtualLeg(RecordedParty([], stays_ms=1000), "cv")
    line = asyncio.create_task(leg.run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    await leg.media(b"\x55" * 800)
    await leg.mark("1")
    at: list[float] = []
    async for message in leg.messages():
        if getattr(message, "name", None) == "1":
            at.append(loop.time() - began)
            await leg.close()
    line.cancel()
    assert at == [pytest.approx(0.12)]


class Model:
    """A writer that says two tokens, then fails if it is told to."""

    name, version = "test:model", "test:model@1"

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.asked = 0

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        self.asked += 1
        yield "Yes, "
        yield "it is."
        if self.fails:
            raise GenerationFailed("gone", began=True, failure=Failure.STALL)

    async def close(self) -> None:
        return


def question(text: str, conversation: str = "cv_1") -> GenerationRequest:
    return GenerationRequest(
        conversation_id=conversation, turn=3, intent="x", route=Route.SMALL, question=text, passages=()
    )


@virtual
async def test_a_model_is_asked_once_and_says_the_same_again() -> None:
    """Also how it failed; and what it was never asked it does not say."""
    told: list[dict[str, Any]] = []
    model, broken = Model(), Model(fails=True)
    with witness.told_to(told.append):
        said = [token async for token in NotedGenerator(model).stream(question("is it"))]
        with pytest.raises(GenerationFailed):
            [token async for token in NotedGenerator(broken).stream(question("why"))]
    again = RecordedGenerator(Answers(told), model)
    assert [token async for token in again.stream(question("is it", "cv_2"))] == said
    with pytest.raises(GenerationFailed) as caught:
        [token async for token in again.stream(question("why"))]
    assert (caught.value.failure, caught.value.began) == (Failure.STALL, True)
    with pytest.raises(GenerationFailed) as caught:
        [token async for token in again.stream(question("who"))]
    assert caught.value.failure is Failure.UNREACHABLE
    assert (model.asked, again.version) == (1, "test:model@1")
