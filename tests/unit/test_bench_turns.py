"""From the events of a run to figures: quantiles, ratios with intervals, rates; what a killed run keeps."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.bench import (
    answers,
    deployment,
    model_server,
    turn_figures,
    turn_lines,
    turn_report,
    turns,
)
from scripts.bench.caller import Step
from scripts.bench.servers import BenchError
from scripts.bench.turn_figures import Ratio, rate_interval, ratio_of_quantiles
from scripts.bench.turn_lines import CallPlan, with_pause
from scripts.bench.turn_score import Event
from voicebot.dialogue.deployment import Deployment


def event(role: str = "turn", **values: Any) -> Event:
    """An event of which only some things matter."""
    return Event("line", role, 0.0, 1000.0, **values)


def keys(values: list[float | None]) -> dict[tuple[Any, ...], float | None]:
    """Values by a key of their own."""
    return {(n,): value for n, value in enumerate(values)}


def test_a_ratio_of_quantiles_and_its_interval() -> None:
    rng = np.random.default_rng(1)
    theirs = rng.normal(1000, 100, 200)
    ours = theirs * 0.5 + rng.normal(0, 20, 200)
    found = ratio_of_quantiles(keys(list(ours)), keys(list(theirs)), 0.5)
    assert found.value == pytest.approx(0.5, abs=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.06


def test_the_interval_narrows_with_the_square_root_of_the_turns() -> None:
    rng = np.random.default_rng(2)

    def width(count: int) -> float:
        a, b = rng.normal(500, 100, count), rng.normal(1000, 100, count)
        found = ratio_of_quantiles(keys(list(a)), keys(list(b)), 0.5)
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(25) / width(400) == pytest.approx(4.0, rel=0.5)


def test_only_turns_that_both_were_asked_count_and_a_missing_value_adds_nothing() -> None:
    ours = {("a",): 100.0, ("b",): None, ("only ours",): 9000.0}
    theirs = {("a",): 200.0, ("b",): 400.0, ("only theirs",): 9000.0}
    found = ratio_of_quantiles(ours, theirs, 0.5)
    assert found.value == pytest.approx(100 / 300)
    assert ratio_of_quantiles({}, theirs, 0.5) == Ratio(None)
    assert ratio_of_quantiles({("a",): None}, {("a",): 1.0}, 0.5).value is None


def test_the_same_figures_give_the_same_interval() -> None:
    ours, theirs = keys([100.0, 200.0, 400.0]), keys([300.0, 300.0, 500.0])
    assert ratio_of_quantiles(ours, theirs, 0.95) == ratio_of_quantiles(ours, theirs, 0.95)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 100, 0.0, 0.037), (50, 100, 0.404, 0.596), (100, 100, 0.963, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilsons_interval(hits: int, of: int, low: float, high: float) -> None:
    assert rate_interval(hits, of) == pytest.approx((low, high), abs=0.001)


def test_cut_off_and_unanswered_turns_stand_beside_the_latency_and_not_in_it() -> None:
    figures = turn_figures.turn_figures(
        [
            event(answer="a", content_ms=400.0, sound_ms=400.0),
            event(answer="a", content_ms=600.0, sound_ms=300.0),
            event(cut_off=True),
            event(sound_ms=200.0),
            event(answer="otherwise", content_ms=100.0, sound_ms=100.0),
            event(),
        ]
    )
    assert (figures["turns"], figures["p50"], figures["cut_offs"]) == (6, 500.0, 1)
    assert (figures["answered_otherwise"], figures["unanswered"]) == (2, 1)


def test_interruptions_that_met_silence_are_not_counted_as_yielded() -> None:
    figures = turn_figures.interruption_figures(
        [
            event("interruption", over="a", silence_ms=150.0, yielded=True),
            event("interruption", over="a", finished=True),
            event("interruption"),
        ]
    )
    assert (figures["interruptions"], figures["yielded"], figures["met_silence"]) == (2, 1, 1)
    assert figures["silence_p50"] == 150.0


def test_noises_are_ignored_resumed_or_kill() -> None:
    figures = turn_figures.noise_figures(
        [
            event("noise", over="a", finished=True, later_ms=20.0),
            event("backchannel", over="a", finished=True, later_ms=500.0),
            event("noise", over="a", silence_ms=300.0),
            event("noise"),
        ]
    )
    assert (figures["noises"], figures["ignored"], figures["resumed"], figures["killed"]) == (3, 1, 1, 1)
    assert figures["false_pauses"] == 2


def run_lines() -> list[dict[str, Any]]:
    """A run of one round: two voices, both bots, one overlap call."""
    lines: list[dict[str, Any]] = [{"run": {"model": "m", "calls_at_once": 2}, "machine": "x", "date": "d"}]
    for arm, latency in (("voicebot", 400.0), ("stock", 1000.0)):
        for voice in ("awb", "rms"):
            events = [event(answer="a", content_ms=latency + n, sound_ms=latency + n) for n in range(3)]
            lines.append(call_line(arm, "turns", voice, events))
        overlaps = [
            event("interruption", over="a", silence_ms=latency / 4, yielded=True),
            event("noise", over="a", finished=arm == "voicebot", later_ms=0.0),
        ]
        lines.append(call_line(arm, "overlaps", "rms", overlaps))
        lines.append({"of": arm, "since": "1", "counters": {"x_total": 1.0}})
        lines.append({"of": arm, "since": "1", "counters": {"x_total": 3.0}})
        lines.append({"of": arm, "since": "2", "counters": {"x_total": 4.0}})
    return lines


def call_line(arm: str, part: str, voice: str, events: list[Event]) -> dict[str, Any]:
    """A call as a run's file holds it."""
    return {
        "arm": arm, "part": part, "voice": voice, "round": 0, "greeting_ms": 90.0, "late_ms": 5.0,
        "unsaid": 0, "hung_up_by_bot": False, "violations": [],
        "events": [dataclasses.asdict(one) for one in events],
    }  # fmt: skip


def done(voice: str, line: str, part: str) -> float:
    """Smart-turn that likes one voice."""
    return 0.9 if voice == "awb" else 0.1


def test_a_run_becomes_a_table_with_lines_apart_by_what_smart_turn_says() -> None:
    result = turn_report.compare(run_lines(), done)
    assert result["voices"] == {"awb": 1.0, "rms": 0.0}
    assert result["groups"]["done"]["voicebot"]["turns"] == 3
    assert result["groups"]["all"]["ratio"]["p50"]["value"] == pytest.approx(401 / 1001)
    assert result["discarded"]["voicebot"]["x_total"] == 7.0, "the last of each session"
    assert result["interruptions"]["ratio"]["p50"]["value"] == pytest.approx(0.4)
    table = {row[0]: row[1:] for row in turn_report.rows(result)}
    assert table["answers killed by them"][:3] == ["0 / 1", "–", "1 / 1"]
    assert table["silenced and answered / interruptions"][0] == "1 / 1"
    json.dumps(result)


def test_a_call_with_a_late_clock_is_left_out_and_counted() -> None:
    lines = run_lines()
    lines[1]["late_ms"] = 900.0
    result = turn_report.compare(lines, done)
    assert result["left_out"] == 1
    assert result["groups"]["all"]["voicebot"]["turns"] == 3
    assert result["groups"]["all"]["stock"]["turns"] == 6


def test_no_latency_stands_without_its_cut_offs() -> None:
    titles = [row[0] for row in turn_report.rows(turn_report.compare(run_lines(), done))]
    for at, title in enumerate(titles):
        if "end of words" in title:
            assert titles[at + 2] == "false cut-offs / turns"
        if title.startswith("interruption: to silence"):
            assert any("false pauses" in later for later in titles[at : at + 4])


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    run = turns.Run("m", 2)
    plan = CallPlan("turns", "awb", 0, ())
    book = turns.Book(path, run)
    book.add(call_line("voicebot", "turns", "awb", [event(), event()]))
    with path.open("a") as file:
        file.write('{"arm": "voicebot", "part": "turns", "voi')  # cut while it was written

    again = turns.Book(path, run)

    assert again.has("voicebot", plan)
    assert not again.has("stock", plan)
    assert not again.has("voicebot", dataclasses.replace(plan, round=1))
    assert again.turns("voicebot") == 2
    again.add(call_line("stock", "turns", "awb", [event()]))
    assert turns.Book(path, run).has("stock", plan), "what is written after a cut line is read again"


def test_a_file_of_another_run_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    turns.Book(path, turns.Run("m", 2))
    with pytest.raises(BenchError, match="another run"):
        turns.Book(path, turns.Run("m", 1))


def test_calls_at_once_are_of_one_part_and_round() -> None:
    plans = [CallPlan(part, voice, 0, ()) for part in ("turns", "paused") for voice in ("a", "b", "c")]
    assert [[f"{p.part} {p.voice}" for p in slot] for slot in turns.slots(plans, 2)] == [
        ["turns a", "turns b"],
        ["turns c"],
        ["paused a", "paused b"],
        ["paused c"],
    ]


def test_a_pause_is_put_between_two_sounds() -> None:
    tone = (np.sin(np.arange(8000) * 0.3) * 8000).astype(np.int16)
    gap = np.zeros(400, np.int16)
    line = np.concatenate([gap, tone, gap, tone, gap])
    opened = with_pause(line)
    assert len(opened) == pytest.approx(len(line) + 600 * 8 - 400, abs=160), "the 50 ms become 600"
    quiet = np.flatnonzero(np.abs(opened.astype(int)) > 300)
    assert np.diff(quiet).max() / 8 == pytest.approx(600, abs=25)


def test_every_line_of_the_book_exists_and_over_lines_wait_for_an_answer() -> None:
    plans = turn_lines.plans(list(turns.PARTS), range(2))
    assert {plan.part for plan in plans if plan.round == 0} == set(turns.PARTS)
    assert {plan.part for plan in plans if plan.round == 1} == {"turns"}
    for plan in plans:
        for step in plan.steps:
            assert isinstance(step, Step)
            assert (step.kind == "over") == (step.role in {"interruption", "backchannel", "noise"})


def test_the_benches_deployment_boots_and_lets_a_model_write(tmp_path: Path) -> None:
    book = turn_lines.book()
    deployment.make(tmp_path, intents=turns.INTENTS, greeting=book["greeting"], more=book["more"])
    made = Deployment.load(tmp_path)
    assert made.phrases.spoken["greeting.notice"] == "Hello."
    assert "route: small" in (tmp_path / "business" / "policy.yaml").read_text().split("return_policy:")[1]


def test_the_model_server_answers_the_callers_words_and_not_the_articles() -> None:
    others = "<article>We ship and deliver.</article> <caller>Old words</caller>"
    body = {"messages": [{"content": "system"}, {"content": f"{others}\n<caller>When do you open</caller>"}]}
    _, said = answers.read_answers(turn_lines.BOOK, more=False)
    assert model_server.question(body) == "When do you open"
    server = model_server.served(said)
    assert server.reply is not None
    assert "".join(server.reply(body)) == "We open early every day."
    assert server.first_token_s == 0.25
    _, stock = answers.read_answers(turn_lines.BOOK)
    assert stock.to("When do you open") == "We open early every day. What else?", "voicebot asks by itself"
