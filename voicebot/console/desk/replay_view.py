"""A call and its replay, turn beside turn, as one reads it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voicebot.console.desk import words
from voicebot.console.desk.changes import Piece, difference

_WHATS = {
    "turns": "turn",
    "words": "words",
    "boundary": "end of the turn",
    "decision": "decision",
    "tools": "tools",
    "spoken": "words spoken",
    "latency": "wait",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing of a turn, then and now. ``differs``: beyond what may be; ``pieces``: word by word."""

    name: str
    was: str
    now: str
    differs: bool
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """A turn of the call and that of the replay; ``number``: of the call's, else the replay's."""

    number: int
    at_ms: int | None
    cells: tuple[Cell, ...]
    only: str = ""
    """``then`` or ``now``: the other has no such turn."""

    @property
    def differs(self) -> bool:
        """Whether anything of it does."""
        return bool(self.only) or any(cell.differs for cell in self.cells)


def summary(call: Mapping[str, Any]) -> str:
    """The whole in a sentence."""
    beyond = [one for one in call["differences"] if one["beyond"]]
    took = f"{call['virtual_s']:.0f} s of call in {call['real_s']:.0f} s"
    if not beyond:
        return f"It goes as it did. {took}."
    turns = len({one["turn"] for one in beyond})
    what = sorted({_WHATS[one["what"]] for one in beyond})
    return f"{turns} of {len(call['recorded'])} turns go otherwise: {', '.join(what)}. {took}."


def beside(call: Mapping[str, Any]) -> tuple[Beside, ...]:
    """Turn by turn, from what ``voicebot replay --json`` says of a call."""
    was = {one["turn"]: one for one in call["recorded"]}
    now = {one["turn"]: one for one in call["turns"]}
    beyond = {(one["turn"], one["what"]) for one in call["differences"] if one["beyond"]}
    found: list[Beside] = []
    for then, again in call["pairs"]:
        one, other = was.get(then), now.get(again)
        there = one or other
        if there is None:
            continue
        number = there["turn"]
        only = "then" if other is None else "now" if one is None else ""
        cells = tuple(_cells(one or {}, other or {}, {what for turn, what in beyond if turn == number}))
        found.append(Beside(number, None if one is None else one["ended_ms"], cells, only))
    return tuple(found)


def _cells(was: Mapping[str, Any], now: Mapping[str, Any], beyond: set[str]) -> list[Cell]:
    cells: list[Cell] = []
    for name, what, told in (
        ("Caller", "words", _caller),
        ("Decision", "decision", _decided),
        ("Tools", "tools", _tools),
        ("Bot", "spoken", _heard),
        ("Waited", "latency", _waited),
        ("Turn ended", "boundary", _ended),
    ):
        before, after = (told(one) if one else "" for one in (was, now))
        if not before and not after:
            continue
        words_differ = name in ("Caller", "Bot") and before != after and was and now
        pieces = difference(before, after) if words_differ else ()
        cells.append(Cell(name, before, after, what in beyond, pieces))
    return cells


def _caller(turn: Mapping[str, Any]) -> str:
    return str(turn["words"]) or f"({words.plain(turn['input'])})"


def _decided(turn: Mapping[str, Any]) -> str:
    gist = f"{words.plain(turn['intent'])}: {words.plain(turn['action'])} ({turn['row']})"
    return gist if turn["after"] == "continue" else f"{gist}, then {words.plain(turn['after'])}"


def _tools(turn: Mapping[str, Any]) -> str:
    return ", ".join(f"{words.plain(one['tool'])}: {words.plain(one['outcome'])}" for one in turn["tools"])


def _heard(turn: Mapping[str, Any]) -> str:
    heard = str(turn["heard"]) or "(nothing)"
    return heard if turn["heard_whole"] else f"{heard} (interrupted)"


def _waited(turn: Mapping[str, Any]) -> str:
    return "" if turn["waited_ms"] is None else f"{turn['waited_ms'] / 1000:.2f} s"


def _ended(turn: Mapping[str, Any]) -> str:
    return f"{turn['ended_ms'] / 1000:.2f} s"
