"""A turn's moments become hops that add up to what the caller waited, and bars that fit a terminal."""

from __future__ import annotations

import pytest

from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.conversation import TurnTimings
from voicebot.core.waterfall import hops, waited_ms
from voicebot.proof.simulation.waterfall import draw, headline

SPOKEN = TurnTimings(
    last_voiced_ms=2000,
    vad_ms=2040,
    eager_ms=2130,
    eager_planned_ms=2150,
    held_ms=2190,
    turn_ended_ms=2300,
    final_ms=2305,
    planned_ms=2306,
    committed_ms=2312,
    first_clause_ms=2312,
    first_audio_ms=2316,
    first_heard_ms=2420,
    finished_ms=5000,
    early=True,
)


def test_the_hops_on_the_path_add_up_to_the_wait() -> None:
    path = [hop for hop in hops(SPOKEN) if not hop.ahead]
    assert sum(hop.ms for hop in path) == waited_ms(SPOKEN) == 420
    assert [hop.name for hop in path] == [
        "seen", "end", "words", "plan", "commit", "clause", "sound", "line",
    ]  # fmt: skip


def test_nothing_was_heard_before_it_was_sent() -> None:
    """A mark that seems to lie before its sound is another clock's: the wait is not made shorter by it."""
    early_mark = SPOKEN.model_copy(update={"first_heard_ms": (SPOKEN.first_audio_ms or 0) - 21})
    assert early_mark.last_voiced_ms is not None
    assert waited_ms(early_mark) == (SPOKEN.first_audio_ms or 0) - early_mark.last_voiced_ms
    assert waited_ms(early_mark) == sum(hop.ms for hop in hops(early_mark) if not hop.ahead)


def test_what_was_made_ahead_lies_beside_the_path() -> None:
    ahead = {hop.name: hop.ms for hop in hops(SPOKEN) if hop.ahead}
    assert ahead == {"early_words": 90, "early_plan": 20, "early_sound": 40}


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        pytest.param(TurnTimings(), [], id="nothing"),
        pytest.param(TurnTimings(planned_ms=5), [], id="one moment is no hop"),
        pytest.param(
            TurnTimings(planned_ms=5, first_audio_ms=30), [("sound", 25)], id="a greeting has no caller"
        ),
        pytest.param(
            TurnTimings(turn_ended_ms=100, planned_ms=110, first_heard_ms=150),
            [("plan", 10), ("line", 40)],
            id="keys begin where they end",
        ),
        pytest.param(
            TurnTimings(last_voiced_ms=100, first_audio_ms=160, first_heard_ms=155),
            [("sound", 60), ("line", 0)],
            id="two clocks meet",
        ),
    ],
)
def test_what_did_not_happen_is_left_out(timings: TurnTimings, expected: list[tuple[str, int]]) -> None:
    assert [(hop.name, hop.ms) for hop in hops(timings)] == expected


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_drawing_fits_and_every_hop_has_a_bar_where_it_was(width: int) -> None:
    lines = draw(SPOKEN, width=width)
    assert len(lines) == len(hops(SPOKEN))
    assert all(len(line) <= width for line in lines)
    assert all(any(mark in line for mark in "█░▏") for line in lines)
    assert lines[4].split()[-2:] == ["260", "ms"]  # waits for the end
    path = [line for line, hop in zip(lines, hops(SPOKEN), strict=True) if not hop.ahead]
    columns = [min(line.find(mark) for mark in "█▏" if mark in line) for line in path]
    assert columns == sorted(columns)
    assert draw(TurnTimings()) == []


def test_the_headline_says_what_counts() -> None:
    assert headline(SPOKEN) == "heard after 0.42 s, planned early"
    assert headline(TurnTimings()) == ""


def test_moments_are_noted_once_and_early_is_no_moment() -> None:
    seen = Waterfall(lambda: 7, last_voiced_ms=3)
    seen.note("planned_ms")
    seen.note("planned_ms", 9)
    assert seen.timings() == TurnTimings(last_voiced_ms=3, planned_ms=7)
    seen.early = False
    assert seen.timings().early is False
    with pytest.raises(KeyError):
        seen.note("early", 1)
