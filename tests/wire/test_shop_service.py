"""A change in the shop's service is made once, and known to be, however its answer gets lost or lies."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio
from shop_service import TOKEN, ShopService, running
from tools_kit import NOW, ZONE, Desk, new_conversation, opened, ready, terms, verified
from twilio_kit import eventually

from voicebot.core.store import tool_calls
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.changes import CHANGED, DISAGREES, UNAVAILABLE, Changes
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.connectors.connector import ConnectorError, NoWriteHere, OutcomeUnknown
from voicebot.dialogue.connectors.http import HttpConnector
from voicebot.dialogue.connectors.queries import Query, read_queries
from voicebot.dialogue.connectors.shop_setup import prepare_shop

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ToolRegistry.load(ROOT / "tools")
QUERIES = read_queries(ROOT / "business/shop/queries.sql")
SOFA, RUG_AND_LAMP = "635192", "518264"


@pytest.fixture
def service(fresh_database_url: str) -> Iterator[ShopService]:
    prepare_shop(fresh_database_url, ROOT / "business/shop", today=NOW.date())
    with running(fresh_database_url) as started:
        yield started


@pytest_asyncio.fixture
async def records(service: ShopService) -> AsyncIterator[HttpConnector]:
    async with service.client(timeout=60.0) as client:
        yield HttpConnector(client, QUERIES)


@pytest_asyncio.fixture
async def desk(fresh_database_url: str, keys: KeyRing, records: HttpConnector) -> AsyncIterator[Desk]:
    """Changes for the customer of the sofa, which is being packed."""
    async with opened(fresh_database_url) as database:
        changes = Changes(TOOLS, records, keys, zone=ZONE)
        conversation = await new_conversation(database, keys)
        yield Desk(database, keys, changes, conversation, verified("cu_00003", SOFA))


@pytest_asyncio.fixture
async def cancelling(desk: Desk, records: HttpConnector) -> Prepared:
    """The sofa's cancellation on its terms, without limits: those have tests of their own."""
    found = ready(await terms(TOOLS, records, desk.customer, "cancel_order", order_number=SOFA))
    return replace(found, tool=replace(found.tool, limits=()))


def refunds(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT amount_cents FROM shop.refunds ORDER BY order_number").fetchall()
    return [row[0] for row in rows]


async def test_a_tool_reads_over_http_what_it_reads_in_the_database(records: HttpConnector) -> None:
    """Dates, numbers, nulls and lists arrive in their types."""
    rows = await records.rows("order_by_number", order_number=RUG_AND_LAMP, customer_id="cu_00002")
    assert [rows[0][name] for name in ("status", "total_cents", "items", "refunded_on")] == [
        "delivered",
        33800,
        ["wool rug", "floor lamp"],
        None,
    ]
    assert rows[0]["delivered_on"] < NOW.date()
    assert await records.rows("order_by_number", order_number=RUG_AND_LAMP, customer_id="cu_00001") == []


async def test_a_change_is_made_once_under_its_key(
    desk: Desk, cancelling: Prepared, records: HttpConnector, fresh_database_url: str
) -> None:
    """The same key again gets the first answer; the key's outcome can be read."""
    act = desk.act()
    first = await desk.changes.send(cancelling, act)
    again = await desk.changes.send(replace(cancelling, tool=replace(cancelling.tool, proof=None)), act)
    assert (first.status, first.result["outcome"], first.result["amount"]) == ("done", "cancelled", "1299")
    assert again == first
    assert refunds(fresh_database_url) == [129900]
    assert await desk.changes.recall(cancelling, act) == first
    rows = await records.outcome_of(act.key)
    assert rows is not None
    assert rows[0]["outcome"] == "cancelled"
    assert await records.outcome_of("cv_another:1:cancel_order") is None
    other = await desk.changes.send(cancelling, desk.act())
    assert (other.status, other.result["outcome"]) == ("refused", "already")


async def test_a_key_that_was_used_for_something_else_is_refused(
    desk: Desk, cancelling: Prepared, records: HttpConnector
) -> None:
    await desk.changes.send(cancelling, desk.act("cv_1:1:the key"))
    with pytest.raises(ConnectorError, match="409"):
        await records.keyed("cv_1:1:the key").change(
            "change_membership", customer_id="cu_00003", change="end"
        )


async def test_the_service_that_dies_between_doing_and_answering_did_it_once(
    service: ShopService, desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    """kill -9 after the commit: the outcome is unknown, then read by key, then the same for ever."""
    service.breaks(die=True)
    act = desk.act()
    with pytest.raises(OutcomeUnknown) as unknown:
        await desk.changes.send(cancelling, act)
    assert unknown.value.key == act.key
    assert service.wait_dead() == -signal.SIGKILL
    with pytest.raises(OutcomeUnknown):  # it is still away: nobody knows, nothing is said
        await desk.changes.recall(cancelling, act)
    service.restart()
    found = await desk.changes.recall(cancelling, act)
    assert found is not None
    assert (found.status, found.result["outcome"]) == ("done", "cancelled")
    assert refunds(fresh_database_url) == [129900]


async def test_what_never_arrived_was_never_done_and_may_be_tried_again(
    service: ShopService, desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    service.close()
    act = desk.act()
    outcome = await desk.changes.send(cancelling, act)
    assert (outcome.status, outcome.result) == ("failed", {"outcome": UNAVAILABLE})
    service.restart()
    assert await desk.changes.recall(cancelling, act) is None
    assert (await desk.changes.send(cancelling, act)).status == "done"
    assert refunds(fresh_database_url) == [129900]


@pytest.mark.parametrize("fault", ["drop", "polite", "echo"])
async def test_an_answer_that_is_none_is_asked_for_again_with_the_same_key(
    fault: str, service: ShopService, desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    """Lost, an error with status 200, an answer about another order: asked again, the first answer comes."""
    service.breaks(**{fault: True})
    outcome = await desk.changes.send(cancelling, desk.act())
    assert (outcome.status, outcome.result["outcome"]) == ("done", "cancelled")
    assert refunds(fresh_database_url) == [129900]


@pytest.mark.parametrize("fault", ["drop", "polite", "echo"])
async def test_what_is_never_answered_is_unknown_until_it_is_read_by_key(
    fault: str, service: ShopService, desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    service.breaks(**{fault: True}, times=2)
    act = desk.act()
    with pytest.raises(OutcomeUnknown):
        await desk.changes.send(cancelling, act)
    found = await desk.changes.recall(cancelling, act)
    assert found is not None
    assert found.status == "done"
    assert refunds(fresh_database_url) == [129900]


async def test_a_late_answer_is_an_unknown_outcome(
    service: ShopService, desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    """Each attempt gives up before the service does; the service still did it once."""
    async with service.client(timeout=httpx.Timeout(60.0, read=0.3)) as impatient:
        changes = Changes(TOOLS, HttpConnector(impatient, QUERIES), desk.keys, zone=ZONE)
        service.breaks(after_s=1.0, times=2)
        act = desk.act()
        with pytest.raises(OutcomeUnknown):
            await changes.send(cancelling, act)

    async def known() -> bool:
        return await desk.changes.recall(cancelling, act) is not None

    await eventually(known)
    found = await desk.changes.recall(cancelling, act)
    assert found is not None
    assert found.status == "done"
    assert refunds(fresh_database_url) == [129900]


@pytest.mark.parametrize("fault", ["lie", "claim"])
async def test_a_service_that_lies_about_success_is_not_believed(
    fault: str, service: ShopService, desk: Desk, cancelling: Prepared
) -> None:
    """One cent less than was agreed to, or a success that reading it afterwards does not show."""
    service.breaks(**{fault: True})
    act = desk.act()
    outcome = await desk.changes.send(cancelling, act)
    assert (outcome.status, outcome.result["outcome"]) == ("failed", DISAGREES)
    async with desk.database.transaction() as tx:
        await desk.changes.settle(tx, cancelling, act, outcome)
        calls = await tool_calls.of(tx, desk.keys, desk.conversation_id)
    assert [(call["tool"], call["status"], call["key"]) for call in calls] == [
        ("cancel_order", "unknown", act.key)
    ]


async def test_what_was_agreed_to_is_compared_with_what_is_done(
    desk: Desk, cancelling: Prepared, fresh_database_url: str
) -> None:
    """Terms of another amount than the records have: the answer departs from them."""
    assert cancelling.terms is not None
    other = cancelling.on(cancelling.terms.model_copy(update={"amount": 1}))
    outcome = await desk.changes.send(other, desk.act())
    assert outcome.result["outcome"] == DISAGREES != CHANGED


async def test_the_service_answers_only_who_may_ask(service: ShopService) -> None:
    """No token, an unknown name, a change asked as a query, values that are not the query's, no key."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as stranger:
        assert (await stranger.post("/queries/in_stock", json={"values": {}})).status_code == 401
    async with service.client(timeout=60.0) as client:
        for method, path, json, status in (
            ("POST", "/queries/nothing", {"values": {}}, 404),
            ("POST", "/queries/cancel_order", {"values": {}}, 404),
            ("POST", "/queries/in_stock", {"values": {"item": "rug"}}, 422),
            ("POST", "/queries/in_stock", {"values": {}, "sql": "DROP TABLE"}, 422),
            ("POST", "/changes/cancel_order", {"values": {}}, 422),
            ("PUT", "/faults", {"nonsense": True}, 422),
        ):
            assert (await client.request(method, path, json=json)).status_code == status, path


async def test_a_connector_without_key_or_shape_does_nothing(service: ShopService) -> None:
    """Changing needs `keyed`; what a query's rows look like must be declared before they are believed."""
    async with service.client(timeout=60.0) as client:
        connector = HttpConnector(client, QUERIES)
        with pytest.raises(NoWriteHere):
            await connector.change(
                "cancel_order", order_number=SOFA, customer_id="cu_00003", today=NOW.date()
            )
        with pytest.raises(NoWriteHere):
            await connector.rows("cancel_order", order_number=SOFA)
        with pytest.raises(ConnectorError, match="no query"):
            await connector.rows("nothing")
        loose = HttpConnector(client, {"in_stock": Query("in_stock", QUERIES["in_stock"].statements)})
        with pytest.raises(ConnectorError, match="row:"):
            await loose.rows("in_stock")
        narrow = {"in_stock": replace(QUERIES["in_stock"], shape=QUERIES["open_orders"].shape)}
        with pytest.raises(ConnectorError, match="another shape"):
            await HttpConnector(client, narrow).rows("in_stock")
    assert TOKEN not in repr(connector)
