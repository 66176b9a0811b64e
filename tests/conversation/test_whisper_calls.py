"""One model for all calls: to each their own words, the urgent first, and a failure stays where it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog

from tests.twilio_kit import eventually
from tests.whisper_kit import VOCABULARY, ToneReader, packets, silence, spoken
from voicebot.audio.engines.types import EngineDown, Transcript
from voicebot.audio.engines.whisper.transcriber import WhisperRecognition, WhisperTranscriber
from voicebot.audio.engines.work import PlacesTaken, Workshop
from voicebot.core.conversation import FREE


class Watched(Workshop):
    """Knows how many decodes are not back yet."""

    under_way = 0

    async def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.under_way += 1
        try:
            return await super().run(work, *args, **kwargs)
        finally:
            self.under_way -= 1


@pytest.fixture
async def workshop() -> AsyncIterator[Watched]:
    made = Watched("whisper", 2, 64)
    yield made
    made.close()


def stopped() -> float:
    """A clock by which nothing takes long, however busy the machine."""
    return 0.0


async def _settle(workshop: Watched) -> None:
    """Lets decodes that were started come back, and what they cause."""
    idle = 0
    async with asyncio.timeout(30):
        while idle < 5:  # the next decode is under way within so many turns of the loop
            await asyncio.sleep(0.001)
            idle = 0 if workshop.under_way else idle + 1


async def _begun(reader: ToneReader) -> None:
    """What was asked just now is in the line, and the model reads."""
    await asyncio.sleep(0.001)
    await eventually(lambda: len(reader.batches) > 0)


async def _say(recognition: WhisperRecognition, pcm: bytes) -> None:
    for packet in packets(pcm):
        recognition.feed(packet)
        await asyncio.sleep(0.001)


async def test_the_final_is_there_when_the_turn_ends(workshop: Watched) -> None:
    """Peek and finish after the first silence ask the model nothing."""
    reader, partials = ToneReader(), list[Transcript]()
    transcriber = WhisperTranscriber(reader, workshop, clock=stopped)
    recognition = await transcriber.open("one", FREE, partials.append)
    for packet in packets(spoken("where is my order please", trail_ms=160)):
        recognition.feed(packet)
        await _settle(workshop)
    asked = len(reader.batches)
    peeked = await recognition.peek()
    recognition.feed(silence(400))
    final = await recognition.finish()
    assert peeked.text == final.text == "where is my order please"
    assert (peeked.final, final.final) == (False, True)
    assert len(reader.batches) == asked
    assert len(partials) >= 2
    assert transcriber.report().counts["answered_at_once"] == 2


async def test_a_finish_in_the_middle_of_a_word_waits_for_one_decode(workshop: Watched) -> None:
    reader = ToneReader()
    recognition = await WhisperTranscriber(reader, workshop).open("one", FREE, lambda _: None)
    recognition.feed(spoken("where is my order"))
    assert (await recognition.finish()).text == "where is my order"


async def test_a_finish_during_a_partial_is_read_as_an_end(workshop: Watched) -> None:
    """Not as one more partial: freely, in a longer window, and once."""
    reader = ToneReader(hold=threading.Event())
    recognition = await WhisperTranscriber(reader, workshop).open("one", FREE, lambda _: None)
    recognition.feed(spoken("where is my"))
    await _begun(reader)
    recognition.feed(spoken("order please", lead_ms=0))
    finishing = asyncio.create_task(recognition.finish())
    await asyncio.sleep(0.01)
    assert reader.hold is not None
    reader.hold.set()
    assert (await finishing).text == "where is my order please"
    assert [(w.ended, w.standing) for w in reader.windows] == [(False, ()), (True, ())]


async def test_eight_calls_at_once_never_get_each_others_words(workshop: Watched) -> None:
    reader = ToneReader(threads=2, most_rows=4)
    transcriber = WhisperTranscriber(reader, workshop, clock=stopped)

    async def call(number: int) -> None:
        words = [VOCABULARY[(number * 5 + n) % len(VOCABULARY)] for n in range(6)]
        heard: list[Transcript] = []
        recognition = await transcriber.open(f"call {number}", FREE, heard.append)
        await _say(recognition, spoken(" ".join(words), trail_ms=120))
        final = await recognition.finish()
        assert final.text == " ".join(words)
        allowed = set(words) | {w[: max(1, len(w) // 2)] for w in words}
        assert {w.text for t in heard for w in t.words} <= allowed

    await asyncio.gather(*(call(n) for n in range(8)))
    assert transcriber.report().utterances == 0


async def test_a_final_overtakes_the_partials_of_others(workshop: Watched) -> None:
    reader = ToneReader(hold=threading.Event())
    transcriber = WhisperTranscriber(reader, workshop)
    opened = [await transcriber.open(f"call {n}", FREE, lambda _: None) for n in range(5)]
    for nth, recognition in enumerate(opened):
        recognition.feed(spoken(VOCABULARY[nth] + " lamps"))
    finishing = asyncio.create_task(opened[4].finish())
    await _begun(reader)
    assert len(reader.batches) == 1  # the first partial is being read, the rest waits
    assert reader.hold is not None
    reader.hold.set()
    assert (await finishing).text == f"{VOCABULARY[4]} lamps"
    assert int(abs(reader.batches[1][0].pcm).max()) == 2000 + 20 * VOCABULARY.index("lamps")
    assert reader.batches[1][0].pcm[2400:2408].max() == 2000 + 20 * 4
    for recognition in opened[:4]:
        await recognition.cancel()


async def test_a_partial_is_made_of_the_newest_audio_or_not_at_all(workshop: Watched) -> None:
    """While the model is busy partials do not pile up: one is made, of everything said by then."""
    reader = ToneReader(hold=threading.Event())
    recognition = await WhisperTranscriber(reader, workshop).open("one", FREE, lambda _: None)
    pcm = spoken("can you tell me where my order is please")
    for packet in packets(pcm):
        recognition.feed(packet)
        await asyncio.sleep(0)
    await _begun(reader)
    assert len(reader.batches) == 1
    assert reader.hold is not None
    reader.hold.set()
    await _settle(workshop)
    assert len(reader.batches) == 2
    assert reader.windows[-1].pcm.size == len(pcm) // 2
    await recognition.cancel()


async def test_a_decode_that_fails_costs_its_utterance_only(workshop: Watched) -> None:
    reader = ToneReader()
    transcriber = WhisperTranscriber(reader, workshop)
    broken = await transcriber.open("one", FREE, lambda _: None)
    reader.fail = True
    broken.feed(spoken("where is my order"))
    with structlog.testing.capture_logs() as logs, pytest.raises(EngineDown):
        await broken.finish()
    assert [entry["event"] for entry in logs] == ["whisper_decode_failed"]
    reader.fail = False
    sound = await transcriber.open("one", FREE, lambda _: None)
    sound.feed(spoken("opening hours"))
    assert (await sound.finish()).text == "opening hours"
    assert transcriber.report().counts["failed"] == 1


async def test_a_host_that_is_full_says_so(workshop: Watched) -> None:
    transcriber = WhisperTranscriber(ToneReader(), workshop, places=2)
    first = await transcriber.open("one", FREE, lambda _: None)
    await transcriber.open("two", FREE, lambda _: None)
    with pytest.raises(PlacesTaken):
        await transcriber.open("three", FREE, lambda _: None)
    assert transcriber.report().counts["refused"] == 1
    await first.cancel()
    await transcriber.open("three", FREE, lambda _: None)


async def test_a_host_whose_callers_wait_takes_no_more(workshop: Watched) -> None:
    now = [0.0]
    reader = ToneReader(hold=threading.Event())
    transcriber = WhisperTranscriber(reader, workshop, clock=lambda: now[0])
    opened = [await transcriber.open(f"call {n}", FREE, lambda _: None) for n in range(2)]
    waits = []
    for recognition in opened:
        recognition.feed(spoken("lamps"))
        waits.append(asyncio.create_task(recognition.finish()))
    await _begun(reader)
    now[0] = 5.0
    with pytest.raises(PlacesTaken, match="waiting"):
        await transcriber.open("late", FREE, lambda _: None)
    assert reader.hold is not None
    reader.hold.set()
    await asyncio.gather(*waits)
    await transcriber.open("late", FREE, lambda _: None)
    assert transcriber.report().load > 0.5


async def test_a_cancelled_utterance_says_nothing_more_and_frees_its_place(workshop: Watched) -> None:
    reader, partials = ToneReader(hold=threading.Event()), list[Transcript]()
    transcriber = WhisperTranscriber(reader, workshop, places=1)
    recognition = await transcriber.open("one", FREE, partials.append)
    recognition.feed(spoken("where is my order"))
    asking = asyncio.create_task(recognition.peek())
    await _begun(reader)
    await recognition.cancel()
    await recognition.cancel()
    assert reader.hold is not None
    reader.hold.set()
    with pytest.raises(EngineDown):
        await asking
    await _settle(workshop)
    assert partials == []
    recognition.feed(spoken("opening hours"))
    with pytest.raises(EngineDown):
        await recognition.peek()
    await transcriber.open("two", FREE, lambda _: None)


async def test_by_the_audio_clock_the_same_audio_gives_the_same_transcripts(workshop: Watched) -> None:
    """However it is packed, however slow the model, and however many threads there are."""
    text = "can you tell me the opening hours of saturday i would like to speak with a person about lamps"

    async def once(
        packet_ms: int, threads: int, slow: bool
    ) -> tuple[list[Transcript], Transcript, list[int]]:
        reader, partials = ToneReader(threads=threads, most_rows=4), list[Transcript]()
        transcriber = WhisperTranscriber(reader, workshop, audio_clock=True)
        recognition = await transcriber.open("one", FREE, partials.append)
        for packet in packets(spoken(text, trail_ms=200), packet_ms):
            recognition.feed(packet)
            await asyncio.sleep(0.0 if slow else 0.001)
        final = await recognition.finish()
        return partials, final, [w.pcm.size for w in reader.windows]

    first = await once(80, 1, slow=False)
    assert first[1].text == text
    assert len(first[0]) > 10
    for packet_ms, threads, slow in ((80, 1, True), (100, 2, False), (20, 2, True), (400, 1, True)):
        partials, final, sizes = await once(packet_ms, threads, slow)
        assert [p.text for p in partials] == [p.text for p in first[0]]
        assert [p.standing for p in partials] == [p.standing for p in first[0]]
        assert (final.text, final.words, sizes) == (first[1].text, first[1].words, first[2])
