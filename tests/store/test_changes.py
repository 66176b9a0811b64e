"""A change does exactly what its terms said, once, with everything that belongs to it, or nothing at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from database_kit import Shelf, database_url_of, name_in
from tools_kit import NOW, ZONE, Desk, new_conversation, opened, reading, ready, terms, verified

from voicebot.core.store import limits, text_messages, tool_calls
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.changes import CHANGED, OVER_LIMIT, UNAVAILABLE, Changes
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRefused, ToolRegistry
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.connectors.queries import read_queries
from voicebot.dialogue.connectors.shop_setup import prepare_shop
from voicebot.safety.policy.limits import Limit

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ToolRegistry.load(ROOT / "tools")
QUERIES = read_queries(ROOT / "business/shop/queries.sql")
TABLE, DELIVERED, PACKED, CANCELLED = "427103", "518264", "635192", "746205"
OWNER = {TABLE: "cu_00001", DELIVERED: "cu_00002", PACKED: "cu_00003", CANCELLED: "cu_00006"}
WIDE = dict.fromkeys(("refund_amount", "return_value", "refunds_by_all", "redirected_value"), 10000)
ADDRESS = {"street": "12 Elm Street", "city": "Austin", "post_code": "78701"}


def limit(measure: str, most: int, *, plus: int | None = None, days: int | None = 30) -> Limit:
    segments = {"others": most} | ({} if plus is None else {"plus": plus})
    return Limit.model_validate(
        {"why": "for these tests", "measure": measure, "per": "customer", "days": days, "most": segments}
    )


LIMITS = {
    **{name: limit("amount", most) for name, most in WIDE.items()},
    "changes_a_day": limit("count", 100),
    "texts_a_day": limit("count", 100),
}


class Shop(Desk):
    """The reference shop in our own database."""

    records: PostgresConnector
    url: str

    async def terms(self, name: str, order: str = TABLE, **arguments: Any) -> Any:
        """What a change of an order of its owner would do."""
        self.customer = verified(OWNER[order], order, level=2)
        if "order_number" in TOOLS.get(name).request.model_fields:
            arguments["order_number"] = order
        return await terms(TOOLS, self.records, self.customer, name, **arguments)

    async def does(self, name: str, order: str, act: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """Makes the change on its terms."""
        return await self.perform(ready(await self.terms(name, order, **arguments)), **(act or {}))

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What stands in the shop, or a change from outside."""
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def seeded(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Shelf]:
    """Databases with the shop as it is on the day of these tests."""
    template = name_in(database_url)
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE changes_template TEMPLATE {template}".encode())
    prepare_shop(database_url_of(postgres.url, "changes_template"), ROOT / "business/shop", today=NOW.date())
    with closing(Shelf(postgres.url, "changes_template")) as databases:
        yield databases


@pytest_asyncio.fixture
async def shop(seeded: Shelf, keys: KeyRing) -> AsyncIterator[Shop]:
    with seeded.lent() as url:
        async with opened(url) as database:
            records = PostgresConnector(database, QUERIES)
            changes = Changes(TOOLS, records, keys, LIMITS, ZONE)
            made = Shop(database, keys, changes, await new_conversation(database, keys), verified())
            made.records, made.url = records, url
            made.sql(
                "UPDATE shop.shipments SET delivered_on = %s WHERE order_number = %s",
                date(2026, 11, 10),
                DELIVERED,
            )
            yield made


async def test_cancelling_gives_the_money_back_once(shop: Shop) -> None:
    """The amount comes from the records; the second time there is nothing to cancel."""
    done = await shop.does("cancel_order", PACKED)
    assert done == {
        "status": "done",
        "outcome": "cancelled",
        "amount": "1299",
        "paid_with": done["paid_with"],
    }
    assert shop.sql("SELECT cause, amount_cents FROM shop.refunds") == [("cancellation", 129900)]
    assert shop.sql("SELECT status FROM shop.orders WHERE number = %s", PACKED) == [("cancelled",)]
    assert (await shop.terms("cancel_order", PACKED)).outcome == "already"


async def test_cancelling_what_was_proposed_to_two_callers_is_done_for_one(shop: Shop) -> None:
    """Both heard the same terms; the records decide in the change's own transaction."""
    first, second = (
        ready(await shop.terms("cancel_order", PACKED)),
        ready(await shop.terms("cancel_order", PACKED)),
    )
    assert (await shop.perform(first))["status"] == "done"
    assert await shop.perform(second) == {
        "status": "refused", "outcome": "already", "amount": None, "paid_with": None,
    }  # fmt: skip
    assert len(shop.sql("SELECT * FROM shop.refunds")) == 1


IMPOSSIBLE: list[tuple[str, str, dict[str, Any], str]] = [
    ("cancel_order", TABLE, {}, "too_late"),
    ("cancel_order", CANCELLED, {}, "already"),
    ("change_address", TABLE, ADDRESS, "too_late"),
    ("change_address", CANCELLED, ADDRESS, "cancelled"),
    ("start_return", TABLE, {}, "not_delivered"),
    ("start_return", CANCELLED, {}, "cancelled"),
    ("start_return", DELIVERED, {"items": ["the piano"]}, "no_such_item"),
    ("exchange_item", DELIVERED, {"item": "rug", "to_item": "the walnut desk"}, "dearer"),
    ("exchange_item", DELIVERED, {"item": "rug", "to_item": "a lamp"}, "which_item"),
    ("exchange_item", DELIVERED, {"item": "rug", "to_item": "a submarine"}, "not_sold"),
    ("exchange_item", DELIVERED, {"to_item": "coat rack"}, "which_item"),
    ("exchange_item", TABLE, {"to_item": "coat rack"}, "not_delivered"),
    ("refund_order", TABLE, {}, "not_due"),
    ("refund_order", CANCELLED, {}, "already"),
    ("book_delivery", DELIVERED, {"day": "2026-11-24", "part": "morning"}, "too_late"),
    ("book_delivery", PACKED, {"day": "2026-11-20", "part": "morning"}, "too_soon"),
    ("book_delivery", PACKED, {"day": "2026-11-22", "part": "morning"}, "no_sundays"),
    ("book_delivery", PACKED, {"day": "2027-01-22", "part": "morning"}, "too_far"),
]  # fmt: skip


async def test_what_cannot_be_done_is_said_before_it_is_proposed(shop: Shop) -> None:
    """Whatever the records rule out is an outcome of its own, and no change on terms."""
    for name, order, arguments, outcome in IMPOSSIBLE:
        found = await shop.terms(name, order, **arguments)
        assert not isinstance(found, Prepared), (name, arguments)
        assert found.outcome == outcome, (name, arguments)


async def test_another_customers_order_is_not_found(shop: Shop) -> None:
    """Whoever is verified for his own order reaches no other, by no tool."""
    stranger = verified("cu_00001", TABLE, level=2)
    for name in sorted(TOOLS.names):
        tool = TOOLS.get(name)
        if "order_number" not in tool.request.model_fields or name == "book_delivery":
            continue
        more = {**ADDRESS, "to_item": "coat rack", "link": "tracking"}
        arguments = {
            "order_number": DELIVERED,
            **{k: v for k, v in more.items() if k in tool.request.model_fields},
        }
        if tool.writes:
            found = await terms(TOOLS, shop.records, stranger, name, **arguments)
        else:
            _, found = await TOOLS.read(
                name, arguments, context=reading(shop.records), customer=stranger, conversation_id="cv_1"
            )
        assert found is not None
        assert not isinstance(found, Prepared)
        assert found.outcome == "not_found", name


async def test_a_return_is_for_thirty_days_in_the_shops_own_time(shop: Shop) -> None:
    """Delivered on the tenth, so the last day is the tenth of December, until midnight where the shop is."""
    last = datetime(2026, 12, 11, 5, 30, tzinfo=NOW.tzinfo)  # 23:30 on the tenth in Chicago
    assert isinstance(await shop.terms("start_return", DELIVERED, now=last), Prepared)
    late = await shop.terms("start_return", DELIVERED, now=last + timedelta(hours=1))
    assert (late.outcome, late.items) == ("too_late", "wool rug")


async def test_a_single_item_comes_back_and_the_rest_later(shop: Shop) -> None:
    """Partial returns: each line once; all that is left when nothing is named."""
    lamp = await shop.does("start_return", DELIVERED, items=["my lamp"], reason="does_not_fit")
    assert (lamp["outcome"], lamp["items"], lamp["amount"], lamp["lines"]) == (
        "started",
        "floor lamp",
        "89",
        [2],
    )
    again = await shop.terms("start_return", DELIVERED, items=["lamps"])
    assert (again.outcome, again.items) == ("already", "floor lamp")
    rest = ready(await shop.terms("start_return", DELIVERED))
    assert rest.must_hear == {"order_number": DELIVERED, "items": "wool rug", "amount": Decimal(249)}
    assert (await shop.perform(rest))["status"] == "done"
    assert shop.sql("SELECT line, value_cents FROM shop.return_items ORDER BY line") == [
        (1, 24900),
        (2, 8900),
    ]


async def test_what_was_made_to_measure_stays(shop: Shop) -> None:
    """Alone it is refused by name; among others only the others come back."""
    shop.sql("UPDATE shop.order_items SET custom = true WHERE order_number = %s AND line = 2", DELIVERED)
    assert (await shop.terms("start_return", DELIVERED, items=["lamp"])).outcome == "custom"
    assert ready(await shop.terms("start_return", DELIVERED)).must_hear["items"] == "wool rug"


async def test_two_returns_of_the_same_item_at_once_are_one(shop: Shop) -> None:
    first, second = (
        ready(await shop.terms("start_return", DELIVERED)),
        ready(await shop.terms("start_return", DELIVERED)),
    )
    assert (await shop.perform(first))["status"] == "done"
    assert (await shop.perform(second))["outcome"] == "already"


async def test_an_exchange_takes_from_the_stock_and_gives_the_difference_back(shop: Shop) -> None:
    stock = shop.sql("SELECT pieces FROM shop.stock WHERE item = 'oak side table'")[0][0]
    done = await shop.does("exchange_item", DELIVERED, item="rug", to_item="an oak table")
    assert (done["outcome"], done["to_item"], done["amount"]) == ("exchanged_cheaper", "oak side table", "60")
    assert shop.sql("SELECT pieces FROM shop.stock WHERE item = 'oak side table'") == [(stock - 1,)]
    same = await shop.does("exchange_item", DELIVERED, item="lamp", to_item="floor lamp")
    assert (same["outcome"], same["amount"]) == ("exchanged", "0")


async def test_the_last_piece_is_exchanged_once(shop: Shop) -> None:
    shop.sql("UPDATE shop.stock SET pieces = 1 WHERE item = 'floor lamp'")
    found = ready(await shop.terms("exchange_item", DELIVERED, item="lamp", to_item="floor lamp"))
    shop.sql("UPDATE shop.stock SET pieces = 0 WHERE item = 'floor lamp'")
    assert (await shop.perform(found))["outcome"] == "out_of_stock"
    assert shop.sql("SELECT * FROM shop.return_items") == []


async def test_money_for_a_return_goes_back_once_it_has_arrived(shop: Shop) -> None:
    await shop.does("start_return", DELIVERED, items=["lamp"])
    assert (await shop.terms("refund_order", DELIVERED)).outcome == "not_received"
    shop.sql("UPDATE shop.returns SET received_on = %s", NOW.date())
    _, payment = await TOOLS.read(
        "payment_status",
        {"order_number": DELIVERED},
        context=reading(shop.records),
        customer=shop.customer,
        conversation_id="cv_1",
    )
    assert payment is not None
    assert (payment.outcome, payment.refund) == ("refund_due", Decimal(89))  # type: ignore[attr-defined]
    assert (await shop.does("refund_order", DELIVERED))["amount"] == "89"
    assert (await shop.terms("refund_order", DELIVERED)).outcome == "already"


async def test_an_address_changes_while_the_order_is_here(shop: Shop) -> None:
    done = await shop.does("change_address", PACKED, **ADDRESS)
    assert (done["outcome"], done["street"], done["post_code"]) == ("changed", "12 Elm Street", "78701")
    assert (await shop.terms("change_address", PACKED, **ADDRESS)).outcome == "same"


async def test_a_membership_ends_with_its_year_and_may_be_kept(shop: Shop) -> None:
    shop.sql("INSERT INTO shop.memberships VALUES ('cu_00001', 4900, '2024-03-01', '2027-03-01')"
             " ON CONFLICT (customer_id) DO UPDATE SET renews_on = excluded.renews_on")  # fmt: skip
    assert (await shop.terms("change_membership", change="keep")).outcome == "already_kept"
    ended = await shop.does("change_membership", TABLE, change="end")
    assert (ended["outcome"], ended["ends_on"]) == ("ended", "2027-03-01")
    assert (await shop.terms("change_membership", change="end")).outcome == "already_ended"
    kept = await shop.does("change_membership", TABLE, change="keep")
    assert (kept["outcome"], kept["ends_on"], kept["price"]) == ("kept", None, "49")


async def test_a_delivery_time_has_room_for_so_many(shop: Shop) -> None:
    when = {"day": "2026-11-25", "part": "morning"}
    assert (await shop.does("book_delivery", PACKED, **when))["outcome"] == "booked"
    assert (await shop.terms("book_delivery", PACKED, **when)).outcome == "same"
    shop.sql("UPDATE shop.orders SET status = 'processing' WHERE number = %s", TABLE)
    waits = ready(await shop.terms("book_delivery", TABLE, **when))
    shop.sql(
        "INSERT INTO shop.appointments SELECT number, '2026-11-25', 'morning', '2026-11-20' FROM shop.orders"
        " WHERE number NOT IN (%s, %s) LIMIT 7",
        TABLE,
        PACKED,
    )
    assert (await shop.perform(waits))["outcome"] == "full"


async def test_a_link_goes_to_the_number_on_record(shop: Shop) -> None:
    """In our own house: queued with the act, once."""
    link = ready(await shop.terms("send_link", TABLE, link="tracking"))
    assert (await shop.perform(link, key="cv_1:link"))["number_ends"] == "0000"
    async with shop.database.transaction() as tx:
        sent = await text_messages.claim(tx, shop.keys)
        assert [(message.to, "/track/427103" in message.words) for message in sent] == [
            ("+12025550000", True)
        ]
        assert await text_messages.claim(tx, shop.keys) == []
        await text_messages.settle(tx, sent[0].id, provider_id="SM1")
        shown = await text_messages.of(tx, shop.conversation_id)
    assert [(row["status"], row["key"]) for row in shown] == [("sent", "cv_1:link")]


async def test_a_refused_change_names_its_limit_and_leaves_nothing(shop: Shop) -> None:
    """By amount, by number, by tier: who is not known has what the others have."""
    cancelling = ready(await shop.terms("cancel_order", PACKED))
    shop.changes = Changes(
        TOOLS, shop.records, shop.keys, {**LIMITS, "refund_amount": limit("amount", 1298, plus=1299)}, ZONE
    )
    for segment in ("standard", None, "unheard of"):
        refused = await shop.perform(cancelling, segment=segment)
        assert refused == {"status": "refused", "outcome": OVER_LIMIT, "limit": "refund_amount"}
    assert shop.sql("SELECT * FROM shop.refunds") == []
    assert (await shop.perform(cancelling, segment="plus"))["status"] == "done"


async def test_only_what_was_done_counts(shop: Shop) -> None:
    """A change that the records refuse gives its place in the limit back."""
    first, second = (
        ready(await shop.terms("cancel_order", PACKED)),
        ready(await shop.terms("cancel_order", PACKED)),
    )
    await shop.perform(first)
    assert (await shop.perform(second))["outcome"] == "already"
    subject = f"customer:{shop.keys.index('limit', shop.customer.customer_id).hex()}"
    async with shop.database.transaction() as tx:
        assert await limits.used(tx, "refund_amount", subject, timedelta(days=30)) == 129900
        assert await limits.used(tx, "changes_a_day", subject, timedelta(days=30)) == 1


async def test_records_that_moved_on_since_the_read_back_change_nothing(shop: Shop) -> None:
    """Another amount than was agreed to: taken back in its savepoint, the rest of the turn stands."""
    found = ready(await shop.terms("cancel_order", PACKED))
    shop.sql("UPDATE shop.payments SET amount_cents = 99900 WHERE order_number = %s", PACKED)
    refused = await shop.perform(found)
    assert refused == {"status": "refused", "outcome": CHANGED, "fields": ["amount"]}
    assert shop.sql("SELECT status FROM shop.orders WHERE number = %s", PACKED) == [("processing",)]
    assert shop.sql("SELECT * FROM shop.refunds") == []
    assert shop.sql("SELECT * FROM limit_uses") == []


async def test_a_change_that_fails_half_way_leaves_the_turn_alive(shop: Shop) -> None:
    """The records refuse the statement: no refund, no use of a limit, and the turn goes on with its row."""
    found = ready(await shop.terms("cancel_order", PACKED))
    shop.sql("ALTER TABLE shop.refunds ADD CHECK (amount_cents < 1000)")
    assert await shop.perform(found) == {"status": "failed", "outcome": UNAVAILABLE}
    assert shop.sql("SELECT status FROM shop.orders WHERE number = %s", PACKED) == [("processing",)]
    assert shop.sql("SELECT tool, effect, status, reason FROM tool_calls") == [
        ("cancel_order", "irreversible", "failed", UNAVAILABLE)
    ]
    assert shop.sql("SELECT * FROM limit_uses") == []


async def test_every_change_has_its_row_with_what_went_in_and_out_sealed(shop: Shop) -> None:
    done = await shop.does("cancel_order", PACKED, {"key": "cv_1:the act"})
    async with shop.database.transaction() as tx:
        (call,) = await tool_calls.of(tx, shop.keys, shop.conversation_id)
    assert (call["tool"], call["key"], call["status"]) == ("cancel_order", "cv_1:the act", "done")
    assert call["inputs"] == {"order_number": PACKED}
    assert call["outputs"]["amount"] == done["amount"]
    ((stored,),) = shop.sql("SELECT sealed_inputs || sealed_outputs FROM tool_calls")
    assert PACKED.encode() not in bytes(stored)


async def test_a_change_without_terms_or_with_an_unknown_limit_is_not_made(shop: Shop) -> None:
    found = ready(await shop.terms("cancel_order", PACKED))
    shop.changes = Changes(TOOLS, shop.records, shop.keys, LIMITS, ZONE)
    with pytest.raises(ToolRefused, match="amount"):  # a limit of money cannot be counted without terms
        await shop.perform(replace(found, terms=None))
    unlimited = replace(found.tool, limits=())
    with pytest.raises(ToolRefused, match="terms"):
        await shop.perform(replace(found, tool=unlimited, terms=None))
    shop.changes = Changes(TOOLS, shop.records, shop.keys, {}, ZONE)
    with pytest.raises(ToolRefused, match="limit"):
        await shop.perform(found)
    assert shop.sql("SELECT * FROM shop.refunds") == []


async def test_a_proposal_that_was_stored_is_the_same_change(shop: Shop) -> None:
    """Canonical JSON there and back gives the same digest; another amount, customer or policy another one."""
    found = ready(await shop.terms("start_return", DELIVERED, items=["lamp"]))
    restored = TOOLS.restore("start_return", found.canonical)
    digest = found.digest(customer_id="cu_00002", policy_version="1")
    assert restored == found
    assert restored.digest(customer_id="cu_00002", policy_version="1") == digest
    assert found.terms is not None
    cheaper = found.on(found.terms.model_copy(update={"amount": Decimal(1)}))
    assert len({digest, cheaper.digest(customer_id="cu_00002", policy_version="1"),
                found.digest(customer_id="cu_00003", policy_version="1"),
                found.digest(customer_id="cu_00002", policy_version="2")}) == 4  # fmt: skip
    with pytest.raises(ToolRefused, match="models changed"):
        TOOLS.restore("start_return", '{"request": {"order_number": "518264", "all": true}, "terms": null}')


async def test_tracking_tells_the_last_place_in_the_shops_own_time(shop: Shop) -> None:
    shop.sql("INSERT INTO shop.scans VALUES (%s, '2026-11-20T03:15:00Z', 'Reno', 'sorted')", TABLE)
    _, found = await TOOLS.read(
        "tracking",
        {"order_number": TABLE},
        context=reading(shop.records),
        customer=verified("cu_00001", TABLE),
        conversation_id="cv_1",
    )
    assert found is not None
    assert found.model_dump(include={"outcome", "place", "seen_at"}) == {
        "outcome": "sorted", "place": "Reno", "seen_at": datetime.fromisoformat("2026-11-19T21:15"),
    }  # fmt: skip


async def test_another_address_takes_more_than_what_stands_on_the_parcel(shop: Shop) -> None:
    """Level 1 is number and post code, which every label shows: refused before the records are asked."""
    of_the_label = verified(OWNER[PACKED], PACKED)
    with pytest.raises(ToolRefused, match="level 2"):
        await terms(TOOLS, shop.records, of_the_label, "change_address", order_number=PACKED, **ADDRESS)
    assert isinstance(await shop.terms("change_address", PACKED, **ADDRESS), Prepared)
