"""A tool gets what its types say or is not called at all; what it answers, late or never, is a result."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import pytest_asyncio
from dialogue_kit import DEPLOYMENT, ROOT
from pydantic import ConfigDict

from voicebot.core.conversation import Keys, Strict
from voicebot.core.store.database import Database
from voicebot.dialogue.actions.registry import ToolRefused, ToolRegistry
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, ToolContext, ToolError, tool
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.connectors.queries import QueriesError, Query, read_queries
from voicebot.safety.identity import Factor, Gate, GateProgress, GateRules, IdentityRecord, VerifiedCustomer


def customer(customer_id: str, reference: str) -> VerifiedCustomer:
    """A verified caller, made the only way there is."""
    gate = Gate(
        GateRules(factors=(Factor(name="order_number", digits=6), Factor(name="post_code", digits=5)))
    )
    progress = gate.hear(GateProgress(), Keys(digits=reference), asked="order_number")
    progress = gate.hear(progress, Keys(digits="94107"), asked="post_code")
    record = IdentityRecord(customer_id=customer_id, values={"post_code": "94107"})
    made = gate.customer(gate.check(progress, [(reference, record)]))
    assert made is not None
    return made


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@pytest_asyncio.fixture
async def context(database: Database) -> ToolContext:
    return ToolContext(records=PostgresConnector(database, DEPLOYMENT.queries), now=datetime.now(UTC))


async def read(registry: ToolRegistry, context: ToolContext, who: VerifiedCustomer | None, **arguments: Any):
    name = "order_status" if registry is DEPLOYMENT.tools else next(iter(registry.names))
    return await registry.read(name, arguments, context=context, customer=who, conversation_id="cv_1")


async def test_order_status_tells_what_the_shop_holds(context: ToolContext) -> None:
    """Typed values out of the system of record, nothing rendered yet."""
    call, outcome = await read(
        DEPLOYMENT.tools, context, customer("cu_00001", "427103"), order_number="427103"
    )
    assert outcome is not None
    assert (outcome.outcome, call.error) == ("shipped", None)
    assert call.result is not None
    assert call.result["items"] == "oak side table"
    assert call.duration_ms > 0


async def test_another_customers_order_does_not_exist(context: ToolContext) -> None:
    """The query is bound to the verified customer."""
    _, outcome = await read(DEPLOYMENT.tools, context, customer("cu_00001", "427103"), order_number="518264")
    assert outcome is not None
    assert outcome.outcome == "not_found"


async def test_without_identity_the_tool_is_not_called(context: ToolContext) -> None:
    """Refused before the system of record is asked."""
    with pytest.raises(ToolRefused, match="verified"):
        await read(DEPLOYMENT.tools, context, None, order_number="427103")


async def test_a_tool_that_demands_a_level_is_refused_below_it(context: ToolContext) -> None:
    """Refused before the system of record is asked."""
    status = replace(DEPLOYMENT.tools.get("order_status"), level=2)
    stricter = ToolRegistry([status])
    who = customer("cu_00001", "427103")
    with pytest.raises(ToolRefused, match="level 2"):
        await read(stricter, context, who, order_number="427103")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"order_number": "42"},
        {"order_number": 427103},
        {"order_number": "427103", "customer_id": "cu_00002"},
    ],
)
async def test_arguments_that_do_not_fit_are_refused(context: ToolContext, arguments: dict[str, Any]) -> None:
    """Missing, malformed, of another type, one too many; the message names fields, never values."""
    with pytest.raises(ToolRefused) as caught:
        await read(DEPLOYMENT.tools, context, customer("cu_00001", "427103"), **arguments)
    assert "427103" not in str(caught.value)


async def test_an_unknown_tool_is_refused(context: ToolContext) -> None:
    """What a model may dream up does not exist."""
    with pytest.raises(ToolRefused, match="refund_everything"):
        await DEPLOYMENT.tools.read(
            "refund_everything", {}, context=context, customer=None, conversation_id="cv_1"
        )


class Request(Strict):
    """Nothing to ask."""


class Result(Outcome):
    """Nothing to tell."""

    outcome: Literal["done"]


def registry(body: Any, *, effect: Effect = Effect.READ, timeout_s: float = 0.05) -> ToolRegistry:
    async def made(context: ToolContext, request: Request) -> Result:
        """Does what the test says."""
        return await body()

    declared = tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=timeout_s, resource="x")(made)
    return ToolRegistry([replace(declared, effect=effect)])


async def test_a_tool_that_is_late_crashes_or_lies_is_a_result_with_an_error(context: ToolContext) -> None:
    """The plan goes on; the error names the kind, never a value."""

    async def late() -> Result:
        await asyncio.sleep(10)
        raise AssertionError

    async def crash() -> Result:
        raise KeyError("somebody's secret")

    async def refuse() -> Result:
        raise ConnectorError("the shop is closed")

    async def lie() -> Any:
        return {"outcome": "done"}

    for body, says in (
        (late, "0.05 s"),
        (crash, "KeyError"),
        (refuse, "the shop is closed"),
        (lie, "Result"),
    ):
        call, outcome = await read(registry(body), context, None)
        assert outcome is None
        assert call.error is not None
        assert says in call.error
        assert "secret" not in call.error


async def test_a_plan_never_calls_a_tool_that_writes(context: ToolContext) -> None:
    """Reads only, by declaration."""

    async def never() -> Result:
        raise AssertionError("called")

    with pytest.raises(ToolRefused, match="writes"):
        await read(registry(never, effect=Effect.WRITE), context, None)


def test_a_tool_declares_what_it_is() -> None:
    """No docstring, loose models, other parameters, silly timeouts: refused when declared."""

    class Loose(Outcome):
        model_config = ConfigDict(extra="allow")
        outcome: Literal["done"]

    async def silent(context: ToolContext, request: Request) -> Result:
        return Result(outcome="done")

    async def loose(context: ToolContext, request: Request) -> Loose:
        """Doc."""
        return Loose(outcome="done")

    async def odd(request: Request) -> Result:
        """Doc."""
        return Result(outcome="done")

    async def fine(context: ToolContext, request: Request) -> Result:
        """Doc."""
        return Result(outcome="done")

    for function in (silent, loose, odd):
        with pytest.raises(ToolError, match=function.__name__):
            tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1, resource="x")(function)
    with pytest.raises(ToolError, match="timeout"):
        tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=0, resource="x")(fine)


async def test_the_connector_reads_and_cannot_write(database: Database, context: ToolContext) -> None:
    """A query that writes is refused by the transaction itself; an unknown one by name."""
    connector = PostgresConnector(
        database,
        {"sneaky": Query("sneaky", ("WITH d AS (DELETE FROM shop.orders RETURNING 1) SELECT * FROM d",))},
    )
    with pytest.raises(ConnectorError, match="sneaky"):
        await connector.rows("sneaky")
    with pytest.raises(ConnectorError, match="known are sneaky"):
        await connector.rows("missing")


def test_queries_are_named_single_selects(tmp_path) -> None:
    """Doubles, writes, emptiness: the file and the query are named."""
    path = tmp_path / "queries.sql"
    for text, says in (
        ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "twice"),
        ("-- name: a\nDROP TABLE x;", "SELECT"),
        ("SELECT 1", "name"),
    ):
        path.write_text(text)
        with pytest.raises(QueriesError, match=says):
            read_queries(path)
    for text, says in (
        ("-- name: a\n-- changes: x\nSELECT 1;", "scope"),
        ("-- name: a\n-- scope: everything\nSELECT 1;", "orders:read"),
        ("-- name: a\n-- row: n number\nSELECT 1;", "column"),
        ("-- name: a\nSELECT 1;\nSELECT 2;", "one SELECT"),
    ):
        path.write_text(text)
        with pytest.raises(QueriesError, match=says):
            read_queries(path)
    assert {"customer_profile", "identity_by_order_number", "cancel_order"} <= set(
        read_queries(ROOT / "business/shop/queries.sql")
    )


def test_every_query_of_the_shop_says_what_its_rows_look_like() -> None:
    """Else the shop could not be moved behind HTTP, where no undeclared answer is believed."""
    queries = read_queries(ROOT / "business/shop/queries.sql")
    assert [name for name, query in queries.items() if query.shape is None] == []
    used = {scope for tool in map(DEPLOYMENT.tools.get, DEPLOYMENT.tools.names) for scope in tool.scopes}
    ours = {"cardmoney:write"}  # booking money that has come: the server's, never a tool's
    assert not ours & used
    assert {query.scope for query in queries.values()} - {""} <= used | ours
