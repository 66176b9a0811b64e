"""Something of ours fails: a tool without remedy, an answer that is late, a part that is down. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Latency, Outage
from voicebot.safety.triggers.signs import Risk

OUTSIDE: Mapping[str, str] = {
    "database_down": "database",
    "speech_engine_down": "voice",
    "too_slow": "node",
    "internal_error": "node",
    "lost_too_often": "line",
    "failed_before": "line",
    "draining": "node",
    "bot_off": "switch",
}
"""Why a call fails outside of any turn, and the part that failed it."""


def tool_error(tool: str | None, error: str | None, *, remedies: Collection[str] = ()) -> Cause | None:
    """Fires when a tool could not be asked and nothing else helps. ``remedies``: what does, by name."""
    if remedies:
        return None
    return Cause("tool_error", {"tool": tool, "error": error or "no result"})


def latency(risk: Risk, rules: Latency) -> Cause | None:
    """Fires when so many answers in a row began too late."""
    if risk.slow < rules.times:
        return None
    return Cause(
        "latency",
        {"ms": risk.latency_ms, "limit_ms": rules.ms, "answers": risk.slow, "answers_limit": rules.times},
    )


def outage(down: Mapping[str, int], needs: Collection[str], rules: Outage) -> Cause | None:
    """Fires when a part is down that this turn cannot do without.

    ``down``: failures in a row by part. ``needs``: the parts that the turn's next steps ask something of.
    """
    for part in rules.parts:
        failures = down.get(part, 0)
        if part in needs and failures >= rules.failures:
            return Cause(f"outage:{part}", {"part": part, "failures": failures, "limit": rules.failures})
    return None


def failed_call(reason: str) -> Cause:
    """A call that failed outside of any turn."""
    return Cause(reason, {"part": OUTSIDE.get(reason, "node")})


def switched_off(switch: str) -> Cause:
    """What an operator has switched off falls to people."""
    return Cause("switched_off", {"switch": switch})
