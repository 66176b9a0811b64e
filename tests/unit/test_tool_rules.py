"""A tool that could do harm is not loaded; a call that does not fit is rejected by the name of its field."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.registry import MAX_ARGUMENTS_CHARS, ToolRefused, ToolRegistry
from voicebot.dialogue.actions.tool import Cost, Effect, Outcome, Tool, ToolContext, ToolError, tool
from voicebot.dialogue.connectors.choice import ConnectionUnusable, read_connection
from voicebot.dialogue.connectors.connector import ConnectorError, NoWriteHere
from voicebot.dialogue.connectors.queries import Query, read_query
from voicebot.dialogue.connectors.scopes import OutOfScope, Scoped
from voicebot.safety.identity import VerifiedCustomer

TOOLS = ToolRegistry.load(Path(__file__).resolve().parents[2] / "tools")


class Request(Strict):
    order_number: str = Field(pattern=r"^[0-9]{6}$")


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Nested(Strict):
    inside: tuple[Loose, ...]


class Anything(Strict):
    values: dict[str, Any]


class Other(Strict):
    order_number: str


class Result(Outcome):
    outcome: Literal["done", "too_late"]  # type: ignore[assignment]
    amount: Decimal | None = None


async def terms(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
    """Reads."""
    return Result(outcome="too_late")


async def change(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
    """Changes."""
    return Result(outcome="done")


def declared(function: Any = change, **other: Any) -> Tool:
    fine: dict[str, Any] = {
        "effect": Effect.WRITE,
        "cost": Cost.STATEFUL,
        "timeout_s": 1,
        "resource": "x",
        "scope": "orders:write",
        "terms": terms,
        "done": ("done",),
        "reads_back": ("order_number", "amount"),
        "limits": ("refund_amount",),
        "hints": {"too_late": "start_return"},
    }
    return tool(**{**fine, **other})(function)


def test_a_change_that_says_everything_is_a_tool() -> None:
    made = declared()
    assert made.scopes == {"orders:write", "orders:read"}
    assert (made.writes, made.outcomes, made.home) == (True, ("done", "too_late"), "records")


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"reads_back": ()}, "reads_back"),
        ({"reads_back": ("order_number", "colour")}, "colour"),
        ({"terms": None}, "terms"),
        ({"done": ()}, "done"),
        ({"done": ("finished",)}, "finished"),
        ({"hints": {"gone": "person"}}, "gone"),
        ({"cost": Cost.PURE}, "stateful"),
        ({"effect": Effect.READ, "cost": Cost.PURE}, "for changes"),
    ],
)
def test_a_change_that_leaves_something_open_is_refused(other: dict[str, Any], says: str) -> None:
    with pytest.raises(ToolError, match=says):
        declared(**other)


def test_a_change_needs_a_customer_and_terms_of_its_own_shape() -> None:
    """Nobody verified, terms with another request, a read with a scope to write."""

    async def for_anybody(context: ToolContext, request: Request) -> Result:
        """Changes."""
        return Result(outcome="done")

    async def other_terms(context: ToolContext, customer: VerifiedCustomer, request: Other) -> Result:
        """Reads."""
        return Result(outcome="done")

    with pytest.raises(ToolError, match="VerifiedCustomer"):
        declared(for_anybody, terms=None)
    with pytest.raises(ToolError, match="its terms"):
        declared(terms=other_terms)
    with pytest.raises(ToolError, match="scope to write"):
        tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1, resource="x", scope="orders:write")(terms)


def test_an_open_model_is_refused_however_deep_it_lies() -> None:
    """A field that takes anything, and a model inside that takes more than it names."""

    async def nested(context: ToolContext, customer: VerifiedCustomer, request: Nested) -> Result:
        """Changes."""
        return Result(outcome="done")

    async def anything(context: ToolContext, customer: VerifiedCustomer, request: Anything) -> Result:
        """Changes."""
        return Result(outcome="done")

    for function in (nested, anything):
        with pytest.raises(ToolError, match="open"):
            tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=1, resource="x")(function)


def test_two_tools_of_one_name_are_refused() -> None:
    made = declared()
    with pytest.raises(ToolError, match=r"defined twice: in a\.py and b\.py"):
        ToolRegistry([replace(made, source="a.py"), replace(made, source="b.py")])


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("drop_tables", {}, "no tool"),
        ("cancel_order", {}, "order_number"),
        ("cancel_order", {"order_number": "427103", "amount": 1}, "amount"),
        ("cancel_order", {"order_number": 427103}, "order_number"),
        ("cancel_order", {"order_number": "427103'; DROP TABLE shop.orders; --"}, "order_number"),
        ("cancel_order", {"order_number": "427103\n"}, "order_number"),
        ("start_return", {"order_number": "427103", "items": ["x" * 61]}, "items.0"),
        ("start_return", {"order_number": "427103", "items": ["x"] * 9}, "items"),
        ("change_membership", {"change": "double it"}, "change"),
        ("book_delivery", {"order_number": "427103", "day": "next Friday", "part": "morning"}, "day"),
        ("start_return", {"order_number": "427103", "secret 94107 words": "x"}, r"\?"),
    ],
)
def test_a_call_that_does_not_fit_is_rejected_without_its_values(
    name: str, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ToolRefused, match=says) as refused:
        TOOLS.check(name, arguments)
    for value in ("427103", "DROP", "double", "Friday", "94107"):
        assert value not in str(refused.value)


def test_a_huge_argument_is_rejected_by_the_name_of_its_field() -> None:
    """Before anything is made of it; its length is kept for the row, not its text."""
    huge = {"order_number": "4" * 1_000_000}
    with pytest.raises(ToolRefused, match="too long: order_number") as refused:
        TOOLS.check("cancel_order", huge)
    call = TOOLS.rejected("cancel_order", huge, refused.value)
    assert (call.status, call.tool, list(call.inputs)) == ("rejected", "cancel_order", ["chars"])
    assert len(str(call)) < MAX_ARGUMENTS_CHARS
    assert TOOLS.rejected("427103", {}, refused.value).tool == "?"


def test_an_intent_reaches_only_the_tools_of_its_row() -> None:
    """Known or not: what the row does not name is rejected."""
    fits = {"order_number": "427103"}
    assert TOOLS.check("cancel_order", fits, exposed={"cancel_order"}).arguments == fits
    with pytest.raises(ToolRefused, match="row of the policy"):
        TOOLS.check("cancel_order", fits, exposed={"order_status"})
    assert TOOLS.missing("change_address", fits) == ("street", "city", "post_code")
    assert TOOLS.missing("cancel_order", fits) == ()


class Records:
    """Records that answer every query with its name."""

    local = True
    queries = {
        name: read_query(name, f"-- scope: {scope}\n{changes}SELECT 1;")
        for name, scope, changes in (
            ("order", "orders:read", ""),
            ("cancel", "orders:write", "-- changes: orders\n"),
            ("payment", "payments:read", ""),
        )
    } | {"identity": Query("identity", ("SELECT 1",))}

    async def rows(self, query: str, **_: Any) -> list[dict[str, Any]]:
        return [{"asked": query}]

    async def change(self, query: str, **_: Any) -> list[dict[str, Any]]:
        if query == "payment":
            raise ConnectorError("no change")
        return [{"changed": query}]


async def test_a_tool_asks_only_within_its_scopes_and_changes_once() -> None:
    """Another scope, the server's own queries, a second change in one act: none of them."""
    scoped = Scoped(Records(), frozenset({"orders:read", "orders:write"}))  # type: ignore[arg-type]
    assert await scoped.rows("order") == [{"asked": "order"}]
    for name in ("payment", "identity"):
        with pytest.raises(OutOfScope, match=name):
            await scoped.rows(name)
    with pytest.raises(OutOfScope):
        await Scoped(Records(), frozenset({"orders:read"})).change("cancel")  # type: ignore[arg-type]
    assert await scoped.change("cancel") == [{"changed": "cancel"}]
    with pytest.raises(NoWriteHere, match="one change"):
        await scoped.change("cancel")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: http", "url"),
        ("kind: http\nurl: http://shop.example", "https"),
        ("kind: http\nurl: https://shop.example\nstart: true", "this machine"),
        ("kind: local\ntoken_env: SHOP_TOKEN", "kind: http"),
        ("kind: carrier pigeon", "kind"),
        ("kind: local\nspeed: fast", "speed"),
    ],
)
def test_a_connection_that_makes_no_sense_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(text)
    with pytest.raises(ConnectionUnusable, match=says):
        read_connection(tmp_path / "connector.yaml")


def test_a_token_that_is_not_there_is_missed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    path = tmp_path / "connector.yaml"
    path.write_text("kind: http\nurl: https://shop.example\ntoken_env: SHOP_TOKEN")
    with pytest.raises(ConnectionUnusable, match="SHOP_TOKEN"):
        read_connection(path).headers()
    monkeypatch.setenv("SHOP_TOKEN", "secret")
    assert read_connection(path).headers() == {"Authorization": "Bearer secret"}
    assert read_connection(tmp_path / "none.yaml").kind == "local"
