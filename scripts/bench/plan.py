"""How long a turn takes to plan and to commit, without a language model.

    .venv/bin/python -m scripts.bench.plan [--turns 400] [--json] [--out FILE]

Real conversations on a Postgres of the bench's own, the reference shop in it, one after the other: general
questions (retrieval included), an order behind the identity gate (memory included), a choice, small talk, a
promise (an act in the commit), and early plans that are settled. Times are what the event loop waits, in
milliseconds; the database is embedded, on the same machine. The first conversations warm up and do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import REGISTRY

from scripts.bench import report
from scripts.bench.servers import ROOT
from voicebot.core.conversation import CallStarted, Channel, Heard, TurnInput, TurnTimings, Utterance
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.plan import Plan
from voicebot.dialogue.state import new_state
from voicebot.handoff.desk import StoredHandoffs

WARM_UP = 2
GENERAL = (
    "when are you open on sunday",
    "how long do i have to return a lamp",
    "how much is delivery of a sofa",
    "how long is the warranty",
    "do you have gift cards",
    "how do i clean an oak table",
    "thanks",
    "do you deliver to canada",
)
ORDER = ("where is my order four two seven one zero three", "nine four one oh seven", "thank you")
PROMISE = ("what is the phone number of the moon", "which pizza do you like", "no", "no", "yes")
PARTIALS = (
    ("when are you open", "when are you open on sunday"),
    ("how long is the warranty", "how long is the warranty"),
    ("how much is delivery", "how much is delivery"),
    ("do you have gift", "do you have gift cards"),
)


@contextmanager
def shop() -> Iterator[tuple[str, Deployment]]:
    """A Postgres with the reference shop in it."""
    with tempfile.TemporaryDirectory(prefix="vb-bench-") as home:
        Path(home).chmod(0o755)  # as root another account runs Postgres, and must reach it
        with EmbeddedPostgres.start(Path(home) / "data") as postgres:
            yield from _filled(postgres.url)


def _filled(url: str) -> Iterator[tuple[str, Deployment]]:
    ensure_schema(url)
    deployment = Deployment.load(ROOT)
    asyncio.run(deployment.prepare(url))
    yield url, deployment


class Caller:
    """Speaks one line after the other, and keeps the times."""

    def __init__(self, orchestrator: Orchestrator, database: Database, keys: KeyRing) -> None:
        self._orchestrator = orchestrator
        self._database = database
        self._keys = keys
        self.times: dict[str, list[float]] = defaultdict(list)
        self._id = ""

    async def call(self, lines: tuple[str, ...], kind: str) -> None:
        """A conversation of its own."""
        async with self._database.transaction() as tx:
            self._id = await Conversations(self._keys).create(
                tx,
                channel=Channel.PHONE,
                call_sid=None,
                caller="+12025550100",
                called=None,
                state=new_state(),
            )
        await self._turn(CallStarted(), "greeting")
        for line in lines:
            await self._turn(Utterance(text=line), kind)

    async def early(self, pairs: tuple[tuple[str, str], ...]) -> None:
        """Words so far are offered, then the final ones are settled."""
        for so_far, final in pairs:
            await self._orchestrator.offer(self._id, Utterance(text=so_far))
            await asyncio.sleep(0.1)  # the caller finishes the word
            started = time.perf_counter()
            plan = await self._orchestrator.settle(self._id, Utterance(text=final))
            same = so_far == final
            self._note(f"settle, {'same' if same else 'other'} words", started)
            await self._end(plan, "after an early plan")

    async def _turn(self, given: TurnInput, kind: str) -> None:
        started = time.perf_counter()
        plan = await self._orchestrator.plan(self._id, given)
        self._note(f"plan, {kind}", started)
        await self._end(plan, kind)

    async def _end(self, plan: Plan, kind: str) -> None:
        started = time.perf_counter()
        committed = await self._orchestrator.commit(plan)
        self._note(f"commit, {kind}", started)
        words = " ".join([clause.text async for clause in self._orchestrator.words(committed)])
        started = time.perf_counter()
        await self._orchestrator.heard(
            self._id, committed.turn, Heard(text=words, complete=True), TurnTimings()
        )
        self._note("heard", started)

    def _note(self, what: str, started: float) -> None:
        self.times[what].append((time.perf_counter() - started) * 1000)


async def hold(url: str, deployment: Deployment, turns: int) -> dict[str, Any]:
    """Conversations until so many turns were planned."""
    keys = KeyRing(secrets.token_bytes(32))
    database = await Database.open(url)
    orchestrator = Orchestrator(
        database=database,
        keys=keys,
        deployment=deployment,
        connector=PostgresConnector(database, deployment.queries),
        generator=GroundedResponder(deployment.phrases),
        handoffs=StoredHandoffs.of(keys, ROOT),
    )
    caller = Caller(orchestrator, database, keys)
    for round_ in range(10_000):
        if round_ == WARM_UP:
            caller.times.clear()
        await caller.call(GENERAL, "general question")
        await caller.early(PARTIALS)
        await caller.call(ORDER, "order behind the gate")
        await caller.call(PROMISE, "out of scope, promise")
        planned = sum(len(v) for k, v in caller.times.items() if k.startswith("plan"))
        if round_ >= WARM_UP and planned >= turns:
            break
    await orchestrator.close()
    await database.close()
    fates = {
        fate: REGISTRY.get_sample_value("voicebot_eager_plans_total", {"fate": fate}) or 0.0
        for fate in ("kept", "other_words", "resumed", "stale", "refused", "failed")
    }
    return {"bench": "plan", "ms": dict(caller.times), "early": fates}


def measure(turns: int) -> dict[str, Any]:
    """Milliseconds of each step by kind of turn, and how the early plans ended."""
    with shop() as (url, deployment):
        return asyncio.run(hold(url, deployment, turns))


HEAD = ["ms", "turns", "p50", "p99", "slowest"]


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per step and kind, all plans and all commits first."""
    times: dict[str, list[float]] = result["ms"]
    both = {
        f"every {step}": [t for name, values in times.items() if name.startswith(f"{step},") for t in values]
        for step in ("plan", "commit")
    }
    table = [
        [
            name,
            str(len(values)),
            report.show(report.quantile(values, 0.50), 1),
            report.show(report.quantile(values, 0.99), 1),
            report.show(max(values), 1),
        ]
        for name, values in {**both, **dict(sorted(times.items()))}.items()
    ]
    early: dict[str, float] = result["early"]
    made = sum(early.values())
    kept = f"{early['kept'] / made:.0%}" if made else "–"
    return [*table, ["early plans kept", f"{made:.0f}", kept, "–", "–"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    result = measure(options.turns)
    if not options.json:
        report.print_table("Plan and commit", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
