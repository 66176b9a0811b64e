"""A step's calls in figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .hearing import HeardCall, HeardTurn
from .knee import GAP_MS, Strain
from .plan import LoadStep
from .validity import Generator, why_invalid
from .watching import ServerLoad

REFUSED = frozenset({"busy", "queued", "forwarded", "hung_up", "failed"})
SERVED = frozenset({"served", "handed_over"})


@dataclass(frozen=True)
class Spread:
    """A distribution; ms unless it says otherwise. None: nothing was measured."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    worst: float | None = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread:
        """Of the values that are there."""
        found = [value for value in values if value is not None]
        if not found:
            return cls(0)
        p50, p95, p99 = (round(float(p), 1) for p in np.percentile(found, (50, 95, 99)))
        return cls(len(found), p50, p95, p99, round(max(found), 1))


@dataclass(frozen=True)
class StepFigures:
    """What a step's callers heard, what its server used, and how far to believe it.

    Only what happened in the step's window counts. Shares are 0..1.

    Attributes:
        latency: end of the caller's words to the first sound of the answer, of turns that were let finish.
        keys: the same after the last key of an input.
        barge_in: first sound of an interruption to the bot's last.
        first_sound: from the webhook to the first thing heard, of calls that were taken.
        refused_in: from the webhook to the answer, of those that were not taken, or not at once.
        waited: on hold until they were taken, or hung up, of those who were told to wait.
        overtaken: of those, how many were taken after one who had come later.
        lead: buffered at the caller's end when sound arrived; p50, and the low ends p5 and p1.
    """

    calls: int
    hold_s: float
    valid: bool
    why_invalid: tuple[str, ...]
    begun: int
    outcomes: dict[str, int]
    latency: Spread
    keys: Spread
    turns: int
    cut_offs: int
    unanswered: int
    barge_in: Spread
    talked_on: int
    murmurs: int
    murmurs_ended: int
    first_sound: Spread
    answered_in: Spread
    refused_in: Spread
    waited: Spread
    overtaken: int
    speech_s: float
    gaps: Spread
    gaps_a_minute: float
    long_gaps_a_100_s: float
    lead_p50_ms: float | None
    lead_p5_ms: float | None
    lead_p1_ms: float | None
    late_sound_share: float
    wer: float | None
    wer_calls: int
    violations: tuple[str, ...]
    errors: dict[str, int]
    by_caller: dict[str, Spread]
    generator: dict[str, float]
    server: ServerLoad | None = None
    turns_seen: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    """(seconds into the window, latency) of each turn, for the plot."""

    @property
    def refused(self) -> int:
        """Calls that no bot took."""
        return sum(n for outcome, n in self.outcomes.items() if outcome in REFUSED)

    @property
    def strain(self) -> Strain:
        """What the knee looks at."""
        return Strain(
            calls=self.calls,
            p95_ms=self.latency.p95,
            unanswered=self.unanswered / max(1, self.turns),
            cut_off=self.cut_offs / max(1, self.turns),
            gaps_a_minute=self.gaps_a_minute,
            long_gaps_a_100_s=self.long_gaps_a_100_s,
            refused=sum(n for outcome, n in self.outcomes.items() if outcome in REFUSED - {"queued"})
            + self.waited.count,
            valid=self.valid,
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON able."""
        return asdict(self)


def step_figures(
    step: LoadStep,
    calls: Sequence[HeardCall],
    window_s: tuple[float, float],
    generator: Generator,
    *,
    server: ServerLoad | None = None,
    wer: tuple[float | None, int] = (None, 0),
) -> StepFigures:
    """All of it; ``window_s`` is when the step counted, on the machine's monotonic clock."""
    first_s, last_s = window_s

    def inside(at_s: float) -> bool:
        return first_s <= at_s <= last_s

    turns = [turn for call in calls for turn in call.turns if inside(turn.at_s)]
    spoken = _of(turns, "turn")
    interruptions, murmurs = _of(turns, "interruption"), _of(turns, "murmur")
    gaps = [gap.ms for call in calls for gap in call.gaps if inside(gap.at_s)]
    speech_s = sum(call.speech_ms * _share_inside(call, window_s) for call in calls) / 1000
    leads = [ms for call in calls for ms in call.leads_ms]
    taken = [call for call in calls if call.outcome in SERVED]
    away = [call for call in calls if call.outcome in REFUSED or call.waited_ms is not None]
    reasons = why_invalid(generator)
    low = [round(float(p), 1) for p in np.percentile(leads, (50, 5, 1))] if leads else [None, None, None]
    late = generator.lateness
    return StepFigures(
        calls=step.calls,
        hold_s=step.hold_s,
        valid=not reasons,
        why_invalid=tuple(reasons),
        begun=len(calls),
        outcomes=_counts(call.outcome for call in calls),
        latency=Spread.of(turn.latency_ms for turn in spoken),
        keys=Spread.of(turn.latency_ms for turn in _of(turns, "keys")),
        turns=len(spoken),
        cut_offs=sum(turn.cut_off for turn in spoken),
        unanswered=sum(turn.unanswered for turn in spoken),
        barge_in=Spread.of(turn.silence_ms for turn in interruptions),
        talked_on=sum(turn.silence_ms is None for turn in interruptions),
        murmurs=len(murmurs),
        murmurs_ended=sum(turn.ended for turn in murmurs),
        first_sound=Spread.of(call.first_sound_ms for call in taken),
        answered_in=Spread.of(call.answer_ms for call in taken),
        refused_in=Spread.of(call.answer_ms for call in away),
        waited=Spread.of(call.waited_ms for call in calls),
        overtaken=overtaken(calls),
        speech_s=round(speech_s, 1),
        gaps=Spread.of(gaps),
        gaps_a_minute=round(60 * len(gaps) / speech_s, 2) if speech_s else 0.0,
        long_gaps_a_100_s=round(100 * sum(ms > GAP_MS for ms in gaps) / speech_s, 2) if speech_s else 0.0,
        lead_p50_ms=low[0],
        lead_p5_ms=low[1],
        lead_p1_ms=low[2],
        late_sound_share=round(sum(ms < 0 for ms in leads) / len(leads), 5) if leads else 0.0,
        wer=None if wer[0] is None else round(wer[0], 3),
        wer_calls=wer[1],
        violations=tuple(sorted({text for call in calls for text in call.violations}))[:20],
        errors=_counts(str(code) for call in calls for code in call.errors),
        by_caller={
            name: Spread.of(
                turn.latency_ms
                for call in calls
                if call.caller == name
                for turn in _of(call.turns, "turn")
                if inside(turn.at_s)
            )
            for name in sorted({call.caller for call in calls})
        },
        generator={
            "late_p50_ms": late.percentile_ms(50),
            "late_p99_ms": late.percentile_ms(99),
            "late_worst_ms": round(late.worst_ms, 1),
            "later_than_a_frame": round(late.share_over(20), 5),
            "frames": late.total,
            "busiest_core": round(generator.busiest, 3),
            "core_per_call": round(generator.core_per_call, 5),
        },
        server=server,
        turns_seen=tuple(
            (round(turn.at_s - first_s, 2), round(turn.latency_ms, 1))
            for turn in spoken
            if turn.latency_ms is not None
        ),
    )


def overtaken(calls: Iterable[HeardCall]) -> int:
    """Of the calls that waited and were taken, those that were taken after one which came later. Pure."""
    waited = sorted(
        (
            (call.began_s, call.began_s + call.waited_ms / 1000)
            for call in calls
            if call.waited_ms is not None and call.outcome in SERVED
        ),
        reverse=True,
    )
    count, soonest_s = 0, float("inf")
    for _, taken_s in waited:
        count += taken_s > soonest_s
        soonest_s = min(soonest_s, taken_s)
    return count


def _of(turns: Iterable[HeardTurn], kind: str) -> list[HeardTurn]:
    return [turn for turn in turns if turn.kind == kind]


def _counts(words: Iterable[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for word in words:
        counted[word] = counted.get(word, 0) + 1
    return dict(sorted(counted.items()))


def _share_inside(call: HeardCall, window_s: tuple[float, float]) -> float:
    """Of the call's length, what lies in the window."""
    length = call.ended_s - call.began_s
    if length <= 0:
        return 0.0
    return max(0.0, min(call.ended_s, window_s[1]) - max(call.began_s, window_s[0])) / length
