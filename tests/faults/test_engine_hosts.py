"""Engine hosts under kill -9, SIGSTOP, overload and bad input: a call loses one request, never the server.

Invariants: a request that a host takes down with it ends in ``EngineDown``, not in silence; the host is
replaced at the same address and the next request works; what cannot be started says why at start.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import cloud_kit
import numpy as np
import psutil
import pytest
from engine_kit import hosting
from twilio_kit import eventually

from scripts.bench.random_whisper import SHAPES
from scripts.bench.random_whisper import make as make_whisper
from scripts.make_random_models import make_voice
from voicebot.audio.engines.client import Deadlines, EngineClient, GrpcSpeech, GrpcTranscriber
from voicebot.audio.engines.hosts import WatchPolicy
from voicebot.audio.engines.types import EngineDown, EngineUnavailable, Transcript
from voicebot.core.conversation import FREE, Expects

PATIENTLY = Deadlines(connect_s=20, open_s=20, answer_s=60, first_audio_s=20, next_audio_s=20)
"""For requests whose duration is not what is tested: the machine may be busy."""

DIGITS = Expects(kind="digits", length=6)


def ignore(partial: Transcript) -> None: ...


def there(path: str) -> bool:
    return os.path.exists(path)


async def words_of(speech: GrpcSpeech, text: str, rate_hz: int = 8000) -> tuple[list[str], int]:
    """The words said, and the length of the audio in ms; their times are checked."""
    words, audio, last = [], 0, 0
    async for chunk in speech.say("CA1", text, rate_hz):
        audio += len(chunk.audio)
        for word in chunk.words:
            assert last <= word.start_ms <= word.end_ms
            last = word.start_ms
            words.append(word)
    audio_ms = audio // 2 * 1000 // rate_hz
    assert not words or words[-1].end_ms <= audio_ms + 20
    return [w.text for w in words], audio_ms


async def test_killed_in_the_middle_of_an_utterance_the_next_one_works() -> None:
    async with hosting("sphinx") as host:
        transcriber = GrpcTranscriber(host.target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", DIGITS, ignore)
        recognition.feed(bytes(1600))
        first = host.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EngineDown) as down:
            await recognition.finish()
        assert down.value.reason != "deadline", "noticed by waiting, not by the broken stream"
        await host.until(lambda: host.hosts.ready and host.pid not in (None, first))
        assert host.hosts.restarts() == {"stt": 1}
        again = await transcriber.open("CA1", DIGITS, ignore)
        again.feed(bytes(1600))
        assert (await again.finish()).final
        await transcriber.close()


async def test_a_hung_host_is_replaced_and_its_process_is_gone() -> None:
    policy = WatchPolicy(tries_at_start=1, ping_every_s=0.1, ping_deadline_s=0.3, hung_after_s=1.0)
    async with hosting("espeak", "en-us", role="tts", policy=policy) as host:
        speech = GrpcSpeech(host.target, "espeak/en-us/175", deadlines=Deadlines(first_audio_s=0.2))
        first = host.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(EngineDown):
            await words_of(speech, "Is anybody there?")
        await host.until(lambda: host.hosts.ready and host.pid not in (None, first))
        assert not psutil.pid_exists(first)
        patient = GrpcSpeech(host.target, "espeak/en-us/175", deadlines=PATIENTLY)

        async def speaks() -> bool:  # its watch is as strict with the new one, on a machine that may stall
            with suppress(EngineDown):
                return (await words_of(patient, "Here again."))[0] == ["Here", "again."]
            return False

        await eventually(speaks)
        await speech.close()
        await patient.close()


async def test_garbage_odd_bytes_and_no_audio_at_all() -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, 8000, dtype=np.int16).tobytes()
    async with hosting("sphinx") as host:
        transcriber = GrpcTranscriber(host.target, deadlines=PATIENTLY)
        empty = await transcriber.open("CA1", FREE, ignore)
        assert await empty.finish() == Transcript("", True)
        odd = await transcriber.open("CA1", FREE, ignore)
        odd.feed(b"\x01")
        odd.feed(noise + b"\x7f")
        odd.feed(b"")
        assert (await odd.finish()).audio_ms == 1000
        assert host.hosts.restarts() == {"stt": 0}
        await transcriber.close()


async def test_espeak_says_every_word_in_order_and_lengths_are_sane() -> None:
    text = "Your order 4711 - from Friday - is on its way; it's with the carrier, okay?"
    async with hosting("espeak", "en-us", role="tts") as host:
        speech = GrpcSpeech(host.target, "espeak/en-us/175", deadlines=PATIENTLY)
        words, audio_ms = await words_of(speech, text)
        assert words == text.split()
        assert 3000 < audio_ms < 9000
        again, at_24k = await words_of(speech, text, 24000)
        assert again == words
        assert abs(at_24k - audio_ms) < 50
        assert await words_of(speech, "   ") == ([], 0)
        with pytest.raises(EngineDown, match="at most 2000 characters"):
            await words_of(speech, "word " * 500)
        with pytest.raises(EngineDown, match="rate_hz"):
            await words_of(speech, "Hello.", 4000)
        description = await speech.describe()
        assert (description.kind, description.voice_id) == ("espeak", "espeak/en-us/175")
        await speech.close()


async def test_a_piper_voice_of_the_right_shape_speaks_in_a_host(tmp_path: Path) -> None:
    make_voice(tmp_path / "piper", "en_US-noise-low", rate_hz=22050)
    text = "Good morning. Your order 4711 is on its way!"
    async with hosting("piper", "en_US-noise-low", role="tts", models=tmp_path) as host:
        speech = GrpcSpeech(host.target, "piper/en_US-noise-low", deadlines=PATIENTLY)
        words, audio_ms = await words_of(speech, text)
        assert words == text.split()
        assert audio_ms > 500
        assert abs((await words_of(speech, text, 16000))[1] - audio_ms) < 20
        assert (await words_of(speech, "- -"))[0] == ["-", "-"]
        assert (await speech.describe()).voice_id == "piper/en_US-noise-low"
        await speech.close()


async def test_a_whisper_of_the_right_shape_reads_in_a_host(tmp_path: Path) -> None:
    make_whisper(tmp_path / "whisper" / "random", SHAPES["test"])
    noise = np.random.default_rng(1).normal(0, 3000, 16000).astype(np.int16).tobytes()
    async with hosting("whisper", "random", models=tmp_path) as host:
        transcriber = GrpcTranscriber(host.target, deadlines=PATIENTLY)
        recognition = await transcriber.open("CA1", FREE, ignore)
        recognition.feed(noise)
        assert (await recognition.peek()).audio_ms == 2000
        final = await recognition.finish()
        assert final.final
        assert final.audio_ms == 2000
        assert (await transcriber.describe()).kind == "whisper"
        await transcriber.close()


async def test_a_cloud_service_in_a_host_hears_and_keeps_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(cloud_kit.__file__).parent))
    monkeypatch.setenv("STREAMINGCLOUD_API_KEY", "k")
    async with hosting("pipecat", "cloud_kit:StreamingCloud") as host:
        transcriber = GrpcTranscriber(host.target, deadlines=PATIENTLY)
        partials: list[str] = []
        recognition = await transcriber.open("CA1", FREE, lambda t: partials.append(t.text))
        recognition.feed(cloud_kit.spoken(4, 7, 1, 1))
        assert (await recognition.finish()).text == "four seven one one"
        assert partials
        assert "leaves this machine" in (await transcriber.describe()).notes[0]
        await transcriber.close()


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        ("espeak", "tlh", "no voice 'tlh'"),
        ("piper", "/nowhere/voice.onnx", "no Piper voice in /nowhere/voice.onnx"),
        ("whisper", "/nowhere/model", "/nowhere/model"),
        ("pipecat", "soniox", "SONIOX_API_KEY"),
    ],
)
async def test_what_cannot_be_started_says_why_at_start(
    kind: str, model: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SONIOX_API_KEY", raising=False)
    with pytest.raises(EngineUnavailable, match=message) as refusal:
        async with hosting(kind, model, policy=WatchPolicy(tries_at_start=1)):
            pass
    assert "Traceback" not in str(refusal.value)


async def test_a_stopped_host_leaves_no_process_and_no_socket() -> None:
    async with hosting("espeak", "en-us", role="tts") as host:
        pid, path = host.pid, host.target.removeprefix("unix:")
        assert pid is not None
        assert there(path)
        client = EngineClient(host.target, "tts")
        assert await client.healthy(20)
        await host.hosts.stop()
        assert not psutil.pid_exists(pid)
        assert not there(path)
        with pytest.raises(EngineDown, match="unavailable"):
            await client.describe()
        await client.close()
