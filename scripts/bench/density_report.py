"""Steps of ``density`` in figures: what held, calls per core, CPU and memory per call. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.bench import report
from voicebot.proof.loadtest.figures import StepFigures

LONG_MS = 60.0
LATENCY_TIMES = 1.5
LATENCY_MORE_MS = 150.0
MEMORY_CALLS = (10, 40)
ENGINE = "engine "


@dataclass(frozen=True)
class Step:
    """So many calls at once.

    ``cores``: CPU of the server without its engines, in cores, and ``parts`` of it; ``engines``: theirs.
    ``gaps_ms``: worst hole in the bot's speech. ``mb``: PSS of all processes while all calls were on.
    ``busy``: of the callers' core, by the callers.
    """

    calls: int
    active: int
    valid: bool
    why_invalid: tuple[str, ...]
    cores: float
    engines: float
    parts: dict[str, float]
    turns: int
    p50_ms: float | None
    p95_ms: float | None
    speech_s: float
    underruns: int
    long_gaps: int
    worst_gap_ms: float | None
    unanswered: int
    refused: int
    cut_offs: int
    mb: float | None
    mb_parts: dict[str, float]
    late_p99_ms: float
    busy: float
    loop_late_ms: float | None

    @property
    def core_per_call(self) -> float:
        """Share of a core that a call costs: CPU seconds per second of a call."""
        return self.cores / self.calls

    def holds(self, ceiling: Callable[[Step], bool]) -> bool:
        """Whether the server carried it, and callers who kept time say so."""
        return self.valid and not self.refused and ceiling(self)

    def as_dict(self) -> dict[str, Any]:
        """JSON able."""
        return asdict(self)


CEILINGS: dict[str, Callable[[Step], bool]] = {
    "no underrun": lambda step: step.underruns == 0,
    "no gap over 60 ms": lambda step: step.long_gaps == 0,
}


def step_of(figures: StepFigures, mb: dict[str, float], active: int) -> Step:
    """A step of a load test as it counts here."""
    server = figures.server
    parts = {} if server is None else server.by_part
    own = {part: cores for part, cores in parts.items() if not part.startswith(ENGINE)}
    return Step(
        calls=figures.calls,
        active=active,
        valid=figures.valid,
        why_invalid=figures.why_invalid,
        cores=round(sum(own.values()), 4),
        engines=round(sum(parts.values()) - sum(own.values()), 4),
        parts=own,
        turns=figures.turns,
        p50_ms=figures.latency.p50,
        p95_ms=figures.latency.p95,
        speech_s=figures.speech_s,
        underruns=figures.gaps.count,
        long_gaps=round(figures.long_gaps_a_100_s * figures.speech_s / 100),
        worst_gap_ms=figures.gaps.worst,
        unanswered=figures.unanswered,
        refused=figures.refused,
        cut_offs=figures.cut_offs,
        mb=round(sum(mb.values()), 1) if mb else None,
        mb_parts={part: round(one, 1) for part, one in sorted(mb.items())},
        late_p99_ms=figures.generator["late_p99_ms"],
        busy=figures.generator["busiest_core"],
        loop_late_ms=None if server is None else server.loop_lag_ms,
    )


def most(steps: Sequence[Step], ceiling: Callable[[Step], bool]) -> tuple[int, str]:
    """Calls of the highest step up to which every one held, and what ended it.

    The end is ``server`` (the next did not hold), ``callers`` (they no longer kept time: at least so many) or
    ``steps`` (there were no more: at least so many).
    """
    held = 0
    for step in steps:
        if not step.valid:
            return held, "callers"
        if not step.holds(ceiling):
            return held, "server"
        held = step.calls
    return held, "steps"


def slowed(steps: Sequence[Step]) -> int | None:
    """The fewest calls with a p95 over 1.5 times that of the lightest step (and by 150 ms); None: none."""
    first = steps[0].p95_ms
    for step in steps[1:]:
        if first is None or step.p95_ms is None:
            continue
        if step.p95_ms > max(first * LATENCY_TIMES, first + LATENCY_MORE_MS):
            return step.calls
    return None


def per_call(steps: Sequence[Step], value: Callable[[Step], float | None]) -> float | None:
    """By how much a value grows with each call, least squares; None of fewer than two steps."""
    points = [(step.calls, found) for step in steps if (found := value(step)) is not None]
    return report.slope(points) if len(points) > 1 else None


def cpu_per_call(steps: Sequence[Step]) -> float | None:
    """Share of a core that a further call costs."""
    return per_call(steps, lambda step: step.cores)


def memory_per_call(steps: Sequence[Step]) -> float | None:
    """MB per call between 10 and 40 calls; over all steps where fewer than two lie there."""
    low, high = MEMORY_CALLS
    inside = [step for step in steps if low <= step.calls <= high]
    return per_call(inside if len(inside) > 1 else steps, lambda step: step.mb)


def rounds_of(result: dict[str, Any], arm: str) -> list[list[Step]]:
    """An arm's steps, round by round."""
    return [[Step(**step) for step in steps] for steps in result["arms"][arm]]


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Medians over the rounds, by arm, and each stock arm's ratio to voicebot."""
    arms: dict[str, Any] = {}
    for arm in result["arms"]:
        rounds = [steps for steps in rounds_of(result, arm) if steps]
        if not rounds:
            continue
        ended = {name: [most(steps, ceiling) for steps in rounds] for name, ceiling in CEILINGS.items()}
        fullest = [max(steps, key=lambda step: step.calls) for steps in rounds]
        arms[arm] = {
            "calls": {name: report.median([calls for calls, _ in found]) for name, found in ended.items()},
            "ended_by": {name: [why for _, why in found] for name, found in ended.items()},
            "core_per_call": _median(rounds, cpu_per_call),
            "core_per_call_at_most": report.median([step.core_per_call for step in fullest]),
            "mb_per_call": _median(rounds, memory_per_call),
            "slowed_from": report.median([slowed(steps) for steps in rounds]),
        }
    ours = arms.get("voicebot")
    ratios = {} if ours is None else {arm: _ratios(ours, of) for arm, of in arms.items() if arm != "voicebot"}
    return {"arms": arms, "ratios": ratios}


def _median(
    rounds: Sequence[Sequence[Step]], value: Callable[[Sequence[Step]], float | None]
) -> float | None:
    return report.median([value(steps) for steps in rounds])


def _ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float | None]:
    def over(a: float | None, b: float | None) -> float | None:
        return round(a / b, 2) if a and b else None

    found = {name: over(ours["calls"][name], theirs["calls"][name]) for name in CEILINGS}
    return {
        **found,
        "cpu per call": over(theirs["core_per_call"], ours["core_per_call"]),
        "cpu per call, at the most calls": over(
            theirs["core_per_call_at_most"], ours["core_per_call_at_most"]
        ),
        "memory per call": over(theirs["mb_per_call"], ours["mb_per_call"]),
    }


HEAD = (
    "calls on one core",
    "core per call",
    "underruns",
    "over 60 ms",
    "latency p50",
    "p95",
    "unanswered",
    "refused",
    "MB",
    "callers late p99",
    "believed",
)


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per arm and number of calls; medians over the rounds."""
    table: list[list[str]] = []
    for arm in result["arms"]:
        found: dict[int, list[Step]] = {}
        for steps in rounds_of(result, arm):
            for step in steps:
                found.setdefault(step.calls, []).append(step)
        for calls, same in sorted(found.items()):
            table.append([f"{arm}: {calls}", *_row(same)])
    return table


def _row(same: Sequence[Step]) -> list[str]:
    def middle(value: Callable[[Step], float | None], digits: int = 0) -> str:
        return report.show(report.median([value(step) for step in same]), digits)

    cost = report.median([step.core_per_call for step in same])
    return [
        "–" if cost is None else f"{cost:.2%}",
        middle(lambda step: step.underruns),
        middle(lambda step: step.long_gaps),
        middle(lambda step: step.p50_ms),
        middle(lambda step: step.p95_ms),
        middle(lambda step: step.unanswered),
        middle(lambda step: step.refused),
        middle(lambda step: step.mb),
        middle(lambda step: step.late_p99_ms, 1),
        f"{sum(step.valid for step in same)} of {len(same)}",
    ]


def line(arm: str, step: Step) -> str:
    """A step for whoever watches."""
    parts = ", ".join(f"{part} {cores:.3f}" for part, cores in step.parts.items())
    return (
        f"{arm} {step.calls} ({step.active} on): {step.core_per_call:.2%} of a core per call ({parts}; "
        f"engines {step.engines:.3f}), {step.underruns} underruns, {step.long_gaps} over 60 ms "
        f"(worst {report.show(step.worst_gap_ms)}), "
        f"latency {report.show(step.p50_ms)}/{report.show(step.p95_ms)} of {step.turns} turns, "
        f"{step.unanswered} unanswered, {step.cut_offs} cut off, {step.refused} refused, "
        f"{report.show(step.mb)} MB, callers late {step.late_p99_ms:.1f} busy {step.busy:.0%}"
        + ("" if step.valid else f" NOT VALID: {'; '.join(step.why_invalid)}")
    )


_ENDS = {
    "server": "the next step did not hold",
    "callers": "at least: the callers kept time no longer",
    "steps": "at least: there was no further step",
}


def words(result: dict[str, Any]) -> str:
    """The result in sentences."""
    found = result["summary"]
    said: list[str] = []
    for arm, of in found["arms"].items():
        for name in CEILINGS:
            why = max(set(of["ended_by"][name]), key=of["ended_by"][name].count)
            said.append(f"{arm}, {name}: {report.show(of['calls'][name])} calls on a core ({_ENDS[why]}).")
        cost = of["core_per_call"]
        said.append(
            f"{arm}: a further call costs {'–' if cost is None else f'{cost:.2%}'} of a core and "
            f"{report.show(of['mb_per_call'], 1)} MB; at the most calls of the run a call costs "
            f"{of['core_per_call_at_most']:.2%}."
        )
    for arm, of in found["ratios"].items():
        said.append(
            f"voicebot against {arm}: " + ", ".join(f"{name} {report.show(r, 1)}x" for name, r in of.items())
        )
    return "\n".join(said)


def read(path: Path) -> dict[str, Any]:
    """What ``--out`` kept."""
    return json.loads(path.read_text())


def into_docs(result: dict[str, Any]) -> None:
    """The table and its sentences into docs/benchmarks.md, between the markers ``density``."""
    from scripts.bench.all import PAGE, insert

    said = "\n".join(f"- {one}" for one in words(result).splitlines())
    table = report.markdown_table(HEAD, rows(result)) + "\n\n" + said
    PAGE.write_text(insert(PAGE.read_text(), "density", result, table))
