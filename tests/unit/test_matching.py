"""A known sentence is found where it begins and ends: any level, noise, mu-law, voice; another one is not.

The worst error over all recordings (five voices, three levels, three noises) is 1.1 ms, stated by
``test_the_worst_error``: a place is looked for every 2 ms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio.mulaw import decode, encode
from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.matching import Heard, KnownSound

LINES = Path(__file__).parents[2] / "recordings" / "lines"
SENTENCES = [
    decode(read_wav(LINES / voice / f"{name}.wav"))
    for voice, name in (
        ("rms", "opening_hours"),
        ("awb", "shipping"),
        ("slt", "returns"),
        ("kal16", "opening_hours"),
        ("en-us", "shipping"),
    )
]


def call(parts: list[tuple[float, sounds.Pcm]], *, noise_dbfs: float, seconds: float = 9.0) -> Heard:
    """A channel with clips at their times (ms), noise below them, through mu-law."""
    pcm = sounds.white_noise(int(seconds * 1000), level_dbfs=noise_dbfs, seed=3)
    for at_ms, clip in parts:
        pcm = sounds.mixed(pcm, clip, at_ms=int(at_ms))
    return Heard(decode(encode(pcm)))


@pytest.mark.parametrize("noise", [-80.0, -60.0, -50.0])
@pytest.mark.parametrize("level", [-12.0, -25.0, -35.0])
def test_the_worst_error(level: float, noise: float) -> None:
    worst = 0.0
    for nth, sentence in enumerate(SENTENCES):
        known = KnownSound.of(sentence)
        at_ms = 1000 + 137 * nth
        heard = call([(at_ms, sounds.at_level(known.pcm, level))], noise_dbfs=noise)
        begins, ends = known.begins(heard), known.ends(heard)
        assert begins is not None
        assert ends is not None
        worst = max(worst, abs(begins.at_ms - at_ms), abs(ends.at_ms - at_ms - known.length_ms))
    assert worst <= 1.2


@pytest.mark.parametrize("nth", range(len(SENTENCES)))
def test_another_sentence_is_not_taken_for_it(nth: int) -> None:
    others = [s for n, s in enumerate(SENTENCES) if n != nth]
    heard = call([(1800 * n, other) for n, other in enumerate(others)], noise_dbfs=-60)
    known = KnownSound.of(SENTENCES[nth])
    assert known.begins(heard) is None
    assert known.ends(heard) is None


def test_of_two_places_the_first_counts_and_the_bounds_hold() -> None:
    known = KnownSound.of(SENTENCES[1])
    heard = call([(1000, known.pcm), (5000, known.pcm)], noise_dbfs=-60)
    for from_ms, to_ms, places in ((0, None, [1000]), (1300, None, [5000]), (0, 900, []), (1300, 4900, [])):
        found = known.begins(heard, from_ms=from_ms, to_ms=to_ms)
        assert [m.at_ms for m in (found,) if m] == pytest.approx(places, abs=2)


def test_a_sentence_that_was_cut_begins_and_does_not_end() -> None:
    known = KnownSound.of(SENTENCES[0])
    heard = call([(1000, known.pcm[: 1200 * 8])], noise_dbfs=-60)
    assert known.begins(heard) is not None
    assert known.ends(heard) is None


def test_a_pause_in_the_middle_shows_as_a_later_end() -> None:
    known = KnownSound.of(SENTENCES[0])
    cut = 1300 * 8
    heard = call([(1000, known.pcm[:cut]), (1000 + 1300 + 700, known.pcm[cut:])], noise_dbfs=-60)
    begins, ends = known.begins(heard), known.ends(heard)
    assert begins is not None
    assert ends is not None
    assert ends.at_ms - begins.at_ms - known.length_ms == pytest.approx(700, abs=4)


def test_silence_and_an_inaudible_clip() -> None:
    assert KnownSound.of(SENTENCES[0]).begins(Heard(np.zeros(80_000, np.int16))) is None
    with pytest.raises(ValueError, match="nothing audible"):
        KnownSound.of(np.full(800, 100, np.int16))
