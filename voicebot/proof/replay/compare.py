"""What differs between a call and its replay, turn by turn, and whether it may. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from voicebot.core.waterfall import waited_ms
from voicebot.proof.replay.turns import ReplayTurn

What = Literal["turns", "words", "boundary", "decision", "tools", "spoken", "latency"]


@dataclass(frozen=True)
class Tolerance:
    """What may differ and is shown all the same.

    ``words``: word error rate of what was heard of the caller, per turn. ``spoken``: the same, of what the
    caller heard of the bot. ``boundary_ms``: of the end of a turn. ``latency_ms``: of the wait for an answer.
    ``turns``, ``decisions``, ``tools``: how many may be others, over the call.
    """

    words: float = 0.0
    spoken: float = 0.1
    boundary_ms: int = 400
    latency_ms: int = 500
    turns: int = 0
    decisions: int = 0
    tools: int = 0

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """``words=0.2,latency_ms=800``; what is not named stays as it is.

        Raises:
            ValueError: an unknown name or no number; names those there are.
        """
        known = {one.name: type(one.default) for one in fields(cls)}
        given: dict[str, Any] = {}
        for part in filter(None, (one.strip() for one in text.split(","))):
            name, _, value = part.partition("=")
            if name not in known:
                raise ValueError(f"there is no tolerance {name!r}; there are {', '.join(known)}")
            try:
                given[name] = known[name](value)
            except ValueError:
                raise ValueError(f"{name} needs a number, not {value!r}") from None
        return cls(**given)


@dataclass(frozen=True)
class Difference:
    """One; ``turn`` is the recording's, or the replay's where it has none. ``beyond``: it may not be."""

    what: What
    turn: int
    was: str
    now: str
    beyond: bool
    by: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON able."""
        return asdict(self)


@dataclass(frozen=True)
class Pair:
    """A turn of the recording and that of the replay that stands for it; one of them may be missing."""

    was: ReplayTurn | None
    now: ReplayTurn | None


NEAR_MS = 2500
"""Turns whose ends lie further apart are hardly the same turn."""

_GAP, _OTHER_KIND = 1.0, 0.9


def aligned(was: Sequence[ReplayTurn], now: Sequence[ReplayTurn]) -> list[Pair]:
    """Which turn became which: the cheapest way to make one call of the other."""
    rows, columns = len(was), len(now)
    cost = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            if i == rows or j == columns:
                cost[i][j] = _GAP * (rows - i + columns - j)
                continue
            cost[i][j] = min(
                _apart(was[i], now[j]) + cost[i + 1][j + 1], _GAP + cost[i + 1][j], _GAP + cost[i][j + 1]
            )
    pairs: list[Pair] = []
    i = j = 0
    while i < rows or j < columns:
        if i < rows and j < columns and cost[i][j] == _apart(was[i], now[j]) + cost[i + 1][j + 1]:
            pairs.append(Pair(was[i], now[j]))
            i, j = i + 1, j + 1
        elif i < rows and cost[i][j] == _GAP + cost[i + 1][j]:
            pairs.append(Pair(was[i], None))
            i += 1
        else:
            pairs.append(Pair(None, now[j]))
            j += 1
    return pairs


def _apart(was: ReplayTurn, now: ReplayTurn) -> float:
    far = min(1.0, abs(was.ended_ms - now.ended_ms) / NEAR_MS)
    return far + (_OTHER_KIND if was.kind != now.kind else 0.0)


def differences(
    was: Sequence[ReplayTurn],
    now: Sequence[ReplayTurn],
    tolerance: Tolerance,
    *,
    first: int = 1,
    last: int | None = None,
) -> list[Difference]:
    """All of them, in the order of the call, of the turns ``first`` to ``last`` of the recording."""
    left = {"turns": tolerance.turns, "decision": tolerance.decisions, "tools": tolerance.tools}
    found: list[Difference] = []
    at = 0
    for pair in aligned(was, now):
        at = pair.was.number if pair.was is not None else at
        if at < first or (last is not None and at > last):
            continue
        for one in _of(pair, tolerance):
            beyond = one.beyond
            if one.what in left and beyond:
                left[one.what] -= 1
                beyond = left[one.what] < 0
            found.append(Difference(one.what, one.turn, one.was, one.now, beyond, one.by))
    return found


def _of(pair: Pair, tolerance: Tolerance) -> Iterator[Difference]:
    was, now = pair.was, pair.now
    if was is None or now is None:
        there = was or now
        assert there is not None
        shown = f"{there.kind} at {there.ended_ms / 1000:.1f} s: {there.words or '-'}"
        yield Difference(
            "turns", there.number, shown if was else "no turn", shown if now else "no turn", True
        )
        return
    if was.kind != now.kind:
        yield Difference("turns", was.number, was.kind, now.kind, True)
    rate = error_rate(was.words, now.words)
    if rate > 0:
        yield Difference("words", was.number, was.words, now.words, rate > tolerance.words, rate)
    off_ms = now.ended_ms - was.ended_ms
    if off_ms and was.kind != "call_started":
        late = f"{now.ended_ms} ms"
        yield Difference(
            "boundary", was.number, f"{was.ended_ms} ms", late, abs(off_ms) > tolerance.boundary_ms, off_ms
        )
    if was.gist != now.gist or was.after != now.after:
        yield Difference("decision", was.number, _decided(was), _decided(now), True)
    if was.tools != now.tools:
        yield Difference("tools", was.number, _listed(was), _listed(now), True)
    rate = error_rate(was.heard, now.heard)
    if rate > 0:
        yield Difference("spoken", was.number, was.heard, now.heard, rate > tolerance.spoken, rate)
    before, after = waited_ms(was.timings), waited_ms(now.timings)
    if before is not None and after is not None and before != after:
        slower = after - before
        yield Difference(
            "latency", was.number, f"{before} ms", f"{after} ms", slower > tolerance.latency_ms, slower
        )


def _decided(turn: ReplayTurn) -> str:
    return turn.gist if turn.after == "continue" else f"{turn.gist}, then {turn.after}"


def _listed(turn: ReplayTurn) -> str:
    return ", ".join(f"{tool}: {outcome}" for tool, outcome in turn.tools) or "none"


def error_rate(was: str, now: str) -> float:
    """Word error rate: changes by the number of words there were; 1.0 where there were none."""
    a, b = was.lower().split(), now.lower().split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1] / len(a) if a else float(bool(b))
