"""From the events of many calls to figures: quantiles, ratios with a bootstrap interval, rates. Pure.

A ratio is a figure of ours divided by the same figure of the stock bot. Its interval comes from drawing whole
turns (the same line of the same voice in the same round on both bots) with replacement, 2,000 times, seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.bench import report
from scripts.bench.turn_score import Event

DRAWS = 2000
NOT_SPEECH = ("backchannel", "noise")
OTHERWISE = "otherwise"
"""What the answer to words that nobody understood is called."""


@dataclass(frozen=True)
class Scored:
    """An event and where it belongs. ``key`` is the same on every arm: round, voice, place in the call.

    ``sounds_done``: smart-turn's probability that the line is finished, when the stock bot asks.
    """

    arm: str
    key: tuple[Any, ...]
    voice: str
    event: Event
    sounds_done: float


@dataclass(frozen=True)
class Ratio:
    """Ours / theirs with a 95 % interval; None where a side has no value."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        spread = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{spread}"


def ratio_of_quantiles(
    ours: Mapping[tuple[Any, ...], float | None],
    theirs: Mapping[tuple[Any, ...], float | None],
    share: float,
    *,
    draws: int = DRAWS,
) -> Ratio:
    """Quantile of ours / quantile of theirs, over the keys that both arms have.

    A key whose value is None (cut off, unanswered) takes part in the drawing and adds nothing to its side.
    """
    keys = sorted(set(ours) & set(theirs), key=repr)
    a = np.array([_number(ours[key]) for key in keys])
    b = np.array([_number(theirs[key]) for key in keys])
    if not keys or np.isnan(a).all() or np.isnan(b).all():
        return Ratio(None)
    value = float(_quantiles(a[None], share)[0] / _quantiles(b[None], share)[0])
    some = np.random.default_rng(0).integers(len(keys), size=(draws, len(keys)))
    drawn = _quantiles(a[some], share) / _quantiles(b[some], share)
    drawn = drawn[~np.isnan(drawn)]
    return Ratio(value, float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975)))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _quantiles(rows: np.ndarray, share: float) -> np.ndarray:
    """Of each row's numbers, interpolated; NaN without any. (NumPy's own takes seconds for this.)"""
    ordered = np.sort(rows, axis=1)  # NaN comes last
    count = (~np.isnan(rows)).sum(axis=1)
    at = share * np.maximum(count - 1, 0)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    row = np.arange(len(rows))
    below, above = ordered[row, low], ordered[row, high]
    return below + (above - below) * (at - low)


def rate_interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; (0, 1) of nothing."""
    if of == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def content_ms(event: Event) -> float | None:
    """To the answer that was asked for. "I did not understand" is none: voicebot asks no model for that."""
    return None if event.answer == OTHERWISE else event.content_ms


def turn_figures(events: Sequence[Event]) -> dict[str, Any]:
    """Latencies to the first content audio, beside everything that would flatter them."""
    content = [ms for e in events if (ms := content_ms(e)) is not None]
    return {
        "turns": len(events),
        "p50": report.quantile(content, 0.5),
        "p95": report.quantile(content, 0.95),
        "cut_offs": sum(e.cut_off for e in events),
        "answered_otherwise": sum(
            content_ms(e) is None and e.sound_ms is not None and not e.cut_off for e in events
        ),
        "unanswered": sum(e.content_ms is None and e.sound_ms is None and not e.cut_off for e in events),
        "first_sound_p50": report.quantile([e.sound_ms for e in events if e.sound_ms is not None], 0.5),
        "first_sound_p95": report.quantile([e.sound_ms for e in events if e.sound_ms is not None], 0.95),
    }


def interruption_figures(events: Sequence[Event]) -> dict[str, Any]:
    """Interruptions that fell on an answer: how soon it was silent, and whether they were answered."""
    over = [e for e in events if e.over]
    silences = [e.silence_ms for e in over if e.silence_ms is not None]
    return {
        "interruptions": len(over),
        "met_silence": len(events) - len(over),
        "silence_p50": report.quantile(silences, 0.5),
        "silence_p95": report.quantile(silences, 0.95),
        "yielded": sum(e.yielded for e in over),
        "answered_p50": report.quantile([e.content_ms for e in over if e.content_ms is not None], 0.5),
    }


def noise_figures(events: Sequence[Event]) -> dict[str, Any]:
    """Backchannels and noises that fell on an answer: whether the caller still heard all of it."""
    over = [e for e in events if e.over]
    later = [e.later_ms for e in over if e.paused and e.later_ms is not None]
    return {
        "noises": len(over),
        "met_silence": len(events) - len(over),
        "ignored": sum(e.finished and not e.paused for e in over),
        "resumed": sum(e.paused for e in over),
        "killed": sum(e.killed for e in over),
        "false_pauses": sum(e.paused or e.killed for e in over),
        "pause_p50": report.quantile(later, 0.5),
    }


def by_arm(scored: Sequence[Scored], wanted: Callable[[Scored], bool]) -> dict[str, list[Scored]]:
    """The wanted events of each arm."""
    arms: dict[str, list[Scored]] = {}
    for one in scored:
        if wanted(one):
            arms.setdefault(one.arm, []).append(one)
    return arms


def keyed(
    some: Sequence[Scored], value: Callable[[Event], float | None]
) -> dict[tuple[Any, ...], float | None]:
    """One figure of each event by its key."""
    return {one.key: value(one.event) for one in some}
