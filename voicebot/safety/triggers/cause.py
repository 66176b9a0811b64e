"""What a trigger answers: nothing, or its name with the facts and numbers that it fired on. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from voicebot.core.conversation import FiredTrigger
from voicebot.safety.triggers.signs import Sign


@dataclass(frozen=True, slots=True)
class Cause:
    """A trigger that fired. ``evidence``: facts, numbers and the limits they passed; no words of a caller."""

    name: str
    evidence: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def trigger(self) -> str:
        """The trigger's key in the policy: the name without what it was about."""
        return self.name.partition(":")[0]


def fired(cause: Cause, now: datetime, first: Sign | None) -> FiredTrigger:
    """The cause as it is stored. ``first``: the sign that the trouble began with, None if this is it."""
    return FiredTrigger(
        name=cause.name,
        evidence=dict(cause.evidence),
        at=now,
        first_sign_at=min(first.at, now) if first is not None else now,
        first_sign=first.name if first is not None else cause.name,
    )
