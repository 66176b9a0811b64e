"""The caller's mood goes down over two or three turns. Pure."""

from __future__ import annotations

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Mood


def falling(sentiments: tuple[float, ...], rules: Mood, *, answered: bool = False) -> Cause | None:
    """Fires when the last turn is the worst, low, and far below the best of the turns before it.

    Args:
        sentiments: -1 to 1, one for each turn of the caller with words, oldest first.
        rules: the policy's.
        answered: this turn gives the caller what was asked for: that may mend it, unless the turn before
            was bad already.
    """
    recent = sentiments[-rules.over :]
    if len(recent) < 2:
        return None
    now, before = recent[-1], recent[:-1]
    fall = max(before) - now
    if answered and before[-1] > rules.hint:
        return None
    if now > rules.low or now >= before[-1] or fall < rules.fall:
        return None
    return Cause(
        "mood",
        {
            "sentiment": round(now, 4),
            "limit": rules.low,
            "fell": round(fall, 4),
            "fall_limit": rules.fall,
            "turns": len(recent),
        },
    )
