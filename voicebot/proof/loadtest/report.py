"""What a run found, whole: for machines, and for the page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from voicebot import __version__

from . import knee, validity
from .figures import StepFigures
from .knee import Knee

FORMAT = 1


@dataclass(frozen=True)
class LoadReport:
    """``callers``: kinds and their weight. ``machine``: that of the callers."""

    url: str
    made_at: str
    machine: str
    callers: tuple[tuple[str, float], ...]
    steps: tuple[StepFigures, ...]
    knee: Knee
    note: str = ""

    @property
    def valid(self) -> bool:
        """Every step may be believed."""
        return bool(self.steps) and all(step.valid for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """JSON able."""
        return {
            "format": FORMAT,
            "voicebot": __version__,
            "url": self.url,
            "made_at": self.made_at,
            "machine": self.machine,
            "note": self.note,
            "valid": self.valid,
            "why_invalid": [f"{s.calls} calls: {why}" for s in self.steps for why in s.why_invalid],
            "valid_when": (
                f"99 % of the callers' frames leave within {validity.P99_MS:.0f} ms of their time, at most "
                f"{validity.SHARE_OVER_FRAME:.1%} of them more than {validity.FRAME_MS:.0f} ms late, and no "
                f"process of callers uses more than {validity.BUSY:.0%} of a core"
            ),
            "knee": {**asdict(self.knee), "criterion": knee.CRITERION},
            "callers": [{"name": name, "weight": round(weight, 3)} for name, weight in self.callers],
            "steps": [step.as_dict() for step in self.steps],
        }


def make(
    url: str, callers: Sequence[tuple[str, float]], steps: Sequence[StepFigures], note: str = ""
) -> LoadReport:
    """The report of a run on this machine, now."""
    weights: dict[str, float] = {}
    for name, weight in callers:
        weights[name] = weights.get(name, 0.0) + weight
    return LoadReport(
        url=url,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(),
        callers=tuple(weights.items()),
        steps=tuple(steps),
        knee=knee.find([step.strain for step in steps]),
        note=note,
    )


def machine() -> str:
    """The machine without its name, and how busy it was."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores {platform.machine()}, {gib:.0f} GiB, Python {platform.python_version()}"
