"""The figures: what each is made of, and on which side of its target it lies. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicebot.console.targets import Alarm, Band, Targets, held
from voicebot.core.conversation import Strict
from voicebot.core.store.kpi_days import Tally

Unit = Literal["rate", "s", "score"]
Name = Literal[
    "containment", "satisfied_deflection", "escalation", "escalation_precision", "missed_escalation",
    "resolution", "resolution_by_bot", "first_contact", "first_contact_by_bot", "repeat", "abandonment",
    "first_useful_p50_s", "first_useful_p95_s", "resolution_simple_s", "resolution_complex_s",
    "safe_escalation_p50_s", "safe_escalation_p95_s", "turn_latency_p50_s", "turn_latency_p95_s",
    "kb_gap", "csat",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Making:
    """How a figure is made of what `voicebot.core.store.kpis` counts.

    ``part`` of ``whole``: the units that count and those of which they are a part, as lists know them.
    ``sums``: what to divide by what. ``times``: of a measured figure, and ``share``: which percentile.
    ``shown``: what a list shows of each case; ``worst``: where the worst lie.
    """

    unit: Unit
    whole: str
    part: str | None = None
    sums: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    times: str | None = None
    share: float = 0.5
    shown: str | None = None
    worst: Literal["most", "least"] = "most"


def _rate(part: str, whole: str) -> Making:
    return Making("rate", whole, part, ((part,), (whole,)))


def _seconds(whole: str, times: str, shown: str, share: float = 0.5) -> Making:
    return Making("s", whole, times=times, share=share, shown=shown)


MADE: dict[Name, Making] = {
    "containment": _rate("contained", "wanted"),
    "satisfied_deflection": _rate("satisfied", "rated_contained"),
    "escalation": _rate("escalated", "wanted"),
    "escalation_precision": Making("rate", "judged", "agreed", (("agree",), ("agree", "disagree"))),
    "missed_escalation": _rate("missed", "wanted"),
    "resolution": _rate("settled", "wanted"),
    "resolution_by_bot": _rate("resolved", "wanted"),
    "first_contact": _rate("first_settled", "first_contacts"),
    "first_contact_by_bot": _rate("first_resolved", "first_contacts"),
    "repeat": _rate("asked_again", "told_apart"),
    "abandonment": _rate("abandoned", "wanted"),
    "first_useful_p50_s": _seconds("answered", "first_useful_ms", "first_useful_s"),
    "first_useful_p95_s": _seconds("answered", "first_useful_ms", "first_useful_s", 0.95),
    "resolution_simple_s": _seconds("simple", "simple_ms", "took_s"),
    "resolution_complex_s": _seconds("complex", "complex_ms", "took_s"),
    "safe_escalation_p50_s": _seconds("came", "safe_ms", "safe_s"),
    "safe_escalation_p95_s": _seconds("came", "safe_ms", "safe_s", 0.95),
    "turn_latency_p50_s": _seconds("timed", "waited_ms", "longest_wait_s"),
    "turn_latency_p95_s": _seconds("timed", "waited_ms", "longest_wait_s", 0.95),
    "kb_gap": Making("rate", "asked", "gaps", (("gaps",), ("gaps", "grounded"))),
    "csat": Making("score", "rated", sums=(("score",), ("rated",)), shown="score", worst="least"),
}
"""In the order in which they are shown."""


class Figure(Strict):
    """One figure. ``value``: None without a case; ``of``: how many cases it is made of."""

    value: float | None
    of: int
    low: float | None
    high: float | None
    alarm: Alarm | None


def figures(tally: Tally, targets: Targets) -> dict[str, Figure]:
    """The figures of some days."""
    found: dict[str, Figure] = {}
    for name, made in MADE.items():
        value, of = _made(tally, made)
        band: Band = getattr(targets, name)
        alarm = held(value, of, band, targets.least)
        found[name] = Figure(value=value, of=of, low=band.low, high=band.high, alarm=alarm)
    return found


def _made(tally: Tally, made: Making) -> tuple[float | None, int]:
    if made.times is not None:
        seconds = tally.seconds(made.times, made.share)
        return None if seconds is None else round(seconds, 3), tally.measured(made.times)
    assert made.sums is not None
    part, whole = (sum(tally.counts.get(name, 0) for name in names) for names in made.sums)
    return (round(part / whole, 4) if whole else None), whole
