"""An agent at a desk speaks with a caller: what the caller hears when the agent's line is gone. Pure.

The agent's browser may be reloaded, their desk may die: the caller is told to hold after a moment, hears
the hold sound, and is given back when nobody has taken the call up again in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOLD_AFTER_S = 0.8
"""An agent's line that is gone for no longer than this is not spoken of: the desk dials anew within 0.3 s."""

GRACE_S = 30.0
"""So long the call is kept for an agent whose line is gone: a reload takes 2-5 s, signing in again more."""

COMING_S = 45.0
"""So long a caller may take from the room, or from the bot's last words, to the desk; fetching one is tried
every few seconds. Past it they do not come."""

Standing = Literal["connected", "patience", "hold", "given_up"]
"""What the caller gets: the agent; silence for a moment; the hold line and sound; the bot again."""


@dataclass(frozen=True, slots=True)
class Line:
    """Whether the agent's line stands, and since when (seconds, any clock)."""

    here: bool
    since_s: float


def standing(line: Line, now_s: float) -> Standing:
    """What the caller gets now."""
    if line.here:
        return "connected"
    gone_s = now_s - line.since_s
    if gone_s >= GRACE_S:
        return "given_up"
    return "hold" if gone_s >= HOLD_AFTER_S else "patience"


def next_look_s(line: Line, now_s: float) -> float | None:
    """In how many seconds `standing` says something else by itself; None: never."""
    match standing(line, now_s):
        case "patience":
            return line.since_s + HOLD_AFTER_S - now_s
        case "hold":
            return line.since_s + GRACE_S - now_s
        case "connected" | "given_up":
            return None
