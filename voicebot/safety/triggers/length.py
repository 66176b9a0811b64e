"""The call goes on for too long. Pure."""

from __future__ import annotations

from datetime import datetime

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import TooLong
from voicebot.safety.triggers.signs import Risk


def too_long(risk: Risk, now: datetime, *, spoken: bool, rules: TooLong) -> Cause | None:
    """Fires after so many turns of the caller, and where it is ``spoken`` after so many minutes."""
    minutes = (now - risk.began).total_seconds() / 60 if risk.began is not None else 0.0
    if spoken and minutes >= rules.minutes:
        return Cause("too_long", {"minutes": round(minutes, 1), "limit_minutes": rules.minutes})
    if risk.turns >= rules.turns:
        return Cause("too_long", {"turns": risk.turns, "limit_turns": rules.turns})
    return None
