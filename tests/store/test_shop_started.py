"""``start: true``: the server runs the shop's own service beside it, asks it, and ends it with itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from changes_kit import PACKED, count, done, read_back, status_of
from dialogue_kit import DEPLOYMENT, ROOT
from twilio_kit import free_port, url_of

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.choice import (
    Connection,
    ConnectionUnusable,
    connect,
    read_connection,
    started,
)
from voicebot.dialogue.connectors.http import HttpConnector

SHOP = ROOT / "business" / "shop"


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """As a deployment writes it, with a port that is free, and that nobody else is given."""
    monkeypatch.setenv("OUR_SHOP_TOKEN", "a token of these tests")
    kept = free_port()
    path = tmp_path / "connector.yaml"
    path.write_text(
        f"kind: http\nurl: {url_of(kept)}\ntoken_env: OUR_SHOP_TOKEN\nstart: true\ntimeout_s: 10\n"
    )
    yield read_connection(path)
    kept.close()


async def test_a_change_agreed_to_goes_through_the_service_that_was_started(
    shop_database: Database, keys: KeyRing, connection: Connection
) -> None:
    """Read back from it, done by it under the act's key, and it is gone with the server."""
    with started(connection, SHOP, shop_database.url):
        connector = connect(connection, shop_database, DEPLOYMENT.queries)
        assert isinstance(connector, HttpConnector)
        talk = await read_back(shop_database, keys, connector=connector)
        assert "is cancelled" in await talk.turn("yes")
        (act,) = await done(talk)
        assert (act.status, act.remote) == ("done", True)
        assert await status_of(shop_database, PACKED[0]) == "cancelled"
        assert await count(shop_database, "shop.answered", f"key = '{act.key}'") == 1
        await talk.close()
    async with httpx.AsyncClient(base_url=connection.url or "") as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


def test_a_service_that_cannot_start_stops_the_server_from_starting(connection: Connection) -> None:
    """Its port is taken: said so, instead of asking whoever listens there."""
    assert connection.url is not None
    port = int(connection.url.rpartition(":")[2])
    with free_port(port) as taken:
        taken.listen()
        with (
            pytest.raises(ConnectionUnusable, match="does not start"),
            started(connection, SHOP, psycopg.conninfo.make_conninfo(dbname="none")),
        ):
            pass


def test_without_its_token_it_is_not_started(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_SHOP_TOKEN")
    with (
        pytest.raises(ConnectionUnusable, match="OUR_SHOP_TOKEN"),
        started(connection, SHOP, "postgresql://"),
    ):
        pass
