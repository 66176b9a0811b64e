"""Ordering calls by REST: refused unless every rule agrees, audited either way, once per key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from keys_kit import MASTER_KEY
from outbound_kit import CUSTOMER, RULES
from starlette.requests import HTTPConnection

from voicebot.console.calls import Calling, calls_router
from voicebot.core.settings import load_settings
from voicebot.core.store import audit, callbacks
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import set_switch
from voicebot.handoff.outbound import Outbound
from voicebot.runtime.commands.dial import DialRefused, dial

NOON = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)  # a Wednesday, three in the afternoon in New York
HOURS = {"mon-fri": "08:00-20:00"}
ORDER = {"to": CUSTOMER, "purpose": "callback", "consent": True}


def everybody(connection: HTTPConnection) -> None:
    """Whoever asks is let in."""


def client(database: Database, keys: KeyRing, now: datetime = NOON, **rules: Any) -> httpx.AsyncClient:
    app = FastAPI()
    made = Outbound.model_validate(RULES | {"hours": HOURS, "time_zone": "UTC"} | rules, strict=False)
    app.include_router(calls_router(Calling(database, keys, made, lambda: now), everybody))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here")


@pytest_asyncio.fixture
async def api(database: Database, keys: KeyRing) -> AsyncIterator[httpx.AsyncClient]:
    async with client(database, keys, hours={"every day": "00:00-24:00"}) as made:
        yield made


async def audited(database: Database) -> list[tuple[str, str | None]]:
    async with database.transaction() as tx:
        return [(row["what"], row["reason"]) for row in reversed(await audit.records(tx))]


async def test_an_order_is_taken_and_can_be_followed(api: httpx.AsyncClient, database: Database) -> None:
    answer = await api.post("/api/calls", json=ORDER)
    assert answer.status_code == 202
    made = answer.json()
    assert (made["status"], made["purpose"], made["dials"]) == ("booked", "callback", [])
    assert CUSTOMER not in answer.text
    assert (await api.get(f"/api/calls/{made['id']}")).json() == made
    assert [one["id"] for one in (await api.get("/api/calls?status=booked")).json()] == [made["id"]]
    assert await audited(database) == [("outbound.ordered", None)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consent": False}, "no_consent"),
        ({"purpose": "selling"}, "unknown_purpose"),
        ({"to": "+4930123456"}, "not_on_the_allow_list"),
        ({"to": "911"}, "not_a_number"),
        ({"to": "+19005550123"}, "not_on_the_allow_list"),
    ],
)
async def test_what_the_rules_forbid_is_refused_and_audited(
    api: httpx.AsyncClient, database: Database, change: dict[str, Any], reason: str
) -> None:
    answer = await api.post("/api/calls", json=ORDER | change)
    assert (answer.status_code, answer.json()["detail"]["refused"]) == (403, reason)
    assert await audited(database) == [("outbound.order", reason)]
    assert (await api.get("/api/calls")).json() == []


async def test_consent_is_not_assumed(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/calls", json={"to": CUSTOMER, "purpose": "callback"})
    assert answer.status_code == 403


async def test_one_key_is_one_call(api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first, second = [(await api.post("/api/calls", json=ORDER, headers=headers)).json() for _ in range(2)]
    assert first["id"] == second["id"]
    other = await api.post(
        "/api/calls", json=ORDER | {"purpose": "callback", "to": "+12025550124"}, headers=headers
    )
    assert other.status_code == 409


async def test_nobody_is_called_all_day(api: httpx.AsyncClient) -> None:
    answers = [(await api.post("/api/calls", json=ORDER)).status_code for _ in range(4)]
    assert answers == [202, 202, 202, 403]


async def test_who_wants_to_be_left_alone_is(
    api: httpx.AsyncClient, database: Database, keys: KeyRing
) -> None:
    async with database.transaction() as tx:
        await callbacks.refuse_calls(tx, keys, CUSTOMER, None)
    answer = await api.post("/api/calls", json=ORDER)
    assert answer.json()["detail"]["refused"] == "not_to_be_called"


async def test_nothing_is_ordered_while_the_bot_is_off(api: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as tx:
        await set_switch(tx, "bot", False, "test")
    assert (await api.post("/api/calls", json=ORDER)).json()["detail"]["refused"] == "bot_is_off"


@pytest.mark.parametrize(
    ("now", "hour"),
    [
        (datetime(2026, 11, 18, 15, 0, tzinfo=UTC), 15),  # ten in New York, and ours is UTC
        (datetime(2026, 11, 18, 9, 0, tzinfo=UTC), 13),  # four at night there
        (datetime(2026, 11, 18, 21, 0, tzinfo=UTC), 13),  # our evening: tomorrow at eight there
    ],
)
async def test_people_are_called_by_day_where_they_are(
    database: Database, keys: KeyRing, now: datetime, hour: int
) -> None:
    async with client(database, keys, now) as api:
        made = (await api.post("/api/calls", json=ORDER)).json()
    assert datetime.fromisoformat(made["next_at"]).astimezone(UTC).hour == hour


async def test_a_booked_call_can_be_taken_back(api: httpx.AsyncClient) -> None:
    made = (await api.post("/api/calls", json=ORDER)).json()
    assert (await api.delete(f"/api/calls/{made['id']}")).json()["status"] == "cancelled"
    assert (await api.delete(f"/api/calls/{made['id']}")).status_code == 409
    assert (await api.get("/api/calls/cb_" + "0" * 32)).status_code == 404


async def test_an_order_for_no_conversation_of_ours(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/calls", json=ORDER | {"conversation": "cv_" + "0" * 32})
    assert answer.status_code == 404
    assert (await api.post("/api/calls", json=ORDER | {"urgent": True})).status_code == 422


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"not_before": "2026-11-22T10:00:00"}, 422),  # of which clock?
        ({"not_before": "9999-12-31T23:59:59Z"}, 403),
        ({"not_before": "0001-01-01T00:00:00Z"}, 202),
        ({"purpose": "call\x00back"}, 422),
        ({"to": "+1202\x005550123"}, 403),
    ],
)
async def test_an_order_that_makes_no_sense_gets_an_answer(
    api: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    answer = await api.post("/api/calls", json=ORDER | change)
    assert (answer.status_code, answer.json() is not None) == (status, True)


async def test_an_id_that_is_none(api: httpx.AsyncClient) -> None:
    for wrong in ("cb_%00", "x"):
        assert (await api.get(f"/api/calls/{wrong}")).status_code == 422
        assert (await api.delete(f"/api/calls/{wrong}")).status_code == 422


@pytest.mark.parametrize("wrong", [{"to": "+12025550124"}, {"to": "1" * 40}, {"purpose": "a\x00b"}])
async def test_the_command_says_why(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    """A key of another order, an order that is none: a reason that names it, not a traceback."""
    monkeypatch.setenv("VOICEBOT_MASTER_KEY", MASTER_KEY.hex())
    good: dict[str, Any] = {"to": CUSTOMER, "purpose": "callback", "consent": True, "key": "order-17"}
    await dial(fresh_database_url, load_settings(), **good)
    with pytest.raises(DialRefused, match=r"another order|to: |purpose: "):
        await dial(fresh_database_url, load_settings(), **good | wrong)
