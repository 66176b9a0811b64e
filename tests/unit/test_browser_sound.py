"""A browser's sound: from Opus to 8 kHz and back, made up where it is missing, paced on its way out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from voicebot.audio import mulaw
from voicebot.channels.browser.band import DELAY_MS, Narrowing
from voicebot.channels.browser.concealment import FADE_MS, Concealer
from voicebot.channels.browser.incoming import Framer
from voicebot.channels.browser.jitter import Piece
from voicebot.channels.browser.opus import OpusDecoder, OpusEncoder
from voicebot.channels.browser.outgoing import FRAME, SILENT, Outbox, Slots

Pcm = npt.NDArray[np.int16]


def tone(hertz: float, samples: int, rate: int, at: int = 0) -> Pcm:
    return np.rint(8000 * np.sin(2 * np.pi * hertz * (np.arange(samples) + at) / rate)).astype(np.int16)


def level(pcm: Pcm) -> float:
    """dB against the tone that went in."""
    return 20 * math.log10(max(1e-6, float(np.sqrt((pcm.astype(float) ** 2).mean())) / (8000 / 2**0.5)))


@pytest.mark.parametrize(
    ("hertz", "low", "high"),
    [(300, -0.2, 0.2), (1000, -0.2, 0.2), (3400, -1.0, 0.2), (4700, -200, -50), (7000, -200, -55)],
)
def test_speech_stays_and_what_would_fold_into_it_goes(hertz: float, low: float, high: float) -> None:
    narrowing = Narrowing()
    out = np.concatenate([narrowing.feed(tone(hertz, 960, 48000, n * 960)) for n in range(50)])
    assert len(out) == 8000
    assert low <= level(out[200:]) <= high


@pytest.mark.parametrize("piece", [120, 480, 960, 2880])
def test_a_sixth_of_the_samples_whatever_the_pieces(piece: int) -> None:
    narrowing = Narrowing()
    whole = tone(500, 2880 * 4, 48000)
    out = np.concatenate([narrowing.feed(whole[at : at + piece]) for at in range(0, len(whole), piece)])
    assert len(out) == len(whole) // 6
    assert np.array_equal(out, Narrowing().feed(whole))
    assert DELAY_MS == 2


def test_sound_survives_opus_both_ways() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    out: list[Pcm] = []
    for n in range(50):
        pcm = decoder.decode(encoder.encode(tone(440, 160, 8000, n * 160)))
        assert pcm is not None
        out.append(pcm)
    heard = np.concatenate(out)[2000:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert len(heard) == 6000
    assert abs(spectrum.argmax() * 8000 / len(heard) - 440) < 2
    assert -3 < level(heard) < 1


def test_what_is_no_packet_decodes_to_nothing_and_harms_nothing() -> None:
    decoder = OpusDecoder()
    assert decoder.decode(b"\xff\xff\xff") is None
    assert decoder.decode(OpusEncoder().encode(tone(440, 160, 8000))) is not None


def test_a_gap_goes_on_in_the_same_pitch_and_fades_and_the_real_sound_joins_without_a_click() -> None:
    concealer = Concealer()
    past = tone(200, 800, 8000)
    concealer.real(past)
    made = concealer.missing(160)
    assert abs(int(made[0]) - int(past[-1])) < 2000
    assert abs(int(np.abs(np.fft.rfft(made)).argmax()) * 50 - 200) <= 50
    rest = concealer.missing(FADE_MS * 8)
    assert not rest[-100:].any()
    back = concealer.real(tone(200, 160, 8000, 40))
    assert abs(int(back[0])) < 1000


def test_frames_of_20_ms_from_packets_of_any_length_and_gaps_are_marked() -> None:
    encoder, framer = OpusEncoder(), Framer()
    packets = [encoder.encode(tone(440, 160, 8000, n * 160)) for n in range(10)]
    frames = [f for n in range(5) for f in framer.feed(Piece(n * 960, 960, packets[n]))]
    frames += framer.feed(Piece(4800, 480, None))
    frames += [f for n in range(5, 10) for f in framer.feed(Piece(5280 + n * 960, 960, packets[n]))]
    assert [f.at_ms for f in frames] == [20 * n for n in range(10)]
    assert all(len(f.ulaw) == FRAME for f in frames)
    assert [n for n, f in enumerate(frames) if f.made_up] == [5]


def test_sound_leaves_in_order_with_its_marks_and_silence_between() -> None:
    outbox = Outbox()
    outbox.put(b"\x01" * 320)
    outbox.mark("a")
    outbox.put(b"\x02" * 100)
    outbox.mark("b")
    assert outbox.queued_ms == 52
    taken = [outbox.take() for _ in range(4)]
    assert [marks for _, marks in taken] == [[], ["a"], ["b"], []]
    assert taken[1][0] == b"\x01" * 160
    assert taken[2][0] == b"\x02" * 100 + SILENT[:60]
    assert taken[3][0] == SILENT


def test_clear_silences_at_once_and_gives_the_marks_back() -> None:
    outbox = Outbox()
    outbox.put(b"\x01" * 1600)
    outbox.mark("a")
    outbox.take()
    assert outbox.clear() == ["a"]
    assert outbox.take() == (SILENT, [])
    outbox.put(b"\x03" * 160)
    outbox.mark("c")
    assert outbox.take() == (b"\x03" * 160, ["c"])


def test_what_waits_is_bounded_oldest_first() -> None:
    outbox = Outbox(most_ms=100)
    for n in range(10):
        outbox.put(bytes([n]) * 160)
        outbox.mark(str(n))
    assert (outbox.queued_ms, outbox.dropped_ms) == (100, 100)
    sound, marks = outbox.take()
    assert sound == bytes([5]) * 160
    assert marks == ["0", "1", "2", "3", "4", "5"]


def test_sound_from_a_network_waits_for_its_lead_once_a_spurt() -> None:
    outbox = Outbox(lead_ms=60)
    outbox.put(b"\x01" * 160)
    assert outbox.take()[0] == SILENT
    outbox.put(b"\x01" * 320)
    assert [outbox.take()[0] for _ in range(3)] == [b"\x01" * 160] * 3
    assert outbox.take()[0] == SILENT
    outbox.put(b"\x02" * 160)  # nothing follows: it must not wait for ever
    assert [outbox.take()[0] for _ in range(4)].index(b"\x02" * 160) == 3


def test_the_outgoing_clock_neither_drifts_nor_bursts() -> None:
    slots, now = Slots(), 100.0
    assert slots.next(now) == (0, 0.0)
    for n in range(1, 30_000):  # ten minutes, each frame sent 1 ms after it was due
        slot, wait_s = slots.next(now)
        now += wait_s + 0.001
        assert slot == n
    assert abs(now - 100.0 - 29_999 * 0.02) < 0.01
    now += 0.5  # the process stood still
    slot, wait_s = slots.next(now)
    assert wait_s == 0.0
    assert slot - 29_999 >= 20
    assert slots.next(now)[1] > 0
    assert slots.skipped >= 20


def test_a_short_stall_is_caught_up() -> None:
    slots = Slots()
    slots.next(0.0)
    assert [slots.next(0.07)[0] for _ in range(3)] == [1, 2, 3]
    assert slots.skipped == 0


def test_silence_is_silent() -> None:
    assert not mulaw.decode(SILENT).any()
