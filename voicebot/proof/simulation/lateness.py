"""How late things were, kept in fixed space. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_STEP_MS = 0.25
_SIZE = 801
"""Up to 200 ms in steps of a quarter; the last holds everything beyond."""


@dataclass
class Lateness:
    """A histogram of latenesses in ms. Percentiles are right to a quarter of a millisecond below 200."""

    counts: list[int] = field(default_factory=lambda: [0] * _SIZE)
    total: int = 0
    worst_ms: float = 0.0

    def add(self, late_ms: float) -> None:
        """One of them; early counts as on time."""
        self.counts[min(_SIZE - 1, max(0, int(late_ms / _STEP_MS)))] += 1
        self.total += 1
        self.worst_ms = max(self.worst_ms, late_ms)

    def join(self, other: Lateness) -> None:
        """Takes in another one's."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.worst_ms = max(self.worst_ms, other.worst_ms)

    def percentile_ms(self, percent: float) -> float:
        """Upper edge of the step that holds it; 0 of nothing."""
        wanted, seen = self.total * percent / 100, 0
        for n, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min(self.worst_ms, (n + 1) * _STEP_MS)
        return 0.0

    def share_over(self, ms: float) -> float:
        """Share that was later than that, 0..1; ``ms`` up to 200."""
        if not self.total:
            return 0.0
        return sum(self.counts[int(ms / _STEP_MS) :]) / self.total

    def sparse(self) -> list[list[int]]:
        """For the way between processes: ``[step, count]`` of those that are not empty."""
        return [[n, count] for n, count in enumerate(self.counts) if count]

    @classmethod
    def of_sparse(cls, pairs: Sequence[Sequence[int]], worst_ms: float) -> Lateness:
        """The way back of ``sparse``."""
        made = cls(worst_ms=worst_ms)
        for n, count in pairs:
            made.counts[n] += count
            made.total += count
        return made
