"""Answers lack evidence: grounding below what the intent demands. Pure."""

from __future__ import annotations

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Grounding


def by_policy(grounding: float | None, limit: float) -> Cause:
    """The matrix gives this intent to a person when nothing covers it."""
    return Cause("no_grounding", {"grounding": _rounded(grounding), "limit": limit})


def ungrounded(times: int, grounding: float | None, limit: float, rules: Grounding) -> Cause | None:
    """Fires when so many questions in a row were below their intent's limit."""
    if times < rules.times:
        return None
    return Cause(
        "no_grounding",
        {"grounding": _rounded(grounding), "limit": limit, "times": times, "times_limit": rules.times},
    )


def _rounded(grounding: float | None) -> float | None:
    return None if grounding is None else round(grounding, 4)
