"""The bench's judge of turns: known gaps are read to 10 ms; no filler, cut-off or noise passes for an answer.

Recordings are put together here from recorded voices: the caller's line on one channel, "answers" (lines of
another voice) on the other, at known times, levels and noise, through mu-law. The worst error over all of
them is 1.0 ms for a latency and 0.5 ms for a silence, stated by ``test_the_worst_error_of_known_gaps``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.bench.caller import Said, Step
from scripts.bench.turn_score import Event, LineLostError, greeting, located, score
from voicebot.audio.mulaw import decode, encode
from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.matching import KnownSound
from voicebot.proof.simulation.recording import CallRecording

LINES = Path(__file__).parents[2] / "recordings" / "lines"


def clip(voice: str, name: str) -> sounds.Pcm:
    """A recorded line."""
    return decode(read_wav(LINES / voice / f"{name}.wav"))


ANSWERS = {
    "long": KnownSound.of(clip("rms", "opening_hours_b")),
    "short": KnownSound.of(clip("rms", "goodbye")),
}
FILLER = KnownSound.of(clip("rms", "affirm")).pcm
LINE = clip("slt", "shipping")
CALLERS = [("slt", "shipping"), ("awb", "shipping"), ("kal16", "opening_hours"), ("en-us", "opening_hours")]


def recording(
    said: list[tuple[int, sounds.Pcm]],
    heard: list[tuple[int, sounds.Pcm]],
    *,
    noise_dbfs: float = -90.0,
    level_dbfs: float = -20.0,
) -> CallRecording:
    """A call of 16 s: (ms, clip) on either channel; noise only on what is heard."""
    sides = []
    for clips, noise in ((said, -90.0), (heard, noise_dbfs)):
        pcm = sounds.white_noise(16_000, level_dbfs=noise) if noise > -90 else np.zeros(128_000, np.int16)
        for at_ms, part in clips:
            louder = part if clips is said else sounds.at_level(part, level_dbfs)
            pcm = sounds.mixed(pcm, louder, at_ms=at_ms)
        sides.append(bytearray(encode(pcm)))
    return CallRecording(*sides)


def line(at_ms: int, pcm: sounds.Pcm = LINE, role: str = "turn") -> Said:
    """A line as the caller notes it: about where it was said."""
    over = role not in {"turn", "paused"}
    return Said(Step("line", encode(pcm), "over" if over else "after", 0, role), at_ms, at_ms + len(pcm) // 8)


def one(said_ms: int, heard: list[tuple[int, sounds.Pcm]], role: str = "turn") -> Event:
    """The one line of a call, scored."""
    return score(recording([(said_ms, LINE)], heard), [line(said_ms, role=role)], ANSWERS)[0]


SOUNDING = located(encode(LINE), line(0))
"""First and last audible ms within LINE."""
END = 1000 + SOUNDING[1]
"""End of LINE when it is said at 1 s."""


@pytest.mark.parametrize("noise", [-90.0, -60.0, -50.0])
@pytest.mark.parametrize("level", [-12.0, -20.0, -30.0])
def test_the_worst_error_of_known_gaps(level: float, noise: float) -> None:
    worst_latency = worst_silence = 0.0
    for nth, (voice, name) in enumerate(CALLERS):
        pcm = clip(voice, name)
        _, last = located(encode(pcm), line(0, pcm))
        gap = 180 + 311 * nth
        answer = ANSWERS["long"].pcm
        at_ms = round(500 + last + gap)
        loud = np.flatnonzero(np.abs(answer[: 1900 * 8].astype(int)) > 8000)[-1] + 1
        second_ms = at_ms + 1700
        call = recording(
            [(500, pcm), (second_ms, pcm)], [(at_ms, answer[:loud])], noise_dbfs=noise, level_dbfs=level
        )
        first, over = score(call, [line(500, pcm), line(second_ms, pcm, role="interruption")], ANSWERS)
        assert first.content_ms is not None
        assert over.silence_ms is not None
        worst_latency = max(worst_latency, abs(first.content_ms - (at_ms - 500 - last)))
        truth = at_ms + loud / 8 - over.start_ms
        worst_silence = max(worst_silence, abs(over.silence_ms - truth))
    assert worst_latency <= 1.5
    assert worst_silence <= 1.5


def test_a_filler_is_sound_and_no_content() -> None:
    event = one(1000, [(round(END) + 300, FILLER), (round(END) + 1500, ANSWERS["short"].pcm)])
    assert event.answer == "short"
    assert event.sound_ms == pytest.approx(300, abs=10)
    assert event.content_ms == pytest.approx(1500, abs=10)


def test_an_answer_glued_to_a_filler_is_found_inside_it() -> None:
    glued = np.concatenate([FILLER, np.zeros(800, np.int16), ANSWERS["short"].pcm])
    event = one(1000, [(round(END) + 300, glued)])
    assert event.content_ms == pytest.approx(300 + len(FILLER) / 8 + 100, abs=10)


def test_only_a_filler_is_no_answer() -> None:
    event = one(1000, [(round(END) + 300, FILLER)])
    assert (event.answer, event.content_ms) == ("", None)
    assert event.sound_ms is not None


def test_sound_before_the_line_is_over_is_a_cut_off_and_has_no_latency() -> None:
    event = one(1000, [(1000 + 700, ANSWERS["short"].pcm)])
    assert event.cut_off
    assert event.content_ms is None
    assert event.sound_ms is None


def test_sound_right_after_the_line_is_no_cut_off() -> None:
    event = one(1000, [(round(END) + 30, ANSWERS["short"].pcm)])
    assert not event.cut_off
    assert event.content_ms == pytest.approx(30, abs=10)


def test_what_the_bot_was_saying_when_the_line_began_is_no_cut_off() -> None:
    event = one(3000, [(500, ANSWERS["long"].pcm)], role="interruption")
    assert not event.cut_off
    assert event.over == "long"


def test_an_interruption_yields_when_the_answer_stops_and_another_comes() -> None:
    cut = ANSWERS["long"].pcm[: 1800 * 8]
    alone = one(2000, [(500, cut)], role="interruption")
    answered = one(2000, [(500, cut), (5000, ANSWERS["short"].pcm)], role="interruption")
    assert alone.silence_ms == pytest.approx(500 + 1800 - 2000 - SOUNDING[0], abs=60)
    assert not alone.yielded
    assert answered.yielded


def test_an_answer_that_is_spoken_to_its_end_was_not_silenced() -> None:
    event = one(2000, [(500, ANSWERS["long"].pcm), (6000, ANSWERS["short"].pcm)], role="interruption")
    assert event.finished
    assert event.silence_ms is None
    assert not event.yielded
    assert event.later_ms == pytest.approx(0, abs=5)
    assert not event.paused


def test_a_pause_that_is_taken_back_is_paused_and_not_killed() -> None:
    answer, at = ANSWERS["long"].pcm, 1700 * 8
    event = one(2000, [(500, answer[:at]), (500 + 1700 + 650, answer[at:])], role="backchannel")
    assert event.paused
    assert not event.killed
    assert event.later_ms == pytest.approx(650, abs=10)


def test_an_answer_that_is_dropped_for_a_noise_was_killed() -> None:
    event = one(2000, [(500, ANSWERS["long"].pcm[: 1900 * 8])], role="noise")
    assert event.killed
    assert not event.paused


def test_an_answer_that_is_told_anew_was_killed() -> None:
    long = ANSWERS["long"].pcm
    event = one(2000, [(500, long[: 1900 * 8]), (5000, long)], role="noise")
    assert event.killed
    assert event.answer == "long"


def test_a_noise_that_met_silence_kills_nothing() -> None:
    event = one(8000, [(500, ANSWERS["long"].pcm)], role="noise")
    assert event.over == ""
    assert not event.killed


def test_each_line_has_its_own_answer() -> None:
    call = recording(
        [(1000, LINE), (7000, LINE)], [(3000, ANSWERS["short"].pcm), (9500, ANSWERS["long"].pcm)]
    )
    first, second = score(call, [line(1000), line(7000)], ANSWERS)
    assert (first.answer, second.answer) == ("short", "long")
    assert second.content_ms == pytest.approx(9500 - 7000 - SOUNDING[1], abs=10)


def test_a_line_is_looked_for_in_the_recording_and_not_believed() -> None:
    call = recording([(1200, LINE)], [])
    assert score(call, [line(1000)], ANSWERS)[0].start_ms == pytest.approx(1200 + SOUNDING[0], abs=1)
    with pytest.raises(LineLostError, match="not on the recording"):
        score(recording([], []), [line(1000)], ANSWERS)


def test_the_greeting_counts_from_the_streams_start() -> None:
    call = recording([], [(900, ANSWERS["short"].pcm)])
    assert greeting(call, 400) == pytest.approx(500, abs=10)
    assert greeting(recording([], []), 400) is None
