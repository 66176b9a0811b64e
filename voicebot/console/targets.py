"""Figures made of counts, and whether they are where they should be. Pure but for reading the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict

FILE = "targets.yaml"
Alarm = Literal["low", "high", "few"]
"""``few``: too few cases to say."""


class TargetsError(Exception):
    """``business/targets.yaml`` cannot be used; the message says why."""


class Band(Strict):
    """Where a figure should be; a side that is left out has no alarm."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"`low` {self.low} is above `high` {self.high}")
        return self


class Targets(Strict):
    """Bands by figure. ``least``: cases below which there is no alarm."""

    least: int = Field(default=20, ge=1)
    containment: Band = Band(low=0.6, high=0.8)
    escalation: Band = Band(low=0.2, high=0.4)
    csat: Band = Band(low=4.5)
    resolution_simple_s: Band = Band(high=30.0)
    resolution_complex_s: Band = Band(high=300.0)
    resolution: Band = Band()
    resolution_by_bot: Band = Band()
    abandonment: Band = Band()
    safe_escalation_p50_s: Band = Band()
    safe_escalation_p95_s: Band = Band()
    escalation_precision: Band = Band()
    missed_escalation: Band = Band()
    kb_gap: Band = Band()

    @classmethod
    def read(cls, folder: Path) -> Targets:
        """Those of a deployment's folder; without the file those that are shipped.

        Raises:
            TargetsError: the file cannot be used.
        """
        path = folder / "business" / FILE
        if not path.exists():
            return cls()
        try:
            return cls.model_validate_json(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")) or {}))
        except (OSError, yaml.YAMLError, TypeError, ValidationError) as error:
            raise TargetsError(f"{path}: {error}") from error


class Figure(Strict):
    """One figure. ``value``: None without a case; ``of``: how many cases it is made of."""

    value: float | None
    of: int
    low: float | None
    high: float | None
    alarm: Alarm | None


def figures(row: Mapping[str, Any], targets: Targets) -> dict[str, Figure]:
    """The figures of one row of `voicebot.core.store.kpis.counts`."""
    wanted, judged = row["wanted"], row["agree"] + row["disagree"]
    asked = row["gaps"] + row["grounded"]
    parts: dict[str, tuple[float | None, int]] = {
        "containment": (_rate(row["resolved"] + row["unresolved"], wanted), wanted),
        "escalation": (_rate(row["escalated"], wanted), wanted),
        "resolution": (_rate(row["resolved"] + row["solved_by_person"], wanted), wanted),
        "resolution_by_bot": (_rate(row["resolved"], wanted), wanted),
        "abandonment": (_rate(row["abandoned"], wanted), wanted),
        "resolution_simple_s": (_s(row["simple_p50_s"]), row["simple"]),
        "resolution_complex_s": (_s(row["complex_p50_s"]), row["complex"]),
        "safe_escalation_p50_s": (_s(row["safe_p50_s"]), row["reached"]),
        "safe_escalation_p95_s": (_s(row["safe_p95_s"]), row["reached"]),
        "escalation_precision": (_rate(row["agree"], judged), judged),
        "missed_escalation": (_rate(row["missed"], wanted), wanted),
        "kb_gap": (_rate(row["gaps"], asked), asked),
        "csat": (None if row["csat"] is None else round(row["csat"], 4), row["rated"]),
    }
    found: dict[str, Figure] = {}
    for name, (value, of) in parts.items():
        band: Band = getattr(targets, name)
        alarm = held(value, of, band, targets.least)
        found[name] = Figure(value=value, of=of, low=band.low, high=band.high, alarm=alarm)
    return found


def held(value: float | None, of: int, band: Band, least: int) -> Alarm | None:
    """On which side of its band a figure lies; on the edge it is inside."""
    if value is None or (band.low is None and band.high is None):
        return None
    if of < least:
        return "few"
    if band.low is not None and value < band.low:
        return "low"
    return "high" if band.high is not None and value > band.high else None


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _s(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
