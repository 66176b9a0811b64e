"""Fits the silence that ends a caller's turn (`EndpointRules`) to labelled turns, and prints the curve.

    .venv/bin/python -m scripts.make_turn_corpus --out DIR --data FSDD     # once, about a quarter of an hour
    .venv/bin/python -m scripts.fit_endpointing DIR/facts.jsonl [--price 2200] [--check]

Fitted is on the turns of the fit voices and patterns, and on the numbers of all real speakers but one;
everything printed besides the rules is of held-out voices and patterns. `--price` is what cutting a caller
off costs, in ms of delay: they notice, stop and say it again. The curve comes from other prices. `--check`
exits with 1 if the shipped rules are not those of the fit.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.turn_corpus import fitting, scoring
from scripts.turn_corpus.scoring import Score, Turns
from voicebot.audio.hearing.completeness import Completeness
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, EndpointRules

PRICE_MS = 2200.0
PRICES_MS = (500.0, 1000.0, 1500.0, 2200.0, 3000.0, 4000.0, 5000.0, 8000.0)
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
FALLBACKS_MS = (600, 800, 1000, 1500, 2000, 3000)
SILENCES_MS = (200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500, 2000)
HELD_OUT_SPEAKER = "lucas"
AT_MS = 600.0

HEAD = ("", "turns cut off", "pauses", "delay, mean", "p50", "p95")


@dataclass(frozen=True)
class Material:
    """The entries of a facts file by their use."""

    fit: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    people_fit: list[dict[str, Any]]
    people: list[dict[str, Any]]


def material(path: Path) -> Material:
    """Reads a facts file; ``people`` are the numbers of the speaker that is never fitted to."""
    entries = scoring.read(path)
    real = [e for e in entries if e["split"] == "real"]
    return Material(
        [e for e in entries if e["split"] == "fit"],
        [e for e in entries if e["split"] == "held_out"],
        [e for e in real if e["voice"] != HELD_OUT_SPEAKER],
        [e for e in real if e["voice"] == HELD_OUT_SPEAKER],
    )


def fitted(found: Material, price_ms: float) -> EndpointRules:
    """The rules for a price, rounded as they are shipped."""
    turns = fitting.material(found.fit, found.people_fit)
    return fitting.with_likely(turns, fitting.rounded(fitting.fit(turns, price_ms, fitting.START)))


def row(name: str, score: Score) -> list[str]:
    """For a table with ``HEAD``."""
    pauses = f"{score.cut_pauses.mean():.1%}" if score.cut_pauses.size else "–"
    delays = [f"{score.mean_ms:.0f}", f"{score.delay_ms(0.5):.0f}", f"{score.delay_ms(0.95):.0f}"]
    return [name, f"{score.cut_share:.1%}", pauses, *delays]


def curve(found: Material, turns: Turns) -> dict[str, list[tuple[str, Score]]]:
    """The scores of each way of ending turns, from hasty to patient."""
    ours = [(f"{price:.0f} ms a cut-off", scoring.ours(turns, fitted(found, price))) for price in PRICES_MS]
    return {
        "voicebot": ours,
        "smart-turn alone": [(f"threshold {t}", scoring.smart_turn_alone(turns, t)) for t in THRESHOLDS],
        "smart-turn, shorter fallback": [
            (f"0.5, fallback {ms} ms", scoring.smart_turn_alone(turns, 0.5, ms)) for ms in FALLBACKS_MS
        ],
        "silence alone": [(f"{ms} ms", scoring.silence_alone(turns, ms)) for ms in SILENCES_MS],
    }


def cut_share_at(scores: Sequence[Score], mean_ms: float) -> float | None:
    """Share of turns cut off where a curve has this mean delay, interpolated; None if it never has."""
    points = sorted((s.mean_ms, s.cut_share) for s in scores)
    for (a, cut_a), (b, cut_b) in itertools.pairwise(points):
        if a <= mean_ms <= b and b > a:
            return cut_a + (cut_b - cut_a) * (mean_ms - a) / (b - a)
    return None


def source(rules: EndpointRules) -> str:
    """The rules as they stand in the code."""
    sounds = ", ".join(f"({least}, {factor})" for least, factor in rules.sounds)
    worth = "\n".join(f"        Completeness.{c.name}: {rules.worth[c]}," for c in Completeness)
    return (
        f"{worth}\n    silence_alone: int = {rules.silence_alone}\n    sounds = ({sounds})\n"
        f"    longest: int = {rules.longest}\n    digits_open: int = {rules.digits_open}\n"
        f"    likely_below: int = {rules.likely_below}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("facts", type=Path)
    parser.add_argument("--price", type=float, default=PRICE_MS, help="of a cut-off, ms of delay")
    parser.add_argument("--check", action="store_true", help="exit 1 if other rules are shipped")
    options = parser.parse_args()
    found = material(options.facts)
    counts = [len(e) for e in (found.fit, found.people_fit, found.held_out)]
    print("{} turns and {} numbers of people to fit, {} turns held out\n".format(*counts))
    rules = fitted(found, options.price)
    print(source(rules))
    turns = scoring.turns(found.held_out)
    curves = curve(found, turns)
    for name, points in curves.items():
        report.print_table(
            f"{name}, held-out voices and patterns", HEAD, [row(label, s) for label, s in points]
        )
    for name, points in curves.items():
        share = cut_share_at([s for _, s in points], AT_MS)
        said = "no point so fast" if share is None else f"{share:.1%} of turns cut off"
        print(f"{name}, mean delay of {AT_MS:.0f} ms: {said}")
    if options.check and rules != replace(DEFAULT_RULES, held=0):
        print(
            "the shipped rules are others: put the above into voicebot/audio/hearing/endpointing.py",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
