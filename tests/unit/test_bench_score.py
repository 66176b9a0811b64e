"""The benches' judge: what it reads from a phone's recording is what was put there, to 5 ms."""

from __future__ import annotations

import pytest

from scripts.bench.caller import BenchCaller, Said, Step
from scripts.bench.score import heard_segments, score
from voicebot.proof.simulation.clips import tone
from voicebot.proof.simulation.recording import CallRecording

BEEP = 440.0


def _recording(*beeps: tuple[int, int], length_ms: int = 20_000) -> CallRecording:
    """A call in which the bot was heard in the given (first, last) ms."""
    heard = bytearray(b"\xff" * (length_ms * 8))
    for first, last in beeps:
        heard[first * 8 : last * 8] = tone(last - first, BEEP)
    return CallRecording(said=bytearray(), heard=heard)


def _said(first: int, last: int, kind: str = "after", name: str = "line") -> Said:
    return Said(Step(name, b"", kind, 1000), first, last)  # type: ignore[arg-type]


def test_segments_bridge_pauses_between_words_but_not_between_turns() -> None:
    assert heard_segments(_recording((1000, 1500), (1700, 2000), (2400, 2600))) == [
        pytest.approx((1000, 2000), abs=5),
        pytest.approx((2400, 2600), abs=5),
    ]


def test_latency_runs_from_the_end_of_the_line_to_the_first_sound() -> None:
    result = score(_recording((600, 2000), (4850, 6000)), [_said(3000, 4000)], start_ms=250)

    assert result.greeting_ms == pytest.approx(350, abs=5)
    assert result.turns[0].latency_ms == pytest.approx(850, abs=5)
    assert not result.turns[0].cut_off


def test_an_answer_into_the_line_is_a_cut_off_and_has_no_latency() -> None:
    turn = score(_recording((3600, 5000)), [_said(3000, 4000)], start_ms=0).turns[0]

    assert turn.cut_off
    assert turn.latency_ms is None


def test_the_tail_of_the_bots_own_speech_is_no_cut_off() -> None:
    turn = score(_recording((1000, 3100), (4500, 5000)), [_said(3000, 4000)], start_ms=0).turns[0]

    assert not turn.cut_off
    assert turn.latency_ms == pytest.approx(500, abs=5)


def test_an_interruption_is_measured_to_the_last_sound_of_what_it_interrupts() -> None:
    turn = score(_recording((1000, 3220), (5400, 6000)), [_said(3000, 5000, "over")], start_ms=0).turns[0]

    assert turn.silence_ms == pytest.approx(220, abs=5)
    assert turn.latency_ms == pytest.approx(400, abs=5)


def test_a_line_that_nobody_answers_has_no_latency_and_the_next_line_keeps_its_own() -> None:
    lines = [_said(3000, 4000), _said(8000, 9000)]

    first, second = score(_recording((9500, 10_000)), lines, start_ms=0).turns

    assert first.latency_ms is None
    assert second.latency_ms == pytest.approx(500, abs=5)


def test_the_caller_waits_for_the_bot_and_speaks_over_it_only_when_told() -> None:
    line = tone(500, BEEP)
    steps = [Step("first", line, "after", 1000), Step("second", line, "over", 700)]
    ended: list[int] = []
    caller = BenchCaller(steps, lambda: ended.append(now))
    loud, quiet = tone(20, BEEP), b"\xff" * 160

    for now in range(0, 14_000, 20):
        speaking = 500 <= now < 2000 or 4000 <= now < 5000 or 6000 <= now < 7000
        caller.on_audio(loud if speaking else quiet, now)
        caller.next_frame(now)

    first, second = caller.said
    assert first.start_ms == pytest.approx(2980, abs=40), "a second after the bot's last sound"
    assert second.start_ms == pytest.approx(4700, abs=40), "0.7 s into the answer"
    assert ended[0] == pytest.approx(8500, abs=60), "1.5 s after the last answer"
