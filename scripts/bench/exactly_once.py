"""How often a yes writes twice: fuzzed conversations against a shop that would take a second write.

    .venv/bin/python -m scripts.bench.exactly_once [--conversations 1000] [--seed 0] [--json]

What goes wrong in them stands in `voicebot.proof.exactly_once`. The database is a Postgres of this run alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import structlog

from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.desk import StoredHandoffs
from voicebot.proof.exactly_once import Fuzz, Tally, unguarded

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("635192", "73301")


async def measure(url: str, conversations: int, seed: int) -> Tally:
    """The run."""
    deployment = unguarded(Deployment.load(ROOT))
    await deployment.prepare(url)
    keys = KeyRing(bytes(range(32)))
    database = await Database.open(url, at_commit=Linker(keys))
    fuzz = Fuzz(
        database,
        keys,
        lambda shaky, now: Orchestrator(
            database=shaky,
            keys=keys,
            deployment=deployment,
            connector=PostgresConnector(shaky, deployment.queries),
            generator=GroundedResponder(),
            handoffs=StoredHandoffs.of(keys, ROOT),
            now=now,
        ),
        ORDER,
    )
    tally = await fuzz.run(conversations, seed=seed)
    await database.close()
    return tally


def main() -> None:
    """Runs it and prints what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="vb-bench-") as home:
        Path(home).chmod(0o755)  # so that as root the database lies below it
        with EmbeddedPostgres.start(Path(home) / "data", settings={"fsync": "off"}) as server:
            ensure_schema(server.url)
            tally = asyncio.run(measure(server.url, options.conversations, options.seed))
    took_s = round(time.perf_counter() - began, 1)
    if options.json:
        print(json.dumps({**asdict(tally), "took_s": took_s}))
        return
    for name, value in asdict(tally).items():
        print(f"{name:<14} {value}")
    print(f"{'took_s':<14} {took_s}")


if __name__ == "__main__":
    main()
