"""The end of a turn: cut-offs and delays of the shipped rules beside smart-turn alone and silence alone.

    .venv/bin/python -m scripts.make_turn_corpus --out DIR --data FSDD     # once, about a quarter of an hour
    .venv/bin/python -m scripts.bench.endpoint DIR/facts.jsonl [--json] [--out FILE]

Everything is of held-out voices and sentence patterns (`scripts/fit_endpointing.py` says what was fitted to),
of the demo callers' recorded lines and of people's numbers. *Smart-turn alone* is as a stock bot uses it: one
verdict 200 ms after the end of speech, and 3 s where it says unfinished. A voice that it *judges right* is
one of whose turns it calls seven in ten finished when they are. Times are of silence, as the rules measure
it; nothing here runs in real time but the last row, the cost of one decision.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench import report
from scripts.fit_endpointing import AT_MS, PRICE_MS, Material, curve, cut_share_at, material
from scripts.turn_corpus import fitting, scoring
from scripts.turn_corpus.scoring import Score, Turns
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, EndpointFacts, decide
from voicebot.core.conversation import Expects

JUDGED_RIGHT = 0.7
PAUSES_MS = ((128, 400), (400, 700), (700, 1100), (1100, 2000))
DECISIONS = 20_000

HEAD = ["", "turns", "cut off", "stock", "ratio", "delay p50", "stock", "ratio", "p95", "stock", "ratio"]


@dataclass(frozen=True)
class Pair:
    """voicebot's score and the stock bot's, on the same turns."""

    name: str
    ours: Score
    stock: Score

    def row(self) -> list[str]:
        """For ``HEAD``."""
        cells = [
            self.name,
            str(self.ours.cut.size),
            _percent(self.ours.cut_share),
            _percent(self.stock.cut_share),
        ]
        cells.append(_ratio(self.ours.cut_share, self.stock.cut_share))
        for share in (0.5, 0.95):
            ours, stock = self.ours.delay_ms(share), self.stock.delay_ms(share)
            cells += [f"{ours:.0f}", f"{stock:.0f}", _ratio(ours, stock)]
        return cells


def pair(name: str, turns: Turns) -> Pair:
    """Both on these turns."""
    return Pair(name, scoring.ours(turns, DEFAULT_RULES), scoring.smart_turn_alone(turns))


def judged_right(entries: Sequence[dict[str, Any]]) -> set[str]:
    """Voices whose ends smart-turn mostly knows."""
    ends: dict[str, list[bool]] = {}
    for entry in entries:
        verdicts = dict(map(tuple, entry["pauses"][-1]["verdicts"]))
        if scoring.STOCK_ASKED_MS in verdicts:
            ends.setdefault(entry["voice"], []).append(verdicts[scoring.STOCK_ASKED_MS] > 0.5)
    return {voice for voice, right in ends.items() if np.mean(right) >= JUDGED_RIGHT}


def pairs(entries: Sequence[dict[str, Any]]) -> list[Pair]:
    """The groups of the table."""
    held_out = [e for e in entries if e["split"] == "held_out"]
    right = judged_right(held_out)
    wanted: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
        ("all held-out turns", lambda e: e["split"] == "held_out"),
        ("voices judged right", lambda e: e["split"] == "held_out" and e["voice"] in right),
        ("other voices", lambda e: e["split"] == "held_out" and e["voice"] not in right),
        *(
            (f"voice {voice}", lambda e, voice=voice: e["split"] == "held_out" and e["voice"] == voice)
            for voice in sorted({e["voice"] for e in held_out})
        ),
        *(
            (f"asked: {kind}", lambda e, kind=kind: e["split"] == "held_out" and e["asked"] == kind)
            for kind in ("free", "yes_no", "digits", "date", "name")
        ),
        ("demo callers' lines", lambda e: e["split"] == "lines"),
        ("numbers by people", lambda e: e["split"] == "real"),
    ]
    chosen = [(name, [e for e in entries if keep(e)]) for name, keep in wanted]
    return [pair(name, scoring.turns(group)) for name, group in chosen if group]


def by_pause(turns: Turns) -> list[list[str]]:
    """Share of inner pauses that end the turn, by their length."""
    inner = turns.length[~turns.last]
    ours, stock = scoring.ours(turns, DEFAULT_RULES), scoring.smart_turn_alone(turns)
    rows: list[list[str]] = []
    for least, most in PAUSES_MS:
        these = (inner >= least) & (inner < most)
        a, b = float(ours.cut_pauses[these].mean()), float(stock.cut_pauses[these].mean())
        rows.append([f"{least}-{most} ms", str(int(these.sum())), _percent(a), _percent(b), _ratio(a, b)])
    return rows


def ablation(found: Material) -> list[list[str]]:
    """Without each witness: fitted and scored without it."""
    rows: list[list[str]] = []
    for name, options in (
        ("all three", {}),
        ("without the words", {"words": False}),
        ("without what was asked", {"asked": False}),
        ("without smart-turn", {"sound": False}),
    ):
        parts = [(scoring.turns(found.fit, **options), 1.0)]
        if found.people_fit:
            parts.append((scoring.turns(found.people_fit, **options), fitting.PEOPLE))
        rules = fitting.fit(fitting.Material(tuple(parts)), PRICE_MS, fitting.START)
        score = scoring.ours(scoring.turns(found.held_out, **options), rules)
        delays = [f"{score.mean_ms:.0f}", f"{score.delay_ms(0.5):.0f}", f"{score.delay_ms(0.95):.0f}"]
        cost = score.mean_ms + PRICE_MS * score.cut_share
        rows.append([name, _percent(score.cut_share), *delays, f"{cost:.0f}"])
    return rows


def decision_us(entries: Sequence[dict[str, Any]]) -> float:
    """Mean time of one ``decide`` over the words of these turns, microseconds."""
    facts = [
        EndpointFacts(
            200, 2000, pause["words"], True, 0.7, expects=Expects(kind=e["asked"], length=e["length"])
        )
        for e in entries
        for pause in e["pauses"]
    ]
    began = time.perf_counter()
    for number in range(DECISIONS):
        decide(facts[number % len(facts)])
    return (time.perf_counter() - began) / DECISIONS * 1e6


def measure(path: Path) -> dict[str, Any]:
    """Every figure, ready for JSON."""
    entries = scoring.read(path)
    found = material(path)
    turns = scoring.turns(found.held_out)
    at = {name: cut_share_at([s for _, s in points], AT_MS) for name, points in curve(found, turns).items()}
    return {
        "head": HEAD,
        "groups": [p.row() for p in pairs(entries)],
        "judged_right": sorted(judged_right(found.held_out)),
        "by_pause": by_pause(turns),
        "ablation": ablation(found),
        "cut_off_at_600_ms": at,
        "decision_us": decision_us(found.held_out),
    }


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _ratio(ours: float, other: float) -> str:
    return f"{ours / other:.2f}" if other else "–"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("facts", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure(options.facts)
    if not options.json:
        report.print_table("voicebot and smart-turn alone (stock)", HEAD, result["groups"])
        print("judged right:", ", ".join(result["judged_right"]))
        head = ["inner pauses", "", "ended the turn", "stock", "ratio"]
        report.print_table("by the length of the pause", head, result["by_pause"])
        head = ["fitted and scored", "cut off", "delay, mean", "p50", "p95", f"cost at {PRICE_MS:.0f} ms"]
        report.print_table("ablation, held-out turns", head, result["ablation"])
        for name, share in result["cut_off_at_600_ms"].items():
            said = "no point so fast" if share is None else f"{share:.1%} of turns cut off"
            print(f"{name}, mean delay of {AT_MS:.0f} ms: {said}")
        print(f"one decision: {result['decision_us']:.1f} us")
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
