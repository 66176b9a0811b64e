"""The whole path with real weights: a host, gRPC, recorded callers; partials, finals, gates, failures.

The weights are the demo's (``models/demo-whisper``), which read synthetic voices. There are sockets and a
process, so the clock is the wall's.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from scripts.bench.stt import errors, words
from tests.whisper_kit import packets, silence
from voicebot.audio.engines.choice import EngineChoice, EngineSpec
from voicebot.audio.engines.client import Deadlines, GrpcTranscriber
from voicebot.audio.engines.hosts import EngineHosts, WatchPolicy
from voicebot.audio.engines.types import EngineDown, Transcript
from voicebot.audio.engines.whisper.model import WhisperModel, Window
from voicebot.core.conversation import FREE, Expects
from voicebot.core.documents import parse_yaml

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "demo-whisper"
LINES = ROOT / "recordings" / "lines"

PATIENTLY = Deadlines(connect_s=20, open_s=20, answer_s=60)
UNHURRIED = WatchPolicy(ping_deadline_s=20.0, hung_after_s=60.0)
"""The machine may stall; how long a request or a ping may take is not what is tested."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _spoken(voice: str, name: str) -> bytes:
    """A recorded line: 300 ms of pre-roll, the words, 300 ms of silence."""
    pcm, rate = soundfile.read(LINES / voice / f"{name}.wav", dtype="int16")
    assert rate == 8000
    return silence(300) + pcm.tobytes() + silence(300)


def _words(voice: str, name: str) -> str:
    """What is said in it, as the model writes it."""
    entries = parse_yaml((LINES / "lines.yaml").read_text())
    text = next(e["text"] for e in entries if (e["voice"], e["name"]) == (voice, name))
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EngineHosts]:
    espeak = EngineSpec("tts", "espeak", "en-us", "espeak/en-us/175")
    choice = EngineChoice(
        EngineSpec("stt", "whisper", str(MODEL)), espeak, EngineSpec("turn", "espeak", "en-us")
    )
    made = EngineHosts(choice, tmp_path_factory.mktemp("sockets"), policy=UNHURRIED)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def transcriber(hosts: EngineHosts) -> AsyncIterator[GrpcTranscriber]:
    made = GrpcTranscriber(hosts.targets.stt, deadlines=PATIENTLY)
    yield made
    await made.close()


async def _say(
    transcriber: GrpcTranscriber,
    call: str,
    pcm: bytes,
    *,
    expects: Expects = FREE,
    faster: float = 4.0,
) -> tuple[list[Transcript], Transcript]:
    """Says it in packets of 80 ms, ``faster`` than a person; what came meanwhile, and the final."""
    partials: list[Transcript] = []
    recognition = await transcriber.open(call, expects, partials.append)
    for packet in packets(pcm):
        recognition.feed(packet)
        await asyncio.sleep(0.08 / faster)
    return partials, await recognition.finish()


@pytest.mark.parametrize(
    ("voice", "name"), [("rms", "where_is_order"), ("slt", "person"), ("awb", "returns")]
)
async def test_partials_grow_and_the_final_has_its_signals(
    transcriber: GrpcTranscriber, voice: str, name: str
) -> None:
    partials, final = await _say(transcriber, name, _spoken(voice, name))
    assert final.final
    assert len(partials) >= 2
    assert len(partials[0].words) < len(final.words)
    assert all(one.text != other.text for one, other in pairwise(partials))
    for partial in partials:
        assert not partial.final
        assert 0 <= partial.standing <= len(partial.words)
    starts = [w.start_ms for w in final.words]
    assert starts == sorted(starts)
    assert final.words[-1].end_ms <= final.audio_ms
    assert all(w.confidence is not None for w in final.words)
    assert final.confidence is not None
    assert final.avg_logprob is not None
    assert final.no_speech_prob is not None
    assert final.no_speech_prob < 0.5
    assert final.compression_ratio is not None


async def test_what_the_model_can_read_comes_out_right(transcriber: GrpcTranscriber) -> None:
    """Lines that one read of the whole gets right are right when they are streamed."""
    model = WhisperModel(MODEL, device="cpu")
    names = ("opening_hours_b", "returns", "person", "shipping", "order_427103", "warranty", "affirm")
    readable = [
        name
        for name in names
        if words(model.read([Window(np.frombuffer(_spoken("rms", name), np.int16))])[0].text)
        == _words("rms", name).split()
    ]
    assert len(readable) >= 3
    for name in readable:
        _, final = await _say(transcriber, name, _spoken("rms", name), faster=12.0)
        assert words(final.text) == _words("rms", name).split()


async def test_streaming_costs_no_words(transcriber: GrpcTranscriber) -> None:
    """Partials, short windows and early tails: no more errors than one read of each whole line makes."""
    model = WhisperModel(MODEL, device="cpu")
    streamed = at_once = said = 0
    for voice, name in (("rms", "returns"), ("slt", "person"), ("awb", "opening_hours"), ("rms", "person_b")):
        pcm, text = _spoken(voice, name), _words(voice, name).split()
        _, final = await _say(transcriber, name, pcm, faster=12.0)
        whole = model.read([Window(np.frombuffer(pcm, np.int16))])[0].text
        streamed += errors(text, words(final.text))
        at_once += errors(text, words(whole))
        said += len(text)
    assert streamed <= at_once + said * 0.1


async def test_digits_come_with_other_readings(transcriber: GrpcTranscriber) -> None:
    _, final = await _say(
        transcriber, "digits", _spoken("rms", "order_427103"), expects=Expects(kind="digits", length=6)
    )
    assert final.text
    assert final.alternatives
    assert final.text not in final.alternatives


async def test_eight_calls_at_once_get_their_own_words(transcriber: GrpcTranscriber) -> None:
    names = (
        "returns", "person", "opening_hours_b", "where_is_order", "shipping", "warranty", "order_427103",
        "postcode_94107",
    )  # fmt: skip
    said = {name: _words("rms", name).split() for name in names}

    async def call(number: int, name: str) -> None:
        await asyncio.sleep(number * 0.04)
        _, final = await _say(transcriber, f"call {number}", _spoken("rms", name), faster=2.0)
        distances = {other: errors(text, words(final.text)) / len(text) for other, text in said.items()}
        assert min(distances, key=lambda other: distances[other]) == name

    await asyncio.gather(*(call(*numbered) for numbered in enumerate(names)))


async def test_noise_is_a_clean_failure_with_its_signals(transcriber: GrpcTranscriber) -> None:
    noise = np.random.default_rng(1).normal(0, 400, 16_000).astype(np.int16).tobytes()
    _, final = await _say(transcriber, "noise", noise, faster=16.0)
    assert final.text == ""
    assert final.words == ()
    assert final.no_speech_prob is not None
    assert final.no_speech_prob > 0.5


@pytest.mark.parametrize("pcm", [b"", b"\x01", silence(1000)])
async def test_nothing_said_is_an_empty_final(transcriber: GrpcTranscriber, pcm: bytes) -> None:
    _, final = await _say(transcriber, "silent", pcm, faster=100.0)
    assert (final.text, final.final, final.no_speech_prob) == ("", True, 1.0)


async def test_the_host_says_how_busy_it_is(transcriber: GrpcTranscriber) -> None:
    recognition = await transcriber.open("one", FREE, lambda _: None)
    recognition.feed(_spoken("rms", "returns"))
    await recognition.peek()
    described = await transcriber.describe()
    assert described.kind == "whisper"
    assert described.model.startswith("demo-whisper, int8")
    assert described.open == 1
    assert 0 < described.load <= 1
    assert described.counts["tails"] + described.counts["partials"] >= 1
    await recognition.cancel()


async def test_a_host_killed_in_the_middle_of_a_word_is_down_and_the_next_utterance_works(
    hosts: EngineHosts, transcriber: GrpcTranscriber
) -> None:
    pcm = _spoken("rms", "returns")
    recognition = await transcriber.open("one", FREE, lambda _: None)
    for packet in packets(pcm)[:15]:
        recognition.feed(packet)
    os.kill(hosts.pids()["stt"], signal.SIGKILL)
    with pytest.raises(EngineDown):
        await recognition.finish()
    async with asyncio.timeout(120):
        while True:
            try:
                _, final = await _say(transcriber, "one", pcm, faster=16.0)
                break
            except EngineDown:
                await asyncio.sleep(0.1)  # until its supervisor has put a new one in its place
    assert final.final
    assert final.text
    assert hosts.restarts()["stt"] == 1
