"""What the guards find, how often they are wrong, and what they cost.

    .venv/bin/python -m scripts.bench.guards [--data DIR]

``--data``: a folder with injection/, benign_prompts/, banking77/ and clinc150/ (development sets, not part of
this repository); without it only what the deployment holds is measured. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.bench.report import machine, quantile, today
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.knowledge.articles import read_articles
from voicebot.safety.guard_in import InputGuard, Source
from voicebot.safety.guard_in.reading import ATTACKS
from voicebot.safety.guard_out import ClauseGuard, CustomerIndex, Facts, Identifier
from voicebot.safety.guard_out.customers import Owned

SHORT = 200  # characters: what a caller says in one turn
CUSTOMERS = 200_000  # five identifiers each: a million


def lines(node: Any) -> Iterator[str]:
    """Callers' lines of golden files."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"caller", "ways"}:
                yield from (
                    [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)]
                )
            else:
                yield from lines(value)
    elif isinstance(node, list):
        for value in node:
            yield from lines(value)


def callers(folder: Path) -> list[str]:
    """What golden callers say, attacks left out."""
    found: list[str] = []
    for path in sorted((folder / "business/golden").glob("*.yaml")):
        for one in yaml.safe_load(path.read_text(encoding="utf-8")).get("conversations", []):
            if "injection" not in one.get("tags", []):
                found += [line for line in lines(one) if "{way}" not in line]
    return found


def share(guard: InputGuard, texts: Sequence[str]) -> dict[str, float | int]:
    """How many are taken for an attack, for abuse, for unsupported work."""
    seen = [guard.read(text, Source.CALLER) for text in texts]
    attacks = sum(one.kind in ATTACKS for one in seen)
    return {
        "texts": len(texts),
        "attacks": attacks,
        "share": round(attacks / max(1, len(texts)), 4),
        "abuse": sum(one.kind == "abuse" for one in seen),
        "unsupported": sum(one.kind == "unsupported" for one in seen),
    }


def timed(work: Callable[[str], object], texts: Sequence[str]) -> dict[str, float | None]:
    """Milliseconds of processor time for each text: the machine is shared."""
    took: list[float] = []
    for text in texts:
        began = time.thread_time()
        work(text)
        took.append((time.thread_time() - began) * 1000)
    return {f"p{share}_ms": round(quantile(took, share / 100) or 0, 3) for share in (50, 99)}


def clauses(folder: Path) -> dict[str, Any]:
    """The output guard over every clause of the articles, beside an index of a million values."""
    rng = random.Random(5)
    index = CustomerIndex()
    rows: list[tuple[int, int]] = []

    began = time.thread_time()
    for nth in range(CUSTOMERS):
        who = f"cu_{nth:07d}"
        rows += index.digested(
            [
                Owned(who, Identifier.ORDER, f"{rng.randrange(10**9):09d}"),
                Owned(who, Identifier.PHONE, f"+1{rng.randrange(10**10):010d}"),
                Owned(who, Identifier.MAIL, f"customer{nth}@example.com"),
                Owned(who, Identifier.NAME, f"firstname{nth} lastname{nth}"),
                Owned(who, Identifier.PLACE, f"{rng.randrange(10**5):05d} lastname{nth}"),
            ]
        )
    index.replace(rows)
    built_s = time.thread_time() - began
    del rows

    took: list[float] = []
    made: list[float] = []
    blocked = count = 0
    articles = read_articles(folder / "business/knowledge")
    for article in articles:
        bodies = [chunk.body for chunk in article.chunks]
        began = time.thread_time()
        guard = ClauseGuard(Facts(cited=[*bodies, article.title]), index)
        made.append((time.thread_time() - began) * 1000)
        for clause in (one for body in bodies for one in split(body)):
            began = time.thread_time()
            ruling = guard.check(clause)
            took.append((time.thread_time() - began) * 1000)
            count += 1
            blocked += type(ruling).__name__ == "Block"
    return {
        "identifiers": len(index),
        "index_bytes": index.bytes,
        "built_s": round(built_s, 1),
        "clauses": count,
        "own_articles_blocked": blocked,
        "p50_ms": round(quantile(took, 0.5) or 0, 3),
        "p99_ms": round(quantile(took, 0.99) or 0, 3),
        "facts_p99_ms": round(quantile(made, 0.99) or 0, 3),
    }


def measured(folder: Path, data: Path | None) -> dict[str, Any]:
    """Everything."""
    guard = InputGuard.load(folder / "models")
    golden = callers(folder)
    found: dict[str, Any] = {
        "machine": machine(),
        "date": today(),
        "guard": guard.version,
        "golden_callers": share(guard, golden),
        "turn": timed(lambda text: guard.read(text, Source.CALLER), golden * 5),
        "clause": clauses(folder),
    }
    if data is not None:
        strings = [
            json.loads(line)["text"]
            for line in (data / "injection/garak_third.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        benign = json.loads((data / "benign_prompts/NotInject_one.json").read_text(encoding="utf-8"))
        clinc = json.loads((data / "clinc150/clinc150_train_val.json").read_text(encoding="utf-8"))
        with (data / "banking77/train.csv").open(encoding="utf-8") as file:
            banking = [row["text"] for row in csv.DictReader(file)]
        found |= {
            "injection_short": share(guard, [one for one in strings if len(one) <= SHORT]),
            "injection_all": share(guard, strings),
            "benign_prompts": share(guard, [one["prompt"] for one in benign]),
            "banking77": share(guard, banking),
            "clinc150": share(guard, [text for text, _ in clinc["train"]]),
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployment", type=Path, default=Path())
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    print(json.dumps(measured(options.deployment, options.data), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
