"""Where a server's knee is: the most calls at which callers still hear what they heard with few. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LATENCY_TIMES = 1.5
"""p95 of the turn latency, against that of the lightest step ..."""

LATENCY_MORE_MS = 150.0
"""... and by at least this much: below it nobody notices."""

UNANSWERED = 0.02
"""Share of turns without an answer, over that of the lightest step."""

CUT_OFF = 0.02
"""Share of turns cut off, likewise."""

GAPS_A_MINUTE = 1.0
"""Holes in the bot's speech, per minute of it."""

GAP_MS = 60.0
"""Or any one longer than this in a hundred seconds of speech."""

CRITERION = (
    f"the most calls at which p95 of the turn latency is at most {LATENCY_TIMES:g} times that of the "
    f"lightest step (or {LATENCY_MORE_MS:.0f} ms more), at most {UNANSWERED:.0%} more turns are unanswered "
    f"and {CUT_OFF:.0%} more cut off, the bot's speech has at most {GAPS_A_MINUTE:g} hole a minute and none "
    f"over {GAP_MS:.0f} ms more often than once in 100 s, and no caller is refused"
)


@dataclass(frozen=True)
class Strain:
    """What a step showed, as far as it matters here; ``None``: nothing to go by."""

    calls: int
    p95_ms: float | None
    unanswered: float
    cut_off: float
    gaps_a_minute: float
    long_gaps_a_100_s: float
    refused: int
    valid: bool = True


@dataclass(frozen=True)
class Knee:
    """``calls``: the most that went well; None: not even the lightest step could be judged.

    ``broke_at``: the first step that did not, and ``because``; None: none.
    """

    calls: int | None
    broke_at: int | None
    because: tuple[str, ...] = ()


def find(steps: Sequence[Strain]) -> Knee:
    """The knee of a run; steps whose own clocks were late are left out."""
    valid = sorted((step for step in steps if step.valid), key=lambda step: step.calls)
    if not valid or valid[0].p95_ms is None:
        return Knee(None, None)
    base, good = valid[0], None
    for step in valid:
        if reasons := _broken(step, base):
            return Knee(good, step.calls, tuple(reasons))
        good = step.calls
    return Knee(good, None)


def _broken(step: Strain, base: Strain) -> list[str]:
    reasons: list[str] = []
    assert base.p95_ms is not None
    if step.p95_ms is None:
        reasons.append("no turn was answered")
    elif step.p95_ms > base.p95_ms * LATENCY_TIMES and step.p95_ms - base.p95_ms > LATENCY_MORE_MS:
        reasons.append(
            f"p95 of the turn latency is {step.p95_ms / base.p95_ms:.1f} times that of {base.calls} calls"
        )
    if step.unanswered - base.unanswered > UNANSWERED:
        reasons.append(f"{step.unanswered:.1%} of the turns are unanswered")
    if step.cut_off - base.cut_off > CUT_OFF:
        reasons.append(f"{step.cut_off:.1%} of the turns are cut off")
    if step.gaps_a_minute > GAPS_A_MINUTE:
        reasons.append(f"{step.gaps_a_minute:.1f} holes in a minute of the bot's speech")
    if step.long_gaps_a_100_s > 1:
        reasons.append(f"{step.long_gaps_a_100_s:.1f} holes over {GAP_MS:.0f} ms in 100 s of speech")
    if step.refused:
        reasons.append(f"{step.refused} calls were refused")
    return reasons
