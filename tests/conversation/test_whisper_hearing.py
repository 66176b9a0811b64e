"""From a caller's sound to turns through real Silero and real Whisper, in virtual time, alike every time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import soundfile
from sound_fakes import FakeJudge
from virtual_time import virtual

from voicebot.audio.engines.whisper.model import WhisperModel
from voicebot.audio.engines.whisper.transcriber import WhisperTranscriber
from voicebot.audio.hearing.events import HearingEvent, PartialHeard, SpeechStarted, TurnEnded, Unheard
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.vad import VoiceActivity, shared_silero
from voicebot.audio.mulaw import encode
from voicebot.core.conversation import HearingFailure
from voicebot.proof.simulation import sounds

ROOT = Path(__file__).parents[2]
MODEL = WhisperModel(ROOT / "models" / "demo-whisper", device="cpu")
SILENCE = np.zeros(8000, np.int16)


def _line(voice: str, name: str) -> np.ndarray:
    return soundfile.read(ROOT / "recordings" / "lines" / voice / f"{name}.wav", dtype="int16")[0]


async def _hear(*pieces: np.ndarray, vad: VoiceActivity | None = None) -> list[tuple[float, HearingEvent]]:
    """What the listener tells, with the time, of sound that comes in real (virtual) time."""
    told: list[tuple[float, HearingEvent]] = []
    clock = asyncio.get_running_loop().time
    began = clock()
    listener = Listener(
        "call",
        vad=vad or shared_silero().voice(),
        transcriber=WhisperTranscriber(MODEL, None, audio_clock=True, clock=clock),
        judge=FakeJudge(),
        emit=lambda event: told.append((round(clock() - began, 3), event)),
        clock=clock,
        silence_s=60.0,
    )
    ulaw = encode(np.concatenate(pieces))
    for at in range(0, len(ulaw), 160):
        await asyncio.sleep(began + at / 8000 + 0.02 - clock())
        listener.feed(ulaw[at : at + 160], at // 8)
    await asyncio.sleep(1.0)
    await listener.close()
    return told


def _all(told: list[tuple[float, HearingEvent]], kind: type) -> list[HearingEvent]:
    return [event for _, event in told if isinstance(event, kind)]


@virtual
async def test_words_while_they_are_spoken_and_a_turn_when_they_end() -> None:
    told = await _hear(SILENCE, _line("rms", "returns"), SILENCE, SILENCE)
    kinds = [type(event) for _, event in told]
    assert kinds[0] is SpeechStarted
    assert kinds[-1] is TurnEnded
    assert kinds.count(PartialHeard) >= 3
    (ended,) = _all(told, TurnEnded)
    assert isinstance(ended, TurnEnded)
    utterance = ended.utterance
    assert utterance.text
    assert None not in (utterance.avg_logprob, utterance.no_speech_prob, utterance.compression_ratio)
    assert utterance.confidence is not None
    # The words were there when the turn ended: nothing was decoded between its end and the final.
    assert ended.timings.final_ms is not None
    assert ended.timings.turn_ended_ms is not None
    assert ended.timings.final_ms - ended.timings.turn_ended_ms <= 20


@virtual
async def test_the_same_sound_gives_the_same_events() -> None:
    sound = (SILENCE, _line("awb", "opening_hours"), SILENCE, _line("slt", "person"), SILENCE, SILENCE)
    first = [event for _, event in await _hear(*sound)]
    again = [event for _, event in await _hear(*sound)]
    assert [repr(e) for e in first] == [repr(e) for e in again]
    assert len([e for e in first if isinstance(e, TurnEnded)]) == 2


class Credulous:
    """A voice activity that takes any sound for a voice."""

    def probability(self, window: np.ndarray) -> float:
        return 0.95 if np.abs(window.astype(int)).mean() > 100 else 0.02


@virtual
async def test_noise_taken_for_a_voice_is_a_clean_failure() -> None:
    """Nothing is understood, nothing is made up, and the caller can be told so."""
    noise = np.random.default_rng(2).normal(0, 1200, 12_000).astype(np.int16)
    told = await _hear(SILENCE, noise, SILENCE, SILENCE, vad=Credulous())
    (unheard,) = _all(told, Unheard)
    assert isinstance(unheard, Unheard)
    assert unheard.reason is HearingFailure.EMPTY
    assert not _all(told, TurnEnded)
    assert not _all(told, PartialHeard)


def _in_noise(speech: np.ndarray, snr_db: float) -> np.ndarray:
    """A line, a second of silence around it, in a steady noise."""
    whole = np.concatenate((SILENCE, SILENCE, speech, SILENCE, SILENCE))
    noise = sounds.pink_noise(len(whole) // 8 + 1, level_dbfs=sounds.level_of(speech) - snr_db)
    return (whole.astype(np.int32) + noise[: len(whole)]).clip(-32768, 32767).astype(np.int16)


@virtual
async def test_a_voice_that_drowns_in_noise_is_told_as_noise() -> None:
    """What was made of it is kept for people; what can be read is still a turn."""
    told = await _hear(_in_noise(_line("slt", "where_is_order"), 3))
    (unheard,) = _all(told, Unheard)
    assert isinstance(unheard, Unheard)
    assert unheard.reason is HearingFailure.TOO_NOISY
    assert not _all(told, TurnEnded)
    clear = await _hear(_in_noise(_line("slt", "where_is_order"), 25))
    (ended,) = _all(clear, TurnEnded)
    assert isinstance(ended, TurnEnded)
    assert "order" in ended.utterance.text
