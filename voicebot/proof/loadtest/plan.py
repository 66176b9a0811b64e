"""What a run is made of: how many calls at once, step by step, and for how long. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_CALLS = 5000
MOST_STEPS = 50
SETTLE_MOST_S = 10.0
BEGIN_EVERY_S = 0.1
"""Calls of a step begin this far apart at least, as they would from a telephone network."""


class LoadError(Exception):
    """A run cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class LoadStep:
    """So many calls at once for so long. Calls that end are followed by others of the same line.

    ``settle_s``: before it, in which the calls begin one after the other and nothing counts.
    """

    calls: int
    hold_s: float

    @property
    def every_s(self) -> float:
        """From one call's beginning to the next one's."""
        return min(BEGIN_EVERY_S, SETTLE_MOST_S / self.calls)

    @property
    def settle_s(self) -> float:
        """Until the last one has begun, and a moment more."""
        return self.every_s * self.calls + 1.0


def steps(calls: int | None, ramp: str | None, hold_s: float) -> list[LoadStep]:
    """The steps of ``--calls`` or ``--ramp FROM:TO:STEP``.

    Raises:
        LoadError: neither or both, or values that make no run.
    """
    if (calls is None) == (ramp is None):
        raise LoadError("give --calls N, or --ramp FROM:TO:STEP (5:40:5 is 5, 10, ... 40 calls)")
    if not 1 <= hold_s <= 24 * 3600:
        raise LoadError(f"--hold {hold_s:g}: give 1 to 86400 seconds")
    wanted = [calls] if calls is not None else _ramp(ramp or "")
    for count in wanted:
        if not 1 <= count <= MOST_CALLS:
            raise LoadError(f"{count} calls: give 1 to {MOST_CALLS}")
    return [LoadStep(count, hold_s) for count in wanted]


def _ramp(text: str) -> list[int]:
    found = re.fullmatch(r"(\d{1,6}):(\d{1,6}):(\d{1,6})", text)
    if found is None:
        raise LoadError(f"--ramp {text!r}: write FROM:TO:STEP, e.g. 5:40:5")
    first, last, by = (int(part) for part in found.groups())
    if by < 1 or last < first:
        raise LoadError(f"--ramp {text}: TO must not be below FROM, and STEP at least 1")
    counts = [*range(first, last + 1, by)]
    if counts[-1] != last:
        counts.append(last)
    if len(counts) > MOST_STEPS:
        raise LoadError(f"--ramp {text}: {len(counts)} steps; {MOST_STEPS} at most")
    return counts


def shares(calls: int, processes: int) -> list[int]:
    """How many of the calls each process carries; as even as can be."""
    each, left = divmod(calls, processes)
    return [each + (n < left) for n in range(processes)]
