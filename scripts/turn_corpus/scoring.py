"""Cut-offs and delays of a rule on turns whose facts are known. Every pause is played through, none is waited
for.

A *cut-off* is a turn ended in one of its inner pauses. The *delay* runs from the true end of the speech to
the end of the turn, and is taken for every turn, cut or not, so that all rules are timed on the same turns.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebot.audio.hearing.completeness import Completeness, completeness
from voicebot.audio.hearing.endpointing import EndpointRules, silence_needed
from voicebot.audio.hearing.vad import WINDOW_MS
from voicebot.core.conversation import FREE, Expects

WORDS_AT_MS = 192
"""Silence at which the words so far are known: asked at 128, and two windows for the decode and its way."""
VERDICT_TAKES_MS = 64
"""Two windows; a verdict takes 45-80 ms of one core."""
NEVER = 1e9

STOCK_ASKED_MS = 256
"""A stock bot asks smart-turn once, 200 ms after its voice activity saw the end, which is 90-115 ms late."""
STOCK_FALLBACK_MS = 3000

Floats = npt.NDArray[np.float64]
Classes = tuple[Completeness | None, ...]
CLASSES: Classes = (None, *Completeness)


@dataclass(frozen=True)
class Turns:
    """Facts of many turns as arrays over their pauses (rows) and stretches of constant knowledge (columns).

    Attributes:
        entries: the turns as they were read.
        turn: row -> turn.
        last: row -> whether this pause ends the turn.
        length: ms; ``NEVER`` for the last.
        late: row -> ms by which the listener sees the end of the speech late (may be negative).
        begins, ends: ms of silence; a stretch that does not exist is empty.
        known: index into ``CLASSES``.
        sound: probability, NaN without a verdict.
        due: whether a first verdict is on its way.
        stock: the verdict that a stock bot gets.
    """

    entries: tuple[dict[str, Any], ...]
    turn: npt.NDArray[np.int64]
    last: npt.NDArray[np.bool_]
    length: Floats
    late: Floats
    begins: Floats
    ends: Floats
    known: npt.NDArray[np.int64]
    sound: Floats
    due: npt.NDArray[np.bool_]
    stock: Floats


@dataclass(frozen=True)
class Score:
    """Of a rule on turns. ``cut``: each turn, whether it was cut off; ``cut_pauses``: each inner pause;
    ``delay``: ms.
    """

    cut: npt.NDArray[np.bool_]
    cut_pauses: npt.NDArray[np.bool_]
    delay: Floats

    @property
    def cut_share(self) -> float:
        """Cut-offs by turns."""
        return float(self.cut.mean())

    @property
    def mean_ms(self) -> float:
        """Mean delay."""
        return float(self.delay.mean())

    def delay_ms(self, share: float) -> float:
        """A quantile of the delay."""
        return float(np.quantile(self.delay, share))


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a facts file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def turns(
    entries: Sequence[dict[str, Any]], *, words: bool = True, asked: bool = True, sound: bool = True
) -> Turns:
    """Arrays of the entries; a witness that is switched off never says anything."""
    width = 8
    rows: list[tuple[int, bool, float, float]] = []
    stretches: list[list[tuple[float, float, int, float, bool]]] = []
    stock: list[float] = []
    for number, entry in enumerate(entries):
        expects = (
            Expects.model_validate({"kind": entry["asked"], "length": entry["length"]}) if asked else FREE
        )
        for pause in entry["pauses"]:
            last = pause["length_ms"] is None
            late = pause["begin_ms"] - entry["end_ms"] if last else 0
            rows.append((number, last, NEVER if last else float(pause["length_ms"]), float(late)))
            known = CLASSES.index(completeness(pause["words"], expects)) if words else 0
            verdicts = pause["verdicts"] if sound else []
            stretches.append(_stretches(known, verdicts))
            stock.append(next((p for at, p in pause["verdicts"] if at == STOCK_ASKED_MS), np.nan))
    table = np.full((len(rows), width, 5), np.nan)
    table[:, :, :2] = NEVER
    for n, found in enumerate(stretches):
        table[n, : len(found)] = found
    return Turns(
        entries=tuple(entries),
        turn=np.array([r[0] for r in rows]),
        last=np.array([r[1] for r in rows]),
        length=np.array([r[2] for r in rows]),
        late=np.array([r[3] for r in rows]),
        begins=table[:, :, 0],
        ends=table[:, :, 1],
        known=np.nan_to_num(table[:, :, 2]).astype(np.int64),
        sound=table[:, :, 3],
        due=np.nan_to_num(table[:, :, 4]).astype(bool),
        stock=np.array(stock),
    )


def _stretches(
    known: int, verdicts: Sequence[Sequence[float]]
) -> list[tuple[float, float, int, float, bool]]:
    """(begin, end, class, probability, due) of the stretches in which nothing new is learned."""
    changes = {0.0, float(WORDS_AT_MS)}
    changes |= {float(at) + VERDICT_TAKES_MS for at, _ in verdicts} | {float(at) for at, _ in verdicts[:1]}
    points = [*sorted(changes), NEVER]
    found: list[tuple[float, float, int, float, bool]] = []
    for begin, end in itertools.pairwise(points):
        there = [p for at, p in verdicts if at + VERDICT_TAKES_MS <= begin]
        due = bool(verdicts) and not there and begin >= verdicts[0][0]
        found.append((begin, end, known if begin >= WORDS_AT_MS else 0, there[-1] if there else np.nan, due))
    return found


def table_of(rules: EndpointRules, bounds: Sequence[float]) -> Floats:
    """Silence needed, ms: [class, sound], the last column without a verdict."""
    sounds: list[float | None] = [*bounds, None]
    return np.array([[float(silence_needed(c, p, rules)) for p in sounds] for c in CLASSES])


def needed(turns: Turns, table: Floats, bounds: Sequence[float]) -> Floats:
    """Silence needed, ms: [pause, stretch]."""
    column = np.full(turns.sound.shape, len(bounds))
    for n in reversed(range(len(bounds))):
        column = np.where(turns.sound >= bounds[n], n, column)
    return table[turns.known, column]


def ended_at(turns: Turns, table: Floats, bounds: Sequence[float]) -> Floats:
    """Silence at which each pause would end the turn, were it long enough; whole windows."""
    at = np.maximum(needed(turns, table, bounds), turns.begins)
    at = np.ceil(at / WINDOW_MS) * WINDOW_MS
    fits = (at < turns.ends) & ~turns.due
    return np.where(fits, at, NEVER).min(axis=1)


def score(turns: Turns, ended: Floats) -> Score:
    """Of a rule that ends each pause at ``ended`` ms of silence."""
    inner = ~turns.last
    cut_rows = inner & (ended < turns.length)
    cut = np.zeros(len(turns.entries), bool)
    np.logical_or.at(cut, turns.turn, cut_rows)
    return Score(cut, cut_rows[inner], (ended + turns.late)[turns.last])


def ours(turns: Turns, rules: EndpointRules) -> Score:
    """Voicebot's decision."""
    bounds = [least for least, _ in rules.sounds]
    return score(turns, ended_at(turns, table_of(rules, bounds), bounds))


def smart_turn_alone(turns: Turns, threshold: float = 0.5, fallback_ms: float = STOCK_FALLBACK_MS) -> Score:
    """As a stock bot does it: one verdict; what sounds unfinished waits for the fallback."""
    at = np.where(turns.stock > threshold, STOCK_ASKED_MS + VERDICT_TAKES_MS, fallback_ms)
    return score(turns, at.astype(np.float64))


def silence_alone(turns: Turns, silence_ms: float) -> Score:
    """The same silence for everybody."""
    return score(turns, np.full(turns.turn.shape, float(silence_ms)))


def by(
    entries: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], str]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Groups of turns as masks."""
    names = sorted({key(entry) for entry in entries})
    return {name: np.array([key(entry) == name for entry in entries]) for name in names}
