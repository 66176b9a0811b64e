"""A shop behind HTTP is talked about as one in our own database, and said to be away when it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from dialogue_kit import DEPLOYMENT, Talk
from shop_service import ShopService, running

from voicebot.core.store import tool_calls
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.http import HttpConnector

ORDER, CODE = "four two seven one zero three", "nine four one oh seven"


@pytest.fixture
def service(shop_database: Database) -> Iterator[ShopService]:
    with running(shop_database.url) as started:
        yield started


@pytest_asyncio.fixture
async def talk(shop_database: Database, keys: KeyRing, service: ShopService) -> AsyncIterator[Talk]:
    async with service.client(timeout=20.0) as client:
        yield await Talk.begin(shop_database, keys, connector=HttpConnector(client, DEPLOYMENT.queries))


async def test_who_asks_for_an_order_hears_it_from_the_service(talk: Talk, keys: KeyRing) -> None:
    """Gate, profile, order: all over HTTP, and the call has its row."""
    began = datetime.now(UTC)
    await talk.turn(f"where is my order {ORDER}")
    assert "oak side table" in await talk.turn(CODE)
    async with talk.database.transaction() as tx:
        calls = await tool_calls.of(tx, keys, talk.id)
    assert [(call["tool"], call["effect"], call["status"]) for call in calls] == [
        ("order_status", "read", "answered")
    ]
    assert calls[0]["outputs"]["outcome"] == "shipped"
    assert calls[0]["at"] >= began


async def test_a_service_that_is_away_is_said_to_be(talk: Talk, service: ShopService) -> None:
    await talk.turn(f"where is my order {ORDER}")
    service.close()
    assert "can't reach our order system" in await talk.turn(CODE)
