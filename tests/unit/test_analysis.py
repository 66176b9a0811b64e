"""Latency, barge-in and gaps measured on a recording are right to 10 ms, whatever is said and how loud."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio.mulaw import decode, encode
from voicebot.proof.simulation import CallRecording
from voicebot.proof.simulation.analysis import analyse, spans

RNG = np.random.default_rng(5)


def voice(ms: int, level: float = 0.2) -> np.ndarray:
    """Voiced sound with pitch and noise that begins and ends clearly; through mu-law like all sound here."""
    t = np.arange(ms * 8) / 8000
    wave = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 10)) + RNG.normal(0, 0.2, len(t))
    wave = wave / np.abs(wave).max() * (0.7 + 0.3 * np.sin(2 * np.pi * 4 * t))
    return decode(encode((wave * level * 32767).astype(np.int16)))


def call(
    total_ms: int,
    caller: list[tuple[int, int]],
    bot: list[tuple[int, int]],
    said: float = 0.2,
    heard: float = 0.2,
) -> np.ndarray:
    """A recording from lists of (start, length) in ms."""
    samples = np.zeros((total_ms * 8, 2), np.int16)
    for column, parts, level in (
        (0, caller, said),
        (1, bot, heard),
    ):
        for start, length in parts:
            samples[start * 8 : (start + length) * 8, column] = voice(length, level)
    return samples


@pytest.mark.parametrize("gap_ms", [180, 333, 640, 1501])
@pytest.mark.parametrize("level", [0.05, 0.3, 0.9])
def test_turn_latency_is_right_to_ten_ms(gap_ms, level):
    """End of the caller's speech to the bot's first sound."""
    found = analyse(call(6000, [(1000, 900)], [(1900 + gap_ms, 1200)], said=level, heard=level))
    assert found.latencies_ms() == [pytest.approx(gap_ms, abs=10)]
    assert found.barge_ins == ()


def test_what_a_person_answers_later_is_nobodys_latency_here():
    """Turns whose words ended after that time do not count."""
    found = analyse(call(9000, [(1000, 900), (5000, 900)], [(2400, 1200), (7000, 900)]))
    assert found.latencies_ms() == [pytest.approx(500, abs=10), pytest.approx(1100, abs=10)]
    assert found.latencies_ms(until_ms=4000) == [pytest.approx(500, abs=10)]


def test_pauses_inside_a_number_belong_to_one_turn():
    """Six digits with half-second pauses are one input; the latency counts from the last."""
    digits = [(500 + n * 800, 300) for n in range(6)]
    found = analyse(call(8000, digits, [(5500, 1000)]))
    assert len(found.caller) == 1
    assert found.latencies_ms() == [pytest.approx(5500 - 4800, abs=10)]


@pytest.mark.parametrize("took_ms", [60, 140, 255])
def test_barge_in_from_onset_to_silence(took_ms):
    """The bot is cut off `took_ms` after the caller's first sound."""
    found = analyse(call(8000, [(200, 500), (3000, 1500)], [(1000, 2000 + took_ms), (5200, 800)]))
    assert [b.took_ms for b in found.barge_ins] == [pytest.approx(took_ms, abs=10)]
    assert found.latencies_ms() == [pytest.approx(300, abs=10), pytest.approx(700, abs=10)]


def test_a_bot_that_talks_on_was_not_silenced():
    """Near miss: interrupted, but the speech goes on well past the interruption."""
    found = analyse(call(8000, [(2000, 800)], [(1000, 5000)]))
    assert [(b.silence_ms, b.took_ms) for b in found.barge_ins] == [(None, None)]


def test_a_caller_who_speaks_after_the_bot_interrupts_nobody():
    """Near miss: 30 ms after the bot's end is no barge-in."""
    found = analyse(call(6000, [(2030, 800)], [(1000, 1000)]))
    assert found.barge_ins == ()


def test_a_bot_that_cuts_in_is_counted_apart():
    """A false end of turn shows, and does not flatter the latencies."""
    found = analyse(call(6000, [(1000, 2000)], [(2500, 1500)]))
    assert found.cut_ins_ms() == [pytest.approx(500, abs=10)]
    assert found.latencies_ms() == []


def test_a_turn_without_an_answer_has_none():
    """The caller asks twice; only the second is answered."""
    found = analyse(call(8000, [(500, 600), (3000, 600)], [(4000, 500)]))
    assert [r.latency_ms for r in found.replies] == [None, pytest.approx(400, abs=10)]


def test_keys_count_as_input_from_the_last_key_on():
    """Six keys are one input; spoken turns are kept apart."""
    found = analyse(call(8000, [], [(4000, 500)]), keys_ms=(2000, 2200, 2400, 2600, 2800, 3000))
    assert [(r.keys, r.latency_ms) for r in found.replies] == [(True, pytest.approx(1000, abs=10))]
    assert found.latencies_ms() == []


@pytest.mark.parametrize("gap_ms", [40, 120, 300])
def test_gaps_inside_the_bots_speech(gap_ms):
    """Audio that came too late is heard as a hole of its length."""
    found = analyse(call(6000, [], [(1000, 800), (1800 + gap_ms, 800)]))
    assert [g.length_ms for g in found.gaps] == [pytest.approx(gap_ms, abs=10)]
    assert len(found.bot) == 1


def test_clicks_and_faint_noise_are_no_speech():
    """A 5 ms click and noise at -60 dBFS are not anybody talking."""
    samples = call(4000, [], [])
    samples[:, 0] = RNG.normal(0, 30, len(samples)).astype(np.int16)
    samples[16000:16040, 0] = 20000
    assert spans(samples[:, 0], join_ms=100) == []


def test_levels_are_of_the_sounding_parts_only():
    """Silence around speech does not make it quieter."""
    short = analyse(call(2000, [(500, 1000)], [], said=0.5))
    long = analyse(call(20000, [(500, 1000)], [], said=0.5))
    assert short.caller_level.rms_dbfs == pytest.approx(long.caller_level.rms_dbfs, abs=0.5)
    assert short.caller_level.peak_dbfs == pytest.approx(-6, abs=1.5)
    assert short.bot_level.rms_dbfs is None


def test_the_channels_of_a_recording_share_one_clock(tmp_path):
    """Byte n of either channel is the same moment, and the saved WAV is stereo PCM16 at 8 kHz."""
    import wave

    recording = CallRecording(
        said=bytearray(b"\xff" * 800 + encode(voice(100))), heard=bytearray(b"\xff" * 4000)
    )
    samples = recording.samples()
    assert samples.shape == (4000, 2)
    assert not samples[:800].any()
    assert samples[800:1600, 0].any()
    recording.save(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        assert file.getnframes() == 4000
