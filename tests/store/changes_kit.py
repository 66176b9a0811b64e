"""A caller who wants something changed: verified with one of the shop's own orders."""

from __future__ import annotations

from typing import Any

from dialogue_kit import Talk

from voicebot.core.conversation import Keys
from voicebot.core.store import acts, proposals, tool_calls
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

PACKED = ("635192", "73301")
DELIVERED = ("518264", "60614")
SENT = ("427103", "94107")
CANCEL = "i want to cancel my order"
RETURN = "i would like to start a return"


async def verified(talk: Talk, order: tuple[str, str], wish: str) -> str:
    """Says the wish and what is asked for: what the bot answers then."""
    await talk.turn(wish)
    await talk.turn(" ".join(order[0]))
    words = await talk.turn(" ".join(order[1]))
    async with talk.database.transaction() as tx:
        row = await (
            await tx.execute(
                "SELECT to_char(c.birth_date, 'MMDDYYYY') AS born, coalesce(p.card_digits, '0000') AS card"
                " FROM shop.customers c JOIN shop.orders o ON o.customer_id = c.id"
                " JOIN shop.payments p ON p.order_number = o.number WHERE o.number = %s",
                (order[0],),
            )
        ).fetchone()
    assert row is not None
    for asked, value in (("date of birth", row["born"]), ("four digits", row["card"])):
        if asked in words:
            words = await talk.turn(Keys(digits=value))
    return words


async def read_back(database: Database, keys: KeyRing, **more: Any) -> Talk:
    """A cancellation, read back and heard."""
    talk = await Talk.begin(database, keys, **more)
    words = await verified(talk, PACKED, CANCEL)
    assert "Shall I do that?" in words, words
    return talk


async def stored(talk: Talk) -> list[dict[str, Any]]:
    """The conversation's proposals."""
    async with talk.database.transaction() as tx:
        return await proposals.of(tx, talk.id)


async def statuses(talk: Talk) -> list[str]:
    return [row["status"] for row in await stored(talk)]


async def done(talk: Talk) -> list[acts.Act]:
    """Its acts."""
    async with talk.database.transaction() as tx:
        return await acts.of(tx, talk.keys, talk.id)


async def calls(talk: Talk) -> list[tuple[str, str]]:
    """Its changes among the calls of tools, with what came of them."""
    async with talk.database.transaction() as tx:
        rows = await tool_calls.of(tx, talk.keys, talk.id)
    return [(row["tool"], row["status"]) for row in rows if row["effect"] != "read" and row["key"]]


async def status_of(database: Database, number: str) -> str:
    async with database.transaction() as tx:
        row = await (
            await tx.execute("SELECT status FROM shop.orders WHERE number = %s", (number,))
        ).fetchone()
        assert row is not None
        return row["status"]


async def change(database: Database, statement: str, *values: Any) -> None:
    """Something changes the records, or a row of ours, from outside."""
    async with database.transaction() as tx:
        await tx.execute(statement.encode(), values)


async def count(database: Database, table: str, where: str = "true") -> int:
    async with database.transaction() as tx:
        row = await (
            await tx.execute(f"SELECT count(*) AS n FROM {table} WHERE {where}".encode())  # noqa: S608
        ).fetchone()
        assert row is not None
        return row["n"]
