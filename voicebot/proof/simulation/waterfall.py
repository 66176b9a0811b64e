"""Draws a turn's waterfall as text: one bar a hop, on one axis of time. Pure."""

from __future__ import annotations

from voicebot.core.conversation import TurnTimings
from voicebot.core.waterfall import hops, waited_ms

_LABELS = {
    "seen": "silence is seen",
    "early_words": "words so far",
    "early_plan": "plan, early",
    "early_sound": "first clause, early",
    "end": "waits for the end",
    "words": "final words",
    "plan": "plan",
    "commit": "commit",
    "clause": "first clause",
    "sound": "its sound is sent",
    "line": "on the line",
}
_LABEL = max(len(label) for label in _LABELS.values()) + 2
_VALUE = 8  # "12345 ms"
_FULL, _AHEAD, _TINY = "█", "░", "▏"


def draw(timings: TurnTimings, *, width: int = 80) -> list[str]:
    """The turn's hops as lines of at most ``width`` characters (40 at least), no colours.

    Hops on the way to the caller's ear are full bars; what was made ahead meanwhile is light. Empty when
    fewer than two moments are known.
    """
    steps = hops(timings)
    if not steps:
        return []
    begin = min(hop.from_ms for hop in steps)
    whole = max(1, max(hop.to_ms for hop in steps) - begin)
    cells = max(1, max(width, 40) - 2 - _LABEL - _VALUE - 1)
    lines: list[str] = []
    for hop in steps:
        first = (hop.from_ms - begin) * cells // whole
        last = (hop.to_ms - begin) * cells // whole
        bar = (_AHEAD if hop.ahead else _FULL) * (last - first) or _TINY
        bar = f"{' ' * min(first, cells - 1)}{bar}"
        lines.append(f"  {_LABELS[hop.name]:<{_LABEL}}{bar:<{cells}} {f'{hop.ms} ms':>{_VALUE}}")
    return lines


def headline(timings: TurnTimings) -> str:
    """How long the caller waited and whether the turn was planned early; "" if neither is known."""
    waited = waited_ms(timings)
    facts = [] if waited is None else [f"heard after {waited / 1000:.2f} s"]
    if timings.early:
        facts.append("planned early")
    return ", ".join(facts)
