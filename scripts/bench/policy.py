"""What the policy costs: reading and proving it at start, deciding a turn, and how the proof grows.

    .venv/bin/python -m scripts.bench.policy [--runs 20] [--json]

Processor time of one thread, so that other work on the machine counts little; the median of the runs.
Growing: the shipped table with all its rows twice, four and eight times under other names.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from scripts.bench.servers import ROOT
from voicebot.core.conversation import Confidences
from voicebot.safety.policy import Policy, PolicyFacts, PolicyTable, read_cases, read_policy, run_cases
from voicebot.safety.policy.laws import check_laws
from voicebot.safety.policy.problems import Problems
from voicebot.safety.policy.proof import prove

BUSINESS = ROOT / "business"
HEAD = ["", "figure"]
GROWTH = (1, 2, 4, 8)
DECISIONS = 20_000


def measure(runs: int) -> dict[str, Any]:
    """Everything, in milliseconds and microseconds of processor time."""
    path = BUSINESS / "policy.yaml"
    table = read_policy(path)
    policy, cases = Policy(table), read_cases(BUSINESS / "policy_tests.yaml")
    return {
        "intents": len(table.intents),
        "read_ms": _median_ms(lambda: read_policy(path), runs),
        "laws_ms": _median_ms(lambda: check_laws(table, Problems()), runs),
        "prove_ms": _median_ms(lambda: prove(Policy(table)), runs),
        "cases": prove(policy)[0].cases,
        "tests": len(cases.cases),
        "tests_ms": _median_ms(lambda: run_cases(policy, cases), runs),
        "decide_us": _decide_us(policy),
        "growth": [_grown(_times(path, many)) for many in GROWTH],
    }


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table of docs/benchmarks.md."""
    decide = result["decide_us"]
    found = [
        [f"reading the table ({result['intents']} intents), ms", f"{result['read_ms']:.0f}"],
        ["its laws, ms", f"{result['laws_ms']:.1f}"],
        [f"its proof ({result['cases']:,} cases), ms", f"{result['prove_ms']:.0f}"],
        [f"its {result['tests']} policy tests, ms", f"{result['tests_ms']:.1f}"],
        ["deciding a turn, p50, microseconds", f"{decide['p50']:.1f}"],
        ["the same, p99", f"{decide['p99']:.1f}"],
    ]
    found += [
        [
            f"the proof with {one['intents']} different intents ({one['cases']:,} cases), ms",
            f"{one['prove_ms']:.0f}",
        ]
        for one in result["growth"]
    ]
    return found


def _grown(table: PolicyTable) -> dict[str, Any]:
    policy = Policy(table)
    return {
        "intents": len(table.intents),
        "cases": prove(policy)[0].cases,
        "prove_ms": _median_ms(lambda: prove(policy), 3),
    }


def _median_ms(work: Callable[[], object], runs: int) -> float:
    times: list[float] = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


def _decide_us(policy: Policy) -> dict[str, float]:
    pick = random.Random(1)
    intents = list(policy.table.intents)
    facts = [
        PolicyFacts(
            pick.choice(intents),
            Confidences(classification=pick.random(), grounding=pick.random(), answer=pick.random()),
            pick.random() < 0.5,
            region=pick.choice([None, "hawaii", "vermont"]),
        )
        for _ in range(DECISIONS)
    ]
    times: list[float] = []
    for one in facts:
        began = time.perf_counter_ns()
        policy.decide(one)
        times.append((time.perf_counter_ns() - began) / 1000)
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}


def _times(path: Path, many: int) -> PolicyTable:
    """The shipped table with its rows ``many`` times, no two alike, so that each has to be gone through."""
    document = yaml.safe_load(path.read_text())
    document["intents"] = {
        f"{name}_{copy}" if copy else name: _unlike(rule, copy)
        for copy in range(many)
        for name, rule in document["intents"].items()
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(document, file)
        file.flush()
        return read_policy(Path(file.name))


def _unlike(rule: dict[str, Any], copy: int) -> dict[str, Any]:
    return {**rule, "sure": round(min(0.99, rule.get("sure", 0.70) + 0.01 * copy), 2)} if copy else rule


def main() -> None:
    """Prints the table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.runs)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, figure in rows(result):
        print(f"{name:70} {figure:>10}")


if __name__ == "__main__":
    main()
