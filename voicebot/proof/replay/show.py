"""A replay for people: what differs, what is missing, and how long each turn made its caller wait."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from voicebot.core.waterfall import hops, waited_ms
from voicebot.proof.replay.compare import aligned
from voicebot.proof.replay.run import Replayed
from voicebot.proof.replay.turns import ReplayTurn
from voicebot.proof.simulation.waterfall import draw, headline

_WIDTH = 100


def show(one: Replayed, missed: list[str], out: Console, *, waterfalls: bool, since: int = 1) -> None:
    """One call: a line that says how it went; differences below; its turns where they are asked for."""
    fine = one.ok and not missed
    mark = "[green]same[/green]   " if fine else "[red]differs[/red]"
    speed = one.virtual_s / one.real_s if one.real_s else 0.0
    out.print(
        f"{mark} {one.name}: {len(one.now)} turns, {one.outcome}, "
        f"{one.virtual_s:.1f} s in {one.real_s:.1f} s ({speed:.0f}x)"
    )
    for problem in one.problems:
        out.print(f"  recording: {problem.text} (at {problem.at_ms} ms)", markup=False, style="yellow")
    for note in one.notes:
        out.print(f"  {note}", markup=False, style="dim")
    for difference in one.differences:
        if not difference.beyond and not waterfalls:
            continue
        style = "red" if difference.beyond else "dim"
        out.print(f"  turn {difference.turn}, {difference.what}", style=style, markup=False)
        out.print(f"    was {difference.was}", markup=False, style=style)
        out.print(f"    now {difference.now}", markup=False, style=style)
    within = sum(not difference.beyond for difference in one.differences)
    if within and not waterfalls:
        out.print(f"  {within} small differences within tolerance", style="dim")
    for text in missed:
        out.print(f"  not as expected: {text}", style="red", markup=False)
    if waterfalls:
        for turn in one.now:
            if turn.number >= since:
                _turn(turn, out)


def _turn(turn: ReplayTurn, out: Console) -> None:
    wait = headline(turn.timings)
    out.print(f"\n  turn {turn.number} at {turn.ended_ms / 1000:.1f} s{', ' + wait if wait else ''}")
    out.print(f"    caller: {turn.words or f'({turn.kind})'}", markup=False)
    out.print(f"    {turn.gist}", markup=False, style="cyan")
    for tool, outcome in turn.tools:
        out.print(f"    tool {tool}: {outcome}", markup=False, style="cyan")
    cut = "" if turn.complete else "  (cut)"
    out.print(f"    bot: {turn.heard or '(nothing)'}{cut}", markup=False)
    for line in draw(turn.timings, width=min(out.width, _WIDTH)):
        out.print(line, markup=False, highlight=False, style="dim" if "░" in line else "")


def as_dict(one: Replayed, missed: list[str]) -> dict[str, Any]:
    """JSON able. ``turns`` are the replay's, ``recorded`` the recording's, ``pairs`` which became which."""
    return {
        "name": one.name,
        "ok": one.ok and not missed,
        "outcome": one.outcome,
        "virtual_s": round(one.virtual_s, 3),
        "real_s": round(one.real_s, 3),
        "problems": [{"kind": p.kind, "at_ms": p.at_ms, "text": p.text} for p in one.problems],
        "notes": one.notes,
        "differences": [difference.as_dict() for difference in one.differences],
        "not_as_expected": missed,
        "turns": [_turn_dict(turn) for turn in one.now],
        "recorded": [_turn_dict(turn) for turn in one.was],
        "pairs": [
            [None if turn is None else turn.number for turn in (pair.was, pair.now)]
            for pair in aligned(one.was, one.now)
        ],
    }


def _turn_dict(turn: ReplayTurn) -> dict[str, Any]:
    return {
        "turn": turn.number,
        "input": turn.kind,
        "words": turn.words,
        "intent": turn.decision["intent"],
        "action": turn.decision["action"],
        "row": turn.decision["policy_row"],
        "after": turn.after,
        "tools": [{"tool": tool, "outcome": outcome} for tool, outcome in turn.tools],
        "heard": turn.heard,
        "heard_whole": turn.complete,
        "ended_ms": turn.ended_ms,
        "waited_ms": waited_ms(turn.timings),
        "hops": [{"hop": hop.name, "ms": hop.ms, "ahead": hop.ahead} for hop in hops(turn.timings)],
    }
