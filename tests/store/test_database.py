"""A transaction is all or nothing, and a failing one never spoils the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from psycopg.pq import TransactionStatus

from voicebot.core.store.database import Database, DatabaseDown, known_in


@pytest_asyncio.fixture
async def small(fresh_database_url: str) -> AsyncIterator[Database]:
    """Two connections, with a table to write to."""
    opened = await Database.open(fresh_database_url, max_size=2, timeout_s=20.0)
    async with opened.transaction() as tx:
        await tx.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
    yield opened
    await opened.close()


async def numbers(database: Database) -> list[int]:
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT n FROM numbers ORDER BY n")
        return [row["n"] for row in await cursor.fetchall()]


async def within_half_a_second(database: Database, limit: str, statement: str) -> None:
    """Runs a statement under a limit of the server's that is shorter than the connection's."""
    async with database.transaction() as tx:
        await tx.execute(f"SET LOCAL {limit} = 500".encode())
        await tx.execute(statement.encode())


async def test_it_commits_at_the_end(small: Database) -> None:
    async with small.transaction() as tx:
        await tx.execute("INSERT INTO numbers VALUES (1)")
        assert await numbers(small) == [], "not before"
    assert await numbers(small) == [1]


async def test_an_error_rolls_back_and_comes_through(small: Database) -> None:
    async def fail() -> None:
        async with small.transaction() as tx:
            await tx.execute("INSERT INTO numbers VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await numbers(small) == []


async def test_a_statements_own_error_is_not_the_databases(small: Database) -> None:
    async def insert_twice() -> None:
        async with small.transaction() as tx:
            await tx.execute("INSERT INTO numbers VALUES (1)")
            await tx.execute("INSERT INTO numbers VALUES (1)")

    with pytest.raises(psycopg.errors.UniqueViolation):
        await insert_twice()
    assert await numbers(small) == []


async def test_a_savepoint_inside(small: Database) -> None:
    async with small.transaction() as tx:
        await tx.execute("INSERT INTO numbers VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with tx.transaction():
                await tx.execute("INSERT INTO numbers VALUES (1)")
        await tx.execute("INSERT INTO numbers VALUES (2)")
    assert await numbers(small) == [1, 2]


async def test_a_cancelled_transaction_leaves_nothing_and_frees_its_place(small: Database) -> None:
    """A call that goes away in mid-query must not cost the others a connection."""
    for _ in range(4):  # more often than there are connections
        inside = asyncio.Event()

        async def work(inside: asyncio.Event = inside) -> None:
            async with small.transaction() as tx:
                await tx.execute("INSERT INTO numbers VALUES (1)")
                inside.set()
                await tx.execute("SELECT pg_sleep(60)")

        task = asyncio.create_task(work())
        arrived = asyncio.create_task(inside.wait())
        await asyncio.wait({task, arrived}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.exception()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await numbers(small) == []


async def test_statements_and_locks_end_at_the_server_after_the_given_time(small: Database) -> None:
    async with small.transaction() as tx:
        for limit in ("statement_timeout", "lock_timeout"):
            row = await (await tx.execute(f"SHOW {limit}".encode())).fetchone()
            assert row == {limit: "20s"}


async def test_a_statement_that_takes_too_long_is_the_database_down(small: Database) -> None:
    with pytest.raises(DatabaseDown, match="57014"):
        await within_half_a_second(small, "statement_timeout", "SELECT pg_sleep(60)")
    assert await small.healthy()


async def test_a_lock_that_does_not_come_is_the_database_down(small: Database) -> None:
    async with small.transaction() as tx:
        await tx.execute("LOCK numbers")
        with pytest.raises(DatabaseDown, match="55P03"):
            await within_half_a_second(small, "lock_timeout", "SELECT n FROM numbers")
    assert await numbers(small) == []


async def test_more_transactions_than_connections_wait_their_turn_and_not_for_ever(small: Database) -> None:
    release = asyncio.Event()

    async def hold(started: asyncio.Event) -> None:
        async with small.transaction():
            started.set()
            await release.wait()

    starts = [asyncio.Event(), asyncio.Event()]
    holders = [asyncio.create_task(hold(started)) for started in starts]
    for started in starts:
        await started.wait()
    patience_s, small.timeout_s = small.timeout_s, 0.5
    with pytest.raises(DatabaseDown, match="all connections were in use"):
        await numbers(small)
    small.timeout_s = patience_s
    waiting = asyncio.create_task(numbers(small))
    await asyncio.sleep(0)
    release.set()
    assert await waiting == []
    await asyncio.gather(*holders)


async def test_a_reading_sees_what_is_committed_meanwhile_and_opens_no_transaction(small: Database) -> None:
    async with small.reading() as tx:
        assert await (await tx.execute("SELECT n FROM numbers")).fetchall() == []
        assert tx.info.transaction_status == TransactionStatus.IDLE
        async with small.transaction() as other:
            await other.execute("INSERT INTO numbers VALUES (1)")
        assert await (await tx.execute("SELECT n FROM numbers")).fetchall() == [{"n": 1}]


@pytest.mark.parametrize("statement", ["INSERT INTO numbers VALUES (1)", "SELECT n FROM numbers FOR UPDATE"])
async def test_a_reading_that_writes_is_a_mistake_and_not_the_database_down(
    small: Database, statement: str
) -> None:
    async def write() -> None:
        async with small.reading() as tx:
            await tx.execute(statement.encode())

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await write()
    assert await numbers(small) == []
    async with small.transaction() as tx:  # and whoever writes next gets no connection that only reads
        await tx.execute("INSERT INTO numbers VALUES (2)")
    assert await numbers(small) == [2]


async def test_a_connection_that_postgres_ended_is_not_read_from(small: Database) -> None:
    async with small.reading() as tx:
        row = await (await tx.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    async with small.transaction() as tx:
        await tx.execute("SELECT pg_terminate_backend(%s, 5000)", (row["pid"],))
    async with small.reading() as tx:
        assert await (await tx.execute("SELECT n FROM numbers")).fetchall() == []


async def test_connections_of_both_kinds_together_are_no_more_than_allowed(small: Database) -> None:
    """An idle one of the other kind makes place."""
    count = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = %s"
    for one, other in ((small.transaction, small.reading), (small.reading, small.transaction)):
        async with one(), one():
            pass
        async with other() as tx, other():
            row = await (await tx.execute(count, (small.name,))).fetchone()
            assert row is not None
            assert row["n"] <= 2


async def test_a_reading_that_takes_too_long_is_the_database_down(small: Database) -> None:
    async def sleep() -> None:
        async with small.reading() as tx, tx.transaction():
            await tx.execute("SET LOCAL statement_timeout = 300")
            await tx.execute("SELECT pg_sleep(60)")

    with pytest.raises(DatabaseDown, match="57014"):
        await sleep()
    assert await small.healthy()


async def test_what_a_transaction_knows_is_forgotten_at_its_end(small: Database) -> None:
    async with small.transaction() as tx:
        known_in(tx)["a key"] = 1
        assert known_in(tx) == {"a key": 1}
    async with small.transaction() as tx:
        assert known_in(tx) == {}


async def test_rows_are_dicts_and_times_are_utc(small: Database) -> None:
    async with small.transaction() as tx:
        row = await (await tx.execute("SELECT 1 AS one, now() AS at")).fetchone()
    assert row is not None
    assert row["one"] == 1
    assert row["at"].utcoffset().total_seconds() == 0


async def test_a_closed_database_says_so(fresh_database_url: str) -> None:
    database = await Database.open(fresh_database_url, timeout_s=20.0)
    async with database.transaction() as tx:
        await database.close()
        await tx.execute("SELECT 1")  # those under way finish
    with pytest.raises(DatabaseDown, match="closed"):
        async with database.transaction():
            pass
    assert not await database.healthy()


async def test_a_wrong_address_is_refused_at_open_without_the_password() -> None:
    with pytest.raises(DatabaseDown) as down:
        await Database.open("postgresql://someone:hunter2@/x?host=/nowhere", timeout_s=1.0)
    assert "hunter2" not in str(down.value)
