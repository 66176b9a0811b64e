"""The recording keeps Twilio's time: an hour of jitter, loss and drifting clocks moves nothing by 20 ms."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest
from sound_fakes import Ear, FakeSpeech, clauses_of
from virtual_time import virtual

from voicebot.audio import mulaw
from voicebot.audio.media_clock import MediaClock
from voicebot.audio.recording import writer
from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.ledger import PlayoutLedger
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.speaker import Speaker

KEY = bytes(32)
QUIET = bytes([mulaw.SILENCE]) * 160
CLICK = bytes([0x80]) * 160
HOUR_MS = 3_600_000


def starts_ms(channel: np.ndarray) -> np.ndarray:
    """Where sound begins, ms: an onset with 200 ms of silence before it."""
    loud = np.flatnonzero(channel != 0)
    first = np.concatenate(([True], np.diff(loud) > 1600))
    return loud[first] / 8


async def written(recorder: Recorder) -> None:
    """Waits until the disk has most of what was told; more than a minute of sound may not wait for it."""
    while len(recorder._queue) > 20:
        await asyncio.sleep(0.001)


async def test_an_hour_drifts_by_less_than_20_ms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our clock runs 60 ppm fast (216 ms an hour), frames are late by chance and 1 % are lost."""
    monkeypatch.setattr(writer, "CLOSE_DEADLINE_S", 60.0)
    dice = random.Random(11)
    clock = MediaClock()
    recorder = Recorder(tmp_path / "hour", KEY, "cv_1")
    said: list[int] = []
    played: list[int] = []
    for at_ms in range(0, HOUR_MS, 20):
        arrives_s = (at_ms + 20) / 1000 * (1 + 60e-6) + 0.03 + dice.expovariate(1 / 0.01)
        click = at_ms % 60_000 == 30_000
        if click:
            said.append(at_ms)
        elif dice.random() < 0.01:
            continue
        clock.observe(at_ms + 20, arrives_s)
        recorder.caller(CLICK if click else QUIET, at_ms)
        if at_ms % 60_000 == 45_000:
            # Twilio begins to play a second of ours now; each mark comes back as late as a frame does.
            played.append(at_ms)
            ledger = PlayoutLedger(1)
            names = [ledger.sent(800, at_ms * (1 + 60e-6) - 30) for _ in range(10)]
            for number, name in enumerate(names):
                late_ms = 30 + dice.expovariate(1 / 10)
                ledger.returned(name, (at_ms + 100 * (number + 1)) * (1 + 60e-6) + late_ms)
            for number in range(10):
                recorder.bot(bytes([0x80]) * 800, clock.at_ms(ledger.plays_at_ms(number * 800) / 1000))
        if at_ms % 10_000 == 0:
            await written(recorder)
    await recorder.close()
    recording = read_recording(tmp_path / "hour", KEY)
    assert recording.pcm16.shape[0] == HOUR_MS * 8
    assert starts_ms(recording.pcm16[:, 0]).tolist() == said
    off = starts_ms(recording.pcm16[:, 1]) - np.array(played)
    assert np.abs(off).max() < 20


@pytest.mark.parametrize("cut_after_s", [None, 1.33])
def test_a_call_is_recorded_as_the_caller_heard_it(tmp_path: Path, cut_after_s: float | None) -> None:
    """Speaker, line and recorder together: the bot's channel is the ear's own recording."""

    @virtual
    async def check() -> None:
        loop = asyncio.get_running_loop()
        ear = Ear(0.04)
        clock = MediaClock()
        recorder = Recorder(tmp_path / "call", KEY, "cv_1")
        speaker = Speaker(
            "call",
            speech=FakeSpeech(),
            phrases=PhraseCache(None),
            wire=ear,
            emit=lambda _: None,
            clock=loop.time,
            on_bot_audio=recorder.bot,
            media_clock=clock,
        )
        ear.on_mark = speaker.mark_returned
        began = loop.time()

        async def caller() -> None:
            for at_ms in range(0, 6000, 20):
                await asyncio.sleep(began + (at_ms + 20) / 1000 + 0.04 - loop.time())
                clock.observe(at_ms + 20, loop.time())
                recorder.caller(QUIET, at_ms)

        calling = loop.create_task(caller())
        await asyncio.sleep(1)
        answer = loop.create_task(speaker.say(1, clauses_of("one two three four", "five six")))
        if cut_after_s is not None:
            await asyncio.sleep(cut_after_s)
            await speaker.cut()
        await answer
        await calling
        await recorder.close()
        await ear.close()
        bot = read_recording(tmp_path / "call", KEY).pcm16[:, 1]
        heard = np.zeros_like(bot)
        for at_s, ulaw in ear.heard:
            at = round((at_s - began) * 8000)
            heard[at : at + len(ulaw)] = mulaw.decode(ulaw)
        differs = np.flatnonzero(bot != heard)
        assert differs.size <= 2 * 20 * 8  # at the cut, and by what a ms is rounded

    check()
