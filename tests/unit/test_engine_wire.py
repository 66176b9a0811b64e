"""Clients and servers of the engine RPC, over a real socket, around made-up engines.

Invariants: nothing waits for ever (each request has a deadline, a wedged engine is told from a busy one); a
full engine refuses and is not restarted for it; concurrent calls never mix words; a place always comes back,
however its caller left; one call's backlog is bounded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from cloud_kit import spoken
from engine_kit import LetterVoice, LevelEngine, serving_engine
from twilio_kit import eventually

from voicebot.audio.engines import rpc
from voicebot.audio.engines.client import Deadlines, EngineClient, GrpcSpeech, GrpcTranscriber, GrpcTurnJudge
from voicebot.audio.engines.server import STUCK_S
from voicebot.audio.engines.types import EngineDown, EngineOverloaded, Transcript, Word
from voicebot.core.conversation import FREE

SHORT = Deadlines(connect_s=20, open_s=20, answer_s=0.2, first_audio_s=0.2, next_audio_s=0.2, judge_s=0.2)
PATIENTLY = Deadlines(connect_s=20, open_s=20, answer_s=20, first_audio_s=20, next_audio_s=20, judge_s=20)


def ignore(partial: Transcript) -> None: ...


async def until_free(engine: LevelEngine, places: int = 1) -> None:
    async with asyncio.timeout(20):
        while engine.open_now > engine.places - places:
            await asyncio.sleep(0.01)


async def test_partials_a_peek_and_the_final_come_in_order() -> None:
    partials: list[str] = []
    async with serving_engine(LevelEngine()) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, lambda t: partials.append(t.text))
        recognition.feed(spoken(4))
        assert (await recognition.peek()).text == "four"
        recognition.feed(spoken(7))
        final = await recognition.finish()
        assert (final.text, final.final, final.audio_ms) == ("four seven", True, 200)
        assert partials[0] == "four"
        with pytest.raises(EngineDown, match="closed"):
            await recognition.finish()
        await recognition.cancel()
        await transcriber.close()


async def test_concurrent_calls_never_mix_words() -> None:
    engine = LevelEngine(places=9)
    async with serving_engine(engine) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)

        async def call(number: int) -> None:
            partials: list[str] = []
            recognition = await transcriber.open(f"CA{number}", FREE, lambda t: partials.append(t.text))
            for _ in range(5):
                recognition.feed(spoken(number))
                await recognition.peek()
            words = set(" ".join([*partials, (await recognition.finish()).text]).split())
            assert len(words) == 1, words

        await asyncio.gather(*(call(n) for n in range(1, 10)))
        await until_free(engine, 9)
        await transcriber.close()


async def test_every_place_taken_is_overload_and_a_place_that_comes_free_is_used() -> None:
    engine = LevelEngine(places=2)
    async with serving_engine(engine) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        held = [await transcriber.open(f"CA{n}", FREE, ignore) for n in range(2)]
        with pytest.raises(EngineOverloaded):
            await transcriber.open("CA9", FREE, ignore)
        assert await transcriber.healthy(20), "full is not broken"
        await held[0].cancel()
        await until_free(engine)
        again = await transcriber.open("CA9", FREE, ignore)
        again.feed(spoken(5))
        assert (await again.finish()).text == "five"
        await held[1].cancel()
        await transcriber.close()


async def test_a_caller_who_vanishes_gives_the_place_back() -> None:
    engine = LevelEngine(places=1)
    async with serving_engine(engine) as target:
        gone = GrpcTranscriber(target, deadlines=PATIENTLY)
        await gone.open("CA1", FREE, ignore)
        await gone.close()
        await until_free(engine)


@pytest.mark.parametrize("fed", [False, True])
async def test_a_cancelled_utterance_gives_the_place_back(fed: bool) -> None:
    engine = LevelEngine(places=1)
    async with serving_engine(engine) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        for _ in range(3):
            recognition = await transcriber.open("CA1", FREE, ignore)
            if fed:
                recognition.feed(spoken(1, 2, 3))
            await recognition.cancel()
            await until_free(engine)
        await transcriber.close()


async def test_a_caller_who_gives_up_while_a_place_is_opened_gives_it_back() -> None:
    engine = LevelEngine(places=1)
    engine.may_open.clear()
    async with serving_engine(engine) as target:
        hasty = GrpcTranscriber(target, deadlines=Deadlines(connect_s=20, open_s=0.05))
        while not engine.opening:  # the request may reach the engine later than that
            with pytest.raises(EngineDown, match="deadline"):
                await hasty.open("CA1", FREE, ignore)
        engine.may_open.set()
        await eventually(lambda: engine.opened > 0)
        await until_free(engine)
        await hasty.close()


async def test_ten_minutes_in_one_utterance_are_cut_to_one() -> None:
    async with serving_engine(LevelEngine()) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, ignore)
        for second in range(600):
            recognition.feed(bytes(16000))
            if second % 10 == 9:
                await recognition.peek()  # behind the audio: nothing is in the line any more
        assert (await recognition.finish()).audio_ms == 60_000
        await transcriber.close()


async def test_a_host_that_stops_reading_costs_the_utterance_not_the_memory() -> None:
    async with serving_engine(LevelEngine()) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, ignore)
        for _ in range(600):
            recognition.feed(bytes(16000))  # without giving the writer a turn
        with pytest.raises(EngineDown, match="stopped reading"):
            await recognition.finish()
        await transcriber.close()


async def test_a_wedged_recogniser_ends_in_a_deadline() -> None:
    engine = LevelEngine()
    async with serving_engine(engine) as target:
        transcriber = GrpcTranscriber(target, deadlines=SHORT)
        recognition = await transcriber.open("CA1", FREE, ignore)
        engine.hold.set()
        recognition.feed(spoken(1))
        with pytest.raises(EngineDown, match="deadline"):
            await recognition.peek()
        with pytest.raises(EngineDown, match="deadline"):
            await recognition.finish()
        await recognition.cancel()
        await transcriber.close()


async def test_a_wedged_engine_is_told_from_a_busy_one() -> None:
    now = [0.0]
    engine = LevelEngine()
    async with serving_engine(engine, clock=lambda: now[0]) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, ignore)
        engine.hold.set()
        recognition.feed(spoken(1))
        peek = asyncio.create_task(recognition.peek())
        await eventually(lambda: engine.held > 0)
        now[0] = STUCK_S - 1
        assert await transcriber.healthy(20)
        now[0] = STUCK_S + 1
        assert not await transcriber.healthy(20)
        engine.hold.clear()
        assert (await peek).text == "one"
        assert await transcriber.healthy(20)
        await recognition.cancel()
        await transcriber.close()


async def test_speech_streams_words_on_the_audios_own_axis() -> None:
    async with serving_engine(LetterVoice()) as target:
        speech = GrpcSpeech(target, "letters/1", deadlines=PATIENTLY)
        chunks = [chunk async for chunk in speech.say("CA1", "one three")]
        assert [w.text for c in chunks for w in c.words] == ["one", "three"]
        assert sum(len(c.audio) for c in chunks) == 8 * 10 * 8 * 2
        assert chunks[-1].words[-1].end_ms == 80
        await speech.close()


async def test_a_wedged_voice_ends_in_a_deadline_also_in_the_middle() -> None:
    voice = LetterVoice()
    async with serving_engine(voice) as target:
        speech = GrpcSpeech(target, "letters/1", deadlines=SHORT)
        voice.hold.set()
        with pytest.raises(EngineDown, match="deadline"):
            _ = [chunk async for chunk in speech.say("CA1", "never said")]
        await speech.close()


async def test_a_listener_who_leaves_stops_the_voice() -> None:
    voice = LetterVoice(word_s=0.02)  # the cancellation travels meanwhile
    async with serving_engine(voice) as target:
        speech = GrpcSpeech(target, "letters/1", deadlines=PATIENTLY)
        voice.hold.set()
        saying = speech.say("CA1", "a " * 990)
        first = asyncio.create_task(anext(saying))
        await eventually(lambda: voice.held > 0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        voice.hold.clear()
        # The thread is free again for the next clause at once, not after 990 words.
        assert [c async for c in speech.say("CA2", "next")]
        assert voice.emitted < 500
        await speech.close()


@dataclass
class WedgedJudge:
    """Answers with the length of the audio, or not at all."""

    threads: int = 1
    kind: str = "judge"
    model: str = "judge"
    notes: tuple[str, ...] = ()
    last_bytes: int = 0

    def warm_up(self) -> None: ...

    def probability(self, pcm16_8k: bytes) -> float:
        self.last_bytes = len(pcm16_8k)
        if not pcm16_8k:
            raise RuntimeError("a bug in the engine")
        return 0.75


async def test_the_judge_reads_eight_seconds_and_its_bug_is_one_lost_request() -> None:
    judge = WedgedJudge()
    async with serving_engine(judge) as target:
        client = GrpcTurnJudge(target, deadlines=PATIENTLY)
        assert await client.probability("CA1", bytes(20 * 16000)) == 0.75
        assert judge.last_bytes == 8 * 16000
        with pytest.raises(EngineDown, match="internal"):
            await client.probability("CA1", b"")
        assert await client.probability("CA1", bytes(16001)) == 0.75
        assert judge.last_bytes == 16000
        await client.close()


async def test_nobody_there_is_down_at_once_for_all_three() -> None:
    target = "unix:/tmp/vb-nobody-here.sock"
    transcriber, speech, judge = GrpcTranscriber(target), GrpcSpeech(target, "v"), GrpcTurnJudge(target)
    with pytest.raises(EngineDown, match="unavailable"):
        await transcriber.open("CA1", FREE, ignore)
    with pytest.raises(EngineDown, match="unavailable"):
        await anext(speech.say("CA1", "hello"))
    with pytest.raises(EngineDown, match="unavailable"):
        await judge.probability("CA1", bytes(160))
    assert not await transcriber.healthy(0.1)
    for client in (transcriber, speech, judge):
        await client.close()


@pytest.mark.parametrize("target", ["nowhere", "unix:/" + "x" * 120, "host:", ":50051", "host:port"])
def test_an_address_that_cannot_work_is_refused_when_the_client_is_made(target: str) -> None:
    with pytest.raises(ValueError, match=r"address|socket path"):
        EngineClient(target, "stt")


async def test_a_listeners_bug_does_not_cost_the_utterance() -> None:
    def broken(partial: Transcript) -> None:
        raise RuntimeError("a bug in the listener")

    async with serving_engine(LevelEngine()) as target:
        transcriber = GrpcTranscriber(target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, broken)
        recognition.feed(spoken(3))
        assert (await recognition.finish()).text == "three"
        await transcriber.close()


def test_a_transcript_arrives_as_it_was_sent() -> None:
    """Every field, and what was not known stays unknown."""
    whole = Transcript(
        "where is",
        final=True,
        words=(Word("where", 0, 200, 0.5), Word("is", 200, 300)),
        confidence=0.5,
        alternatives=("were is",),
        avg_logprob=-0.25,
        no_speech_prob=0.125,
        compression_ratio=1.5,
        audio_ms=900,
        standing=2,
        dropped="loop",
        language="de",
        language_prob=0.75,
    )
    bare = Transcript("", final=False)
    for transcript in (whole, bare):
        assert rpc.transcript_of(rpc.transcript_to_pb(transcript)) == transcript
