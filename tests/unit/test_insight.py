"""Figures are told as they are: alarms on both sides with their cases, too few cases never an alarm.

An address that makes no sense shows a page all the same; a file for a spreadsheet holds no formula.
"""

from __future__ import annotations

import csv
from datetime import date
from typing import Any

import pytest

from voicebot.console.desk import insight_chart, insight_words
from voicebot.console.desk.insight_asked import Asked
from voicebot.console.desk.insight_export import written
from voicebot.console.desk.insight_words import COLUMNS, GROUPS, TOLD
from voicebot.console.figures import MADE, Name
from voicebot.console.kpis import PLAIN


def figure(value: float | None, of: int = 1203, low: float | None = None, high: float | None = None,
           alarm: str | None = None) -> dict[str, Any]:  # fmt: skip
    return {"value": value, "of": of, "low": low, "high": high, "alarm": alarm}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("containment", 0.725, "72.5 %"), ("containment", 0.0, "0.0 %"), ("csat", 4.314, "4.31"),
        ("turn_latency_p50_s", 0.84, "0.84 s"), ("resolution_simple_s", 20.73, "20.7 s"),
        ("resolution_complex_s", 300, "5 min"), ("safe_escalation_p95_s", 125.4, "2 min 5 s"),
        ("safe_escalation_p95_s", 7260, "2 h 1 min"), ("kb_gap", None, "-"),
    ],
)  # fmt: skip
def test_a_figure_is_read_in_its_unit(name: Name, value: float | None, words: str) -> None:
    assert insight_words.number(name, value) == words


@pytest.mark.parametrize(
    ("name", "low", "high", "words"),
    [
        ("containment", 0.6, 0.8, "60 to 80 %"), ("csat", 4.5, None, "at least 4.50"),
        ("resolution_simple_s", None, 30, "at most 30 s"),
        ("resolution_complex_s", None, 300, "at most 5 min"), ("escalation", 0.205, 0.4, "20.5 to 40 %"),
        ("repeat", None, None, ""),
    ],
)  # fmt: skip
def test_where_it_should_be(name: Name, low: float | None, high: float | None, words: str) -> None:
    assert insight_words.target(name, figure(0.5, low=low, high=high)) == words


def test_alarms_are_said_on_both_sides_with_their_cases() -> None:
    high = insight_words.alarm("containment", figure(0.86, 1203, 0.6, 0.8, "high"), 20)
    assert high == (
        "Containment is too high: 86.0 % of 1,203 cases, meant is 60 to 80 %. "
        "Too good is a sign too: callers may not get through to people."
    )
    low = insight_words.alarm("csat", figure(3.9, 31, 4.5, None, "low"), 20)
    assert low is not None
    assert low.startswith("Satisfaction is too low: 3.90 of 31 ratings, meant is at least 4.50.")
    few = figure(0.1, 3, 0.6, 0.8, "few")
    assert insight_words.alarm("containment", few, 20) is None
    assert insight_words.mark(few, 20) == "few cases"
    assert insight_words.unsure({"containment": few, "csat": figure(4.9)}, 20) == (
        "Too few cases to say, fewer than 20: Containment (3)."
    )
    assert insight_words.mark(figure(0.5, 0), 20) == ""
    assert insight_words.mark(figure(0.5, 20), 20) == ""


def test_every_figure_is_told_and_stands_in_one_group() -> None:
    grouped = [name for _, names in GROUPS for name in names]
    assert sorted(grouped) == sorted(MADE) == sorted(TOLD)
    assert {*COLUMNS, *PLAIN} <= set(MADE)
    lists = {name for name, made in MADE.items() if made.part is not None}
    assert lists == {name for name, told in TOLD.items() if told.counted and told.rest}


def days(*values: float | None, of: int = 50, **band: float) -> list[dict[str, Any]]:
    return [
        {
            "key": f"2026-11-{n:02}",
            "figures": {"containment": figure(value, of if value is not None else 0, **band)},
        }
        for n, value in enumerate(values, 1)
    ]  # fmt: skip


def test_a_chart_has_a_gap_where_nothing_was_measured_its_target_and_hollow_points_of_few_cases() -> None:
    rows = days(0.5, None, 0.75, low=0.6, high=0.8)
    rows[2]["figures"]["containment"]["of"] = 3
    made = insight_chart.options("containment", rows, 20)
    bars, line = made["series"]
    assert [point["value"] for point in line["data"]] == [50.0, None, 75.0]
    assert [point["symbol"] for point in line["data"]] == ["circle", "emptyCircle", "emptyCircle"]
    assert line["markArea"]["data"] == [[{"yAxis": 60.0}, {"yAxis": 80.0}]]
    assert bars["data"] == [50, 0, 3]
    assert "#" not in repr(made), "colours are the page's"
    assert insight_chart.label("containment", rows) == (
        "Containment by day, from 50.0 % on 2026-11-01 to 75.0 % on 2026-11-03."
        " The table below has every day."
    )
    assert insight_chart.options("containment", days(0.5), 20)["series"][1]["markArea"]["data"] == []


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({}, Asked()),
        ({"days": "7", "figure": "csat", "by": "channel"}, Asked(7, figure="csat", by="channel")),
        ({"from": "2026-11-01", "to": "2026-11-20"}, Asked(30, date(2026, 11, 1), date(2026, 11, 20))),
        ({"from": "2026-11-20", "to": "2026-11-01"}, Asked()),
        ({"from": "yesterday", "to": "2026-11-01", "days": "-1", "figure": "luck", "by": "x"}, Asked()),
        ({"days": "9999999999999", "skip": "x", "side": "left"}, Asked()),
        ({"days": "٣"}, Asked()),
        ({"days": "00010000", "skip": "1" * 7}, Asked()),
        ({"days": "0001" + "0" * 5000}, Asked()),
        ({"key": "", "side": "rest", "skip": "50"}, Asked(key="", side="rest", skip=50)),
    ],
)
def test_an_address_says_what_is_shown_and_a_wrong_one_the_usual(query: dict[str, str], asked: Asked) -> None:
    assert Asked.of(query) == asked


def test_an_address_leads_back_to_the_same_view() -> None:
    asked = Asked(7, figure="csat", by="segment", key="a&b=c", side="all", skip=50)
    assert asked.at() == "/insight?days=7&figure=csat&by=segment"
    there = asked.at("/insight/conversations")
    assert there.endswith("&side=all&key=a%26b%3Dc&skip=50")
    assert (
        Asked(30, date(2026, 11, 1), date(2026, 11, 2))
        .at(days=7, first=None, last=None)
        .startswith("/insight?days=7&")
    )


def test_a_list_of_the_whole_figure_is_of_conversations_whatever_rows_are_by() -> None:
    """Who asked for a person and for nothing else has no row by intent."""
    asked = Asked.of({"by": "intent", "figure": "escalation"})
    assert "by" not in asked.cases()
    assert "key" not in asked.cases()
    row = Asked.of({"by": "intent", "key": ""}).cases()
    assert (row["by"], row["key"]) == ("intent", "")


def test_a_file_has_every_row_once_and_no_formula() -> None:
    def row(key: str, n: int) -> dict[str, Any]:
        return {"key": key, "counts": {"wanted": n}, "figures": {"containment": figure(0.5, n)}}

    by_day = {"by": "day", "overall": row("", 9), "rows": [row("2026-11-01", 4), row("2026-11-02", 5)]}
    by_intent = {"by": "intent", "rows": [row("warranty", 3), row("=HYPERLINK(1)", 6)]}
    table = [*csv.reader(written(by_day, by_intent).splitlines())]
    assert table[0] == ["by", "key", "wanted", "containment", "containment_of"]
    assert [line[:3] for line in table[1:]] == [
        ["all", "", "9"], ["day", "2026-11-01", "4"], ["day", "2026-11-02", "5"],
        ["intent", "warranty", "3"], ["intent", "'=HYPERLINK(1)", "6"],
    ]  # fmt: skip
    assert len([*csv.reader(written(by_day, by_day).splitlines())]) == 4
    assert written({"overall": None, "rows": []}, by_day) == "by,key\r\n"
