"""Calls per core are read from a run's steps as they were: what held, what ended it, what a call cost."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.bench.density_report import (
    CEILINGS,
    Step,
    cpu_per_call,
    line,
    memory_per_call,
    most,
    rows,
    slowed,
    summary,
    words,
)

NONE_SHORT, NONE_LONG = CEILINGS["no underrun"], CEILINGS["no gap over 60 ms"]


def step(calls: int, **known: Any) -> Step:
    """A step in which all went well; a call costs 1 % of a core and 2 MB."""
    usual: dict[str, Any] = {
        "active": calls,
        "valid": True,
        "why_invalid": (),
        "cores": 0.05 + 0.01 * calls,
        "engines": 0.01,
        "parts": {"call node": 0.05 + 0.01 * calls},
        "turns": calls,
        "p50_ms": 400.0,
        "p95_ms": 600.0,
        "speech_s": 100.0,
        "underruns": 0,
        "long_gaps": 0,
        "worst_gap_ms": None,
        "unanswered": 0,
        "refused": 0,
        "cut_offs": 0,
        "mb": 500.0 + 2 * calls,
        "mb_parts": {},
        "late_p99_ms": 1.0,
        "busy": 0.3,
        "loop_late_ms": 1.0,
    }
    return Step(calls=calls, **(usual | known))


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([step(10), step(20), step(40)], (40, "steps")),
        ([step(10), step(20, long_gaps=1), step(40)], (10, "server")),
        ([step(10), step(20, refused=1)], (10, "server")),
        ([step(10), step(20, valid=False)], (10, "callers")),
        ([step(10, long_gaps=2)], (0, "server")),
        ([step(10, underruns=3)], (10, "steps")),
    ],
)
def test_the_most_calls_are_those_up_to_which_every_step_held(
    steps: list[Step], found: tuple[int, str]
) -> None:
    assert most(steps, NONE_LONG) == found


def test_an_underrun_is_one_however_short() -> None:
    steps = [step(10), step(20, underruns=1)]
    assert most(steps, NONE_SHORT) == (10, "server")
    assert most(steps, NONE_LONG) == (20, "steps")


def test_what_a_further_call_costs_leaves_out_what_the_server_costs_without_any() -> None:
    steps = [step(calls) for calls in (10, 20, 40, 80)]
    assert cpu_per_call(steps) == pytest.approx(0.01)
    assert steps[0].core_per_call == pytest.approx(0.015)


def test_memory_is_weighed_between_10_and_40_calls() -> None:
    """Beyond it says nothing; a ladder that does not reach so far is taken as it is."""
    steps = [step(5, mb=0.0), step(10), step(40), step(80, mb=5000.0)]
    assert memory_per_call(steps) == pytest.approx(2.0)
    assert memory_per_call([step(2, mb=100.0), step(4, mb=188.0)]) == pytest.approx(44.0)
    assert memory_per_call([step(10)]) is None


def test_it_is_slow_from_where_p95_is_half_as_much_again() -> None:
    assert slowed([step(2), step(4, p95_ms=740.0), step(8, p95_ms=1000.0)]) == 8
    assert slowed([step(2, p95_ms=100.0), step(4, p95_ms=240.0)]) is None
    assert slowed([step(2), step(4)]) is None


def test_ratios_are_of_medians_over_the_rounds() -> None:
    ours = [[step(10), step(40), step(80)], [step(10), step(40), step(80, long_gaps=9)], [step(10), step(40)]]
    theirs = [[step(2, cores=0.12), step(4, cores=0.24), step(8, cores=0.5, long_gaps=4)]] * 3
    result: dict[str, Any] = {
        "arms": {
            "voicebot": [[one.as_dict() for one in steps] for steps in ours],
            "stock": [[one.as_dict() for one in steps] for steps in theirs],
        }
    }
    result["summary"] = found = summary(result)
    assert found["arms"]["voicebot"]["calls"]["no gap over 60 ms"] == 40
    assert found["arms"]["stock"]["calls"]["no gap over 60 ms"] == 4
    assert found["ratios"]["stock"]["no gap over 60 ms"] == 10.0
    assert found["ratios"]["stock"]["cpu per call"] == pytest.approx(6.36, abs=0.1)
    assert "no gap over 60 ms 10.0x" in words(result)
    assert [row[0] for row in rows(result)][:3] == ["voicebot: 10", "voicebot: 40", "voicebot: 80"]


def test_a_step_that_is_not_to_be_believed_says_so() -> None:
    assert "NOT VALID: late" in line("voicebot", step(10, valid=False, why_invalid=("late",)))
