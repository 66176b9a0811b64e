"""The server's side of `voicebot call`, printed and as JSON: a waterfall for each turn that has one."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any, cast

from rich.console import Console

from voicebot.runtime.phone import PhoneReport, show_report

TIMINGS = {
    "last_voiced_ms": 2000,
    "vad_ms": 2040,
    "eager_ms": 2100,
    "eager_planned_ms": 2110,
    "held_ms": 2130,
    "turn_ended_ms": 2300,
    "final_ms": 2305,
    "planned_ms": 2306,
    "committed_ms": 2312,
    "first_clause_ms": 2312,
    "first_audio_ms": 2313,
    "first_heard_ms": 2350,
    "finished_ms": 5000,
    "early": True,
}
OLDER = {"last_voiced_ms": 1000, "turn_ended_ms": 1300, "first_heard_ms": 1500}
"""As a version before this one stored it."""


@dataclass
class Analysis:
    """Nobody was interrupted."""

    barge_ins: tuple[Any, ...] = ()


@dataclass
class Result:
    """The caller's side of a call, as far as a report shows it."""

    steps: tuple[Any, ...] = ()
    violations: tuple[str, ...] = ()
    agents: tuple[Any, ...] = ()
    dead_air: tuple[Any, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)

    def as_dict(self) -> dict[str, Any]:
        return {"ok": True, "turn_latency_ms": {"p50": None, "p95": None}}


def report(*turns: dict[str, Any]) -> PhoneReport:
    return PhoneReport(cast("Any", Result()), {"turns": list(turns)})


def printed(one: PhoneReport) -> str:
    out = io.StringIO()
    show_report(one, Console(file=out, width=80))
    return out.getvalue()


def test_each_turn_with_moments_is_drawn_within_the_terminal() -> None:
    shown = printed(
        report({"turn": 1, "timings": OLDER}, {"turn": 2, "timings": TIMINGS}, {"turn": 3, "timings": None})
    )
    assert "turn 1, heard after 0.50 s" in shown
    assert "turn 2, heard after 0.35 s, planned early" in shown
    assert "waits for the end" in shown
    assert "turn 3" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_the_json_has_the_hops_of_each_turn() -> None:
    given = json.loads(json.dumps(report({"turn": 2, "timings": TIMINGS}).as_dict()))
    assert given["ok"] is True
    (waterfall,) = given["waterfalls"]
    assert (waterfall["turn"], waterfall["early"], waterfall["waited_ms"]) == (2, True, 350)
    path = [hop for hop in waterfall["hops"] if not hop["ahead"]]
    assert sum(hop["ms"] for hop in path) == 350
    assert {"hop": "early_plan", "ms": 10, "ahead": True} in waterfall["hops"]


def test_a_server_whose_api_is_closed_has_none() -> None:
    closed = PhoneReport(cast("Any", Result()))
    assert closed.as_dict()["waterfalls"] == []
    assert "waits for the end" not in printed(closed)
