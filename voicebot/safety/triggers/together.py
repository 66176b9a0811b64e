"""Two weak signs of different kinds at about the same time. Pure."""

from __future__ import annotations

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import WeakSignals
from voicebot.safety.triggers.signs import Risk

AT_LEAST = 2


def weak_signals(risk: Risk, rules: WeakSignals) -> Cause | None:
    """Fires when two of the signs that count stand in the last turns of the caller."""
    seen = sorted(name for name in risk.recent(rules.within) if name in rules.of)
    if len(seen) < AT_LEAST:
        return None
    return Cause("weak_signals", {"signs": list(seen), "within_turns": rules.within, "limit": AT_LEAST})
