"""Somebody may be in danger or in despair. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.safety.triggers.cause import Cause


@dataclass(frozen=True, slots=True)
class DangerFacts:
    """``first``: it is the likeliest want, with ``confidence``; ``score``: of danger in the words, 0..1."""

    first: bool
    confidence: float
    score: float | None = None


def distress(facts: DangerFacts, *, sure: float, limit: float) -> Cause | None:
    """Fires on the want or on the score. ``sure``: the intent's limit; ``limit``: `thresholds.distress`."""
    if facts.first and facts.confidence >= sure:
        return Cause("distress", {"classification": round(facts.confidence, 4), "limit": sure})
    if facts.score is not None and not facts.score < limit:  # a number that is none counts as distress
        return Cause("distress", {"distress": round(facts.score, 4), "limit": limit})
    return None
