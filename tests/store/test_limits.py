"""However many change something at once, on however many nodes, together they never pass a limit."""

from __future__ import annotations

import asyncio
import multiprocessing
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import psycopg
import pytest

from voicebot.core.store import limits
from voicebot.core.store.database import Database
from voicebot.core.store.limits import Charge

MONTH = timedelta(days=30)
WHO = "customer:ab12"


def charge(amount: int, *, most: int = 1000, name: str = "refund_amount", subject: str = WHO) -> Charge:
    return Charge(name, subject, amount, most, MONTH)


async def take(database: Database, key: str, *charges: Charge) -> str | None:
    async with database.transaction() as tx:
        return await limits.take(tx, charges, key=key)


async def test_what_adds_up_is_counted_to_the_cent(database: Database) -> None:
    """Up to the limit and not beyond; what was refused counts nothing; another customer has his own."""
    assert await take(database, "a", charge(600)) is None
    assert await take(database, "b", charge(401)) == "refund_amount"
    assert await take(database, "c", charge(400)) is None
    assert await take(database, "d", charge(1)) == "refund_amount"
    assert await take(database, "e", charge(1000, subject="customer:cd34")) is None
    async with database.transaction() as tx:
        assert await limits.used(tx, "refund_amount", WHO, MONTH) == 1000


async def test_the_same_key_counts_once_and_a_released_one_not_at_all(database: Database) -> None:
    for _ in range(3):
        assert await take(database, "a", charge(700)) is None
    async with database.transaction() as tx:
        await limits.release(tx, "a")
    assert await take(database, "b", charge(1000)) is None


async def test_of_several_limits_none_is_counted_when_one_is_passed(database: Database) -> None:
    both = (charge(900), charge(1, most=1, name="changes_a_day"))
    assert await take(database, "a", *both) is None
    assert await take(database, "b", charge(1), charge(1, most=1, name="changes_a_day")) == "changes_a_day"
    async with database.transaction() as tx:
        assert await limits.used(tx, "refund_amount", WHO, MONTH) == 900


async def test_a_limit_on_one_change_alone_needs_no_history(database: Database) -> None:
    alone = Charge("redirected_value", WHO, 50_001, 50_000, None)
    assert await take(database, "a", alone) == "redirected_value"
    assert await take(database, "a", Charge("redirected_value", WHO, 50_000, 50_000, None)) is None
    assert await take(database, "b", Charge("redirected_value", WHO, 50_000, 50_000, None)) is None


async def test_a_use_counts_until_its_window_is_over(database: Database) -> None:
    """The database's clock decides: a use from a clock that ran ahead counts as well."""
    assert await take(database, "a", charge(600)) is None
    for at, refused in (
        ("30 days 1 minute", None),
        ("29 days 23 hours", "refund_amount"),
        ("-2 days", "refund_amount"),
    ):
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE limit_uses SET at = clock_timestamp() - %s::interval WHERE key = 'a'", (at,)
            )
        assert await take(database, "b", charge(600)) == refused, at
        async with database.transaction() as tx:
            await limits.release(tx, "b")


async def test_what_is_rolled_back_was_not_counted(database: Database) -> None:
    async def broken() -> None:
        async with database.transaction() as tx:
            await limits.take(tx, [charge(1000)], key="a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    assert await take(database, "b", charge(1000)) is None


async def test_forty_connections_together_stay_within_the_limit(database: Database) -> None:
    """Ten of a hundred fit; exactly ten go through, whatever the order, and nobody waits for ever."""
    wide = await Database.open(database.url, min_size=0, max_size=40, timeout_s=20.0)
    try:
        results = await asyncio.gather(*(take(wide, f"key {n}", charge(100)) for n in range(40)))
    finally:
        await wide.close()
    assert sorted(results, key=str) == [None] * 10 + ["refund_amount"] * 30


async def test_two_limits_in_either_order_do_not_wait_for_each_other(database: Database) -> None:
    """Heads are locked in one order, so crossing charges end instead of deadlocking."""
    wide = await Database.open(database.url, min_size=0, max_size=20, timeout_s=20.0)
    one, other = charge(1, most=10), charge(1, most=10, name="changes_a_day")
    try:
        results = await asyncio.gather(
            *(take(wide, f"key {n}", *((one, other) if n % 2 else (other, one))) for n in range(20))
        )
    finally:
        await wide.close()
    assert results.count(None) == 10


def _node(url: str, name: int, start: Barrier, taken: multiprocessing.Queue[int]) -> None:
    """One node: as soon as all are there, five refunds one after the other."""

    async def run() -> int:
        database = await Database.open(url, timeout_s=20.0)
        start.wait()
        done = [await take(database, f"node {name}, {n}", charge(100)) for n in range(5)]
        await database.close()
        return done.count(None)

    taken.put(asyncio.run(run()))


def test_ten_processes_together_stay_within_the_limit(fresh_database_url: str) -> None:
    """Fifty refunds from ten processes at once, and room for ten."""
    context = multiprocessing.get_context("fork")
    start, taken = context.Barrier(10), context.Queue()
    nodes = [context.Process(target=_node, args=(fresh_database_url, n, start, taken)) for n in range(10)]
    for node in nodes:
        node.start()
    counts = [taken.get(timeout=60) for _ in nodes]
    for node in nodes:
        node.join(60)
    assert sum(counts) == 10
    with psycopg.connect(fresh_database_url) as connection:
        assert connection.execute("SELECT sum(amount) FROM limit_uses").fetchone() == (1000,)
