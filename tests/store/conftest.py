"""A database with the reference shop in it and its articles ingested, made once, copied for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from dialogue_kit import DEPLOYMENT

from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing

SHOP_TEMPLATE = "voicebot_shop_template"


def _url(server_url: str, name: str) -> str:
    head, _, query = server_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


@pytest.fixture(scope="session")
def shop_template(postgres: EmbeddedPostgres, database_url: str) -> str:
    """Name of the prepared database; only copied, never written to."""
    source = database_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {SHOP_TEMPLATE} TEMPLATE {source}".encode())
    asyncio.run(DEPLOYMENT.prepare(_url(postgres.url, SHOP_TEMPLATE)))
    return SHOP_TEMPLATE


@pytest_asyncio.fixture
async def shop_database(postgres: EmbeddedPostgres, shop_template: str) -> AsyncIterator[Database]:
    """An open `Database` of this test alone, shop and articles in it."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        row = admin.execute("SELECT 'shop_' || replace(gen_random_uuid()::text, '-', '')").fetchone()
        assert row is not None
        name = row[0]
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {shop_template} STRATEGY FILE_COPY".encode())
        opened = await Database.open(
            _url(postgres.url, name), timeout_s=10.0, at_commit=Linker(KeyRing(bytes(range(32))))
        )
        yield opened
        await opened.close()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
