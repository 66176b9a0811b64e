"""What a chat message costs, and what memory adds to it.

    .venv/bin/python -m scripts.bench.chat [--chats 60] [--json]

The service in this process on an embedded Postgres of its own, articles quoted (no model), one message at
a time: from the text to the last word, everything written. The gate's turn is measured with three groups of
customers: those who do not want to be remembered, those who come for the first time, and those who had 20
conversations before. All kinds take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from scripts.bench import report
from scripts.bench.servers import ROOT
from voicebot.channels.chat.service import ChatService
from voicebot.core.conversation import Channel
from voicebot.core.store import embedded
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.memory import memories
from voicebot.dialogue.memory.contact import Contact, Topic
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.desk import StoredHandoffs
from voicebot.safety.identity import Gate, GateProgress, GateRules, Match

HEAD = ["a chat message, ms", "p50", "p99"]
EARLIER = 20
QUESTIONS = (
    "How much is shipping?",
    "Can I pay by card?",
    "Where is your store?",
    "What about the warranty?",
)


async def run(url: str, chats: int) -> dict[str, Any]:
    """Milliseconds of every message, by kind."""
    deployment = Deployment.load(ROOT)
    ensure_schema(url)
    await deployment.prepare(url)
    database, keys = await Database.open(url), KeyRing(bytes(32))
    orchestrator = Orchestrator(
        database=database,
        keys=keys,
        deployment=deployment,
        connector=PostgresConnector(database, deployment.queries),
        generator=GroundedResponder(),
        handoffs=StoredHandoffs.of(keys, ROOT),
    )
    chat = ChatService(orchestrator, database, keys, deployment.phrases)
    groups = await _groups(database, chats)
    for caller in groups["gate_known"]:
        await _verified(chat, caller, [])
    await _look_back(database, orchestrator, deployment.policy.table.identity, groups["gate_known"])
    times: dict[str, list[float]] = {"beginning": [], "general": [], **{name: [] for name in groups}}
    for nth in range(chats):  # taking turns, so that what else the machine does hits all alike
        begun = await _timed(times["beginning"], chat.say(None, "When do you open?"))
        for question in QUESTIONS[nth % 2 :: 2]:
            await _timed(times["general"], chat.say(begun.conversation_id, question))
        for name, callers in groups.items():
            await _verified(chat, callers[nth], times[name])
    await chat.close()
    await orchestrator.close()
    await database.close()
    return {"bench": "chat", "chats": chats, "times_ms": times}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table of docs/benchmarks.md."""
    names = {
        "beginning": "the first: greeting and a general question",
        "general": "a general question, answered from an article",
        "gate_unremembered": "the gate's: verified, an order read; not remembered",
        "gate_first": "the same, remembered, for the first time",
        "gate_known": f"the same, {EARLIER} earlier conversations",
    }
    return [
        [name, *(report.show(report.quantile(result["times_ms"][key], share), 1) for share in (0.5, 0.99))]
        for key, name in names.items()
    ]


def measure(chats: int) -> dict[str, Any]:
    """On a database that is thrown away."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    home = Path(tempfile.mkdtemp(prefix="vb-bench-"))
    home.chmod(0o755)  # as root the database lies below it
    try:
        with EmbeddedPostgres.start(home / "data") as server:
            return asyncio.run(run(server.url, chats))
    finally:
        embedded.erase(home / "data")
        shutil.rmtree(home)


async def _timed(times: list[float], work: Awaitable[Any]) -> Any:
    started = time.perf_counter()
    result = await work
    times.append((time.perf_counter() - started) * 1000)
    return result


async def _verified(chat: ChatService, caller: dict[str, Any], times: list[float]) -> None:
    begun = await chat.say(None, "Where is my order?")
    await chat.say(begun.conversation_id, caller["number"])
    await _timed(times, chat.say(begun.conversation_id, caller["post_code"]))


async def _groups(database: Database, many: int) -> dict[str, list[dict[str, Any]]]:
    """Three groups of customers with an order each; the first does not want to be remembered."""
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT DISTINCT ON (customer_id) customer_id, number, post_code FROM shop.orders"
            " ORDER BY customer_id LIMIT %s",
            (3 * many,),
        )
        found = await cursor.fetchall()
        names = ("gate_unremembered", "gate_first", "gate_known")
        groups = {name: found[at::3] for at, name in enumerate(names)}
        await tx.execute(
            "UPDATE shop.customers SET consent_memory = id <> ALL(%s)",
            ([caller["customer_id"] for caller in groups["gate_unremembered"]],),
        )
    return groups


async def _look_back(
    database: Database, orchestrator: Orchestrator, rules: GateRules, callers: list[dict[str, Any]]
) -> None:
    """Gives every customer that is known a past."""
    at = datetime.now(UTC) - timedelta(days=1)
    past = Contact(
        channel=Channel.CHAT,
        began_at=at,
        last_at=at,
        topics=(Topic(intent="warranty_claim", at=at, resolved=False),),
        moods=(-0.5,),
    )
    gate = Gate(rules)
    async with database.transaction() as tx:
        for caller in callers:
            match = Match(customer_id=caller["customer_id"], reference=caller["number"], method=())
            verified = gate.customer(GateProgress(match=match))
            assert verified is not None
            customer = await orchestrator.memory.customers.find(tx, verified)
            assert customer is not None
            for nth in range(EARLIER):
                await memories.keep_contact(tx, customer, f"cv_{nth:032x}", past, days=30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chats", type=int, default=60, help="of each kind, at most 60")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    result = measure(options.chats)
    if not options.json:
        report.print_table("Chat", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
