"""Whether a run's own clocks kept time: a late caller makes any server look bad, or good. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.proof.simulation.lateness import Lateness

P99_MS = 10.0
"""99 % of the callers' frames leave within this of their time: half a frame, about a fiftieth of a turn's
latency."""

FRAME_MS = 20.0
SHARE_OVER_FRAME = 0.002
"""And no more than this share of them later than a whole frame: 1 in 500 is one frame in ten seconds of a
call, and already of the size of what a server's own stalls are."""

BUSY = 0.85
"""Of a core, by any one generator process: beyond it the next stall is its own."""


@dataclass(frozen=True)
class Generator:
    """How the callers' own processes did in one step.

    ``busiest``: share of one core that the busiest of them used. ``core_per_call``: share of a core that one
    call cost. ``failures``: callers that broke down.
    """

    lateness: Lateness
    busiest: float
    core_per_call: float
    failures: int = 0


def why_invalid(generator: Generator) -> list[str]:
    """Reasons for not believing a step; empty: believe it."""
    late = generator.lateness
    reasons: list[str] = []
    if not late.total:
        return ["the callers sent nothing"]
    if (p99 := late.percentile_ms(99)) > P99_MS:
        reasons.append(
            f"the callers' own frames left late: 1 in 100 by more than {p99:.0f} ms ({P99_MS:.0f} allowed)"
        )
    if (share := late.share_over(FRAME_MS)) > SHARE_OVER_FRAME:
        reasons.append(
            f"{share:.1%} of the callers' own frames left more than {FRAME_MS:.0f} ms late "
            f"({SHARE_OVER_FRAME:.1%} allowed)"
        )
    if generator.busiest > BUSY:
        reasons.append(
            f"a process of callers used {generator.busiest:.0%} of a core ({BUSY:.0%} allowed): "
            "give more --processes"
        )
    if generator.failures:
        reasons.append(f"{generator.failures} callers broke down")
    return reasons
