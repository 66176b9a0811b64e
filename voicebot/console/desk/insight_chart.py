"""A figure by day as a chart: its line, its target as a band, and how many cases each day had. Pure.

Colours are the sheet's own properties, which the browser fills in: a chart is light or dark as its page is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicebot.console.desk.insight_words import TOLD, number
from voicebot.console.figures import MADE, Name

_SOFT = {"color": "var(--soft)", "fontSize": 12}


def options(name: Name, days: Sequence[Mapping[str, Any]], least: int) -> dict[str, Any]:
    """Options of an ECharts chart drawn as SVG. ``days``: rows of the API, one a day, the oldest first."""
    of = [day["figures"][name]["of"] for day in days]
    figure = days[-1]["figures"][name]
    values = [_shown(name, day["figures"][name]["value"]) for day in days]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 12, "top": 16, "bottom": 8, "containLabel": True},
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": "var(--card)",
            "borderColor": "var(--edge)",
            "textStyle": {"color": "var(--ink)"},
            "confine": True,
        },
        "xAxis": {
            "type": "category",
            "data": [day["key"] for day in days],
            "axisLabel": {**_SOFT, ":formatter": "(day) => day.slice(5)"},
            "axisLine": {"lineStyle": {"color": "var(--edge)"}},
            "axisTick": {"show": False},
        },
        "yAxis": [
            {
                "type": "value",
                **_edges(name, figure),
                "axisLabel": {**_SOFT, "formatter": _unit(name)},
                "splitLine": {"lineStyle": {"color": "var(--line)"}},
            },
            {
                "type": "value",
                "min": 0,
                "max": 4 * max([*of, 1]),
                "axisLabel": {"show": False},
                "splitLine": {"show": False},
            },
        ],
        "series": [
            {
                "name": "cases",
                "type": "bar",
                "yAxisIndex": 1,
                "data": of,
                "itemStyle": {"color": "var(--edge)", "opacity": 0.28},
                "barMaxWidth": 22,
                "silent": True,
            },
            {
                "name": TOLD[name].name,
                "type": "line",
                "data": [
                    {"value": value, "symbol": "circle" if n >= least else "emptyCircle"}
                    for value, n in zip(values, of, strict=True)
                ],
                "symbolSize": 8,
                "connectNulls": False,
                "lineStyle": {"color": "var(--accent)", "width": 2.5},
                "itemStyle": {"color": "var(--accent)"},
                "emphasis": {"disabled": True},
                "markArea": _band(name, figure),
            },
        ],
        "aria": {"enabled": False},
    }


def label(name: Name, days: Sequence[Mapping[str, Any]]) -> str:
    """What a screen reader says of the chart; the table below has every day."""
    known = [day for day in days if day["figures"][name]["value"] is not None]
    if not known:
        return f"{TOLD[name].name} by day: nothing was measured."
    ranked = sorted(known, key=lambda day: day["figures"][name]["value"])
    low, high = ranked[0], ranked[-1]
    return (
        f"{TOLD[name].name} by day, from {number(name, low['figures'][name]['value'])} on {low['key']} "
        f"to {number(name, high['figures'][name]['value'])} on {high['key']}. The table below has every day."
    )


def _shown(name: Name, value: float | None) -> float | None:
    if value is None:
        return None
    return round(value * 100, 1) if MADE[name].unit == "rate" else round(value, 2)


def _unit(name: Name) -> str:
    return {"rate": "{value} %", "s": "{value} s", "score": "{value}"}[MADE[name].unit]


def _edges(name: Name, figure: Mapping[str, Any]) -> dict[str, Any]:
    match MADE[name].unit:
        case "rate":
            return {"min": 0, "max": 100}
        case "score":
            return {"min": 1, "max": 5}
        case "s":
            high = figure["high"]
            return (
                {"min": 0} if high is None else {"min": 0, ":max": f"(at) => Math.max(at.max, {high * 1.2})"}
            )


def _band(name: Name, figure: Mapping[str, Any]) -> dict[str, Any]:
    low, high = _shown(name, figure["low"]), _shown(name, figure["high"])
    if low is None and high is None:
        return {"data": []}
    edges = _edges(name, figure)
    begin = edges["min"] if low is None else low
    end: Any = edges.get("max", "max") if high is None else high
    return {
        "silent": True,
        "itemStyle": {"color": "var(--good)", "opacity": 0.14},
        "data": [[{"yAxis": begin}, {"yAxis": end}]],
    }
