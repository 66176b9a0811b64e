"""How soon a person's decision reaches the customer: from the approval's request to the answer's first word.

    .venv/bin/python -m scripts.bench.drafts [--rounds 30] [--workers 2] [--json]

A real server on this machine with several nodes on one port. A customer asks on a chat socket of whichever
node takes it, an agent approves over REST at whichever node takes that; the answer is made by the node that
has the conversation. *Answered*: until the agent's request was; *heard*: until the customer's socket had the
first clause. A call's node is woken the same way; speech comes on top there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from scripts.bench.servers import ROOT, data_directory, voicebot

QUESTION = "do you have gift cards"
WITHIN_S = 30.0


def drafting(folder: Path) -> Path:
    """The reference deployment with one intent's answers in draft mode."""
    for name in ("pipelines", "tools", "models"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "business", folder / "business")
    policy = folder / "business" / "policy.yaml"
    text, changed = re.subn(r"(  gift_card:\s+\{[^}]*)\}", r"\1, route: draft}", policy.read_text())
    if changed != 1:
        raise SystemExit("business/policy.yaml has no row gift_card: name another intent here")
    policy.write_text(text)
    return folder


async def clause(line: ClientConnection, holding: str = "") -> dict[str, Any]:
    """The next clause that holds these words."""
    async with asyncio.timeout(WITHIN_S):
        async for told in line:
            event: dict[str, Any] = json.loads(told)
            if event["type"] == "clause" and holding in event["text"]:
                return event
    raise SystemExit("the socket ended")


async def rounds(url: str, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each round: until the agent was answered, until the customer had words."""
    answered: list[float] = []
    heard: list[float] = []
    agent = {"X-Voicebot-Agent": "ada"}
    for _ in range(count):
        async with connect(f"{url.replace('http', 'ws')}/chat") as line:
            await line.send(json.dumps({"text": QUESTION}))
            held = await clause(line, "about a minute")
            # a connection of its own each time, so that either node may take it
            async with httpx.AsyncClient(base_url=url, headers=agent, timeout=WITHIN_S) as desk:
                query = {"status": "waiting", "conversation": held["conversation_id"]}
                (draft,) = (await desk.get("/api/drafts", params=query)).json()
                began_s = time.perf_counter()
                words = asyncio.create_task(clause(line))
                (await desk.post(f"/api/drafts/{draft['id']}/approve")).raise_for_status()
                answered.append((time.perf_counter() - began_s) * 1000)
                await words
                heard.append((time.perf_counter() - began_s) * 1000)
    return answered, heard


def run(count: int, workers: int) -> dict[str, Any]:
    """Starts the server and measures."""
    with tempfile.TemporaryDirectory() as folder, data_directory() as data:
        deployment = drafting(Path(folder))
        where = {"VOICEBOT_DEPLOYMENT": str(deployment)}
        with voicebot(data, "--workers", str(workers), **where) as bot:
            asyncio.run(rounds(bot.url, 3))  # both nodes warm
            answered, heard = asyncio.run(rounds(bot.url, count))
    return {
        "rounds": count,
        "workers": workers,
        **{
            f"{name}_p{at}_ms": round(float(np.percentile(times, at)), 1)
            for name, times in (("answered", answered), ("heard", heard))
            for at in (50, 95)
        },
        "heard_most_ms": round(max(heard), 1),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options.rounds, options.workers)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>18}  {value}")


if __name__ == "__main__":
    main()
