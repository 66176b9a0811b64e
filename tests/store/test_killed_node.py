"""``kill -9`` of a node between a remote change and its outcome: another asks by key before it says a word.

The node is a process of its own, the shop's service another one; nothing of either is pretended.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from changes_kit import PACKED, change, count, done, read_back, status_of, statuses
from dialogue_kit import DEPLOYMENT, Talk, node
from shop_service import TOKEN, ShopService, running

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.http import HttpConnector

TESTS = Path(__file__).resolve().parent.parent
NUMBER = PACKED[0]
NODE = """
import asyncio, sys
import httpx
from keys_kit import MASTER_KEY
from dialogue_kit import DEPLOYMENT, node
from voicebot.core.conversation import Utterance
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.http import HttpConnector

async def main(url, service, token, conversation):
    keys = KeyRing(MASTER_KEY)
    database = await Database.open(url, max_size=2, timeout_s=20.0, at_commit=Linker(keys))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=service, headers=headers, timeout=30.0) as client:
        one = node(database, keys, connector=HttpConnector(client, DEPLOYMENT.queries))
        committed = await one.commit(await one.plan(conversation, Utterance(text="yes")))
        print("said:", " ".join([clause.text async for clause in one.words(committed)]), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class NodeProcess:
    """A node that takes the caller's yes. ``said`` has a line ``said:`` only if it lived to say something."""

    def __init__(self, database_url: str, service: ShopService, conversation: str) -> None:
        paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "store")))
        self._process = subprocess.Popen(
            [sys.executable, "-c", NODE, database_url, service.url, TOKEN, conversation],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self.errors = ""

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self.said, self.errors = self._process.communicate()


@pytest.fixture
def service(shop_database: Database):
    with running(shop_database.url) as started:
        yield started


async def _killed_in_between(talk: Talk, service: ShopService) -> NodeProcess:
    """A node does it there, and is killed before the answer has reached it."""
    service.breaks(after_s=2.0)
    one = NodeProcess(talk.database.url, service, talk.id)
    try:
        async with asyncio.timeout(120):
            while await status_of(talk.database, NUMBER) != "cancelled":
                assert one.alive, one.errors
                await asyncio.sleep(0.02)  # another process's commit cannot be waited for otherwise
    finally:
        one.kill()
    return one


async def test_another_node_asks_by_the_key_before_it_says_anything(
    shop_database: Database, keys: KeyRing, service: ShopService
) -> None:
    """Intended here, done there, told to nobody; then learned, settled once, and told first."""
    async with service.client(timeout=20.0) as client, service.client(timeout=20.0) as another:
        talk = await read_back(shop_database, keys, connector=HttpConnector(client, DEPLOYMENT.queries))
        await talk.close()
        killed = await _killed_in_between(talk, service)
        assert "said:" not in killed.said
        (act,) = await done(talk)
        assert (act.status, act.remote) == ("intended", True)
        assert await statuses(talk) == ["consented"]
        assert "act.done" not in await talk.audited()

        other = node(shop_database, keys, connector=HttpConnector(another, DEPLOYMENT.queries))
        talk.orchestrator = other
        early = await talk.turn("when are you open on sunday")
        assert "cancel" not in early.lower(), "nothing is known yet, so nothing is said of it"

        await change(shop_database, "UPDATE acts SET claimed_until = clock_timestamp() - interval '1 second'")
        assert await other.recovery.sweep() == 1
        assert (await done(talk))[0].status == "done"
        assert (await talk.audited()).count("act.done") == 1
        assert await count(shop_database, "shop.answered") == 1, "asked by the key, not done again"
        assert await count(shop_database, "shop.refunds", f"order_number = '{NUMBER}'") == 1
        words = await talk.turn("thank you")
        assert words.startswith("About what I was doing for you: Your order is cancelled")
        await talk.close()
