"""A database with the reference shop in it and its articles ingested, made once, copied for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg
import pytest
import pytest_asyncio
from database_kit import Shelf, database_url_of, name_in
from dialogue_kit import DEPLOYMENT

from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing

PATIENCE_S = 30.0

SHOP_TEMPLATE = "voicebot_shop_template"


@pytest.fixture(autouse=True)
def _patient_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of a customer on the way is waited for, also on a machine with other tests."""
    monkeypatch.setattr("voicebot.dialogue.own_records.PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr("voicebot.dialogue.memory.broker.READ_S", PATIENCE_S)


@pytest.fixture(scope="session")
def shop_template(postgres: EmbeddedPostgres, database_url: str) -> str:
    """Name of the prepared database; only copied, never written to."""
    source = name_in(database_url)
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {SHOP_TEMPLATE} TEMPLATE {source}".encode())
    asyncio.run(DEPLOYMENT.prepare(database_url_of(postgres.url, SHOP_TEMPLATE)))
    return SHOP_TEMPLATE


@pytest.fixture(scope="session")
def shop_shelf(postgres: EmbeddedPostgres, shop_template: str) -> Iterator[Shelf]:
    """Databases with the shop and its articles in them."""
    with closing(Shelf(postgres.url, shop_template)) as databases:
        yield databases


@pytest_asyncio.fixture
async def shop_database(shop_shelf: Shelf) -> AsyncIterator[Database]:
    """An open `Database` of this test alone, shop and articles in it."""
    with shop_shelf.lent() as url:
        opened = await Database.open(url, timeout_s=10.0, at_commit=Linker(KeyRing(bytes(range(32)))))
        yield opened
        await opened.close()
