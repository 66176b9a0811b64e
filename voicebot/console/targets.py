"""Where figures should be (``business/targets.yaml``). Pure but for reading the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml

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
    satisfied_deflection: Band = Band()
    first_contact: Band = Band()
    first_contact_by_bot: Band = Band()
    repeat: Band = Band()
    first_useful_p50_s: Band = Band()
    first_useful_p95_s: Band = Band()
    turn_latency_p50_s: Band = Band()
    turn_latency_p95_s: Band = Band()

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
            return cls.model_validate_json(json.dumps(parse_yaml(path.read_text(encoding="utf-8")) or {}))
        except (OSError, yaml.YAMLError, TypeError, ValidationError) as error:
            raise TargetsError(f"{path}: {error}") from error


def held(value: float | None, of: int, band: Band, least: int) -> Alarm | None:
    """On which side of its band a figure lies; on the edge it is inside."""
    if value is None or (band.low is None and band.high is None):
        return None
    if of < least:
        return "few"
    if band.low is not None and value < band.low:
        return "low"
    return "high" if band.high is not None and value > band.high else None
