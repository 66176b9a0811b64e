"""Transactions on Postgres, with a short and certain end when Postgres is not there.

One `Database` per process and event loop; all tasks share it. ::

    database = await Database.open(url)
    async with database.transaction() as tx:
        await tx.execute("UPDATE ...")
    async with database.reading() as tx:
        await tx.execute("SELECT ...")

The pool is ours and small because of what must happen on failure: a stopped Postgres is
reported at once (no waiting for background reconnection), a hung one after ``timeout_s``,
and the first transaction after it is back succeeds.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import select
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import AsyncConnection, errors, waiting
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row

log = structlog.get_logger(__name__)

Transaction = AsyncConnection[DictRow]
"""What `Database.transaction` gives: rows are dicts."""

_RV = TypeVar("_RV")
_CLIENT_SLACK_S = 0.2
"""The server ends a slow statement first, with a clean error; if it does not, we hang up."""
ASKED_AFTER_S = 1.0
"""A connection that only reads, idle for so long, is asked whether it is still one before it is used."""
_IDLE_IN_TRANSACTION_MS = 15_000
"""A node that hangs with a transaction open loses it, and its row locks with it."""

# SQLSTATE classes in which it is the server that fails, not the statement.
_SERVER_FAILS = frozenset({"08", "53", "57", "58", "F0"})
_ALSO_DOWN = frozenset({"25006", "55P03", "25P03", "25P04"})  # read-only, lock or transaction timeout


class DatabaseDown(Exception):
    """Postgres is unreachable, does not answer in time, or cannot do its work.

    Nothing of the transaction can be relied on. If it came from the commit itself, the
    transaction may have been committed: whatever is tried again must be keyed so that
    twice is once.
    """


@dataclass(frozen=True, slots=True)
class Due:
    """A row that has to be chained before its transaction commits: its tier, its ``seq``, its shard."""

    tier: int
    record: int
    shard: str


AtCommit = Callable[[Transaction, Sequence[Due]], Awaitable[None]]
"""Runs as the last thing of a transaction in which something is due; if it fails, nothing is committed."""


def due_at_commit(tx: Transaction) -> list[Due]:
    """What is due before ``tx`` commits; append to it.

    Raises:
        TypeError: not a transaction of `Database`, which would commit without doing what is due.
    """
    due = getattr(tx, "due", None)
    if due is None:
        raise TypeError("audit rows are written in a transaction of voicebot's Database only")
    return due


def known_in(tx: Transaction) -> dict[Any, Any]:
    """What was read in this transaction, or locked, and need not be again in it; forgotten at its end.

    Only for what cannot change, or may be a moment old: keys, whose conversation is whose. On a connection
    that is none of `Database`'s nothing is kept.
    """
    known = getattr(tx, "known", None)
    return {} if known is None else known


def hold(tx: Transaction, conversation_id: str) -> None:
    """Says that ``tx`` has the conversation's row locked, from outside any savepoint: to its end, then."""
    known_in(tx)["held", conversation_id] = True


def is_held(tx: Transaction, conversation_id: str) -> bool:
    """Whether `hold` was said: a statement that would lock the row again is spared."""
    return ("held", conversation_id) in known_in(tx)


class _NoAnswer(psycopg.OperationalError):
    """The server is there and silent."""


class _Connection(AsyncConnection[DictRow]):
    """A connection whose every wait ends."""

    deadline_s: float = 2.0
    reads_only: bool = False
    idle_since: float = 0.0
    due: list[Due] | None = None
    known: dict[Any, Any]

    async def wait(self, gen: PQGen[_RV], interval: float = 0.1, timeout: float | None = None) -> _RV:
        """Waits for ``gen`` up to `deadline_s`, then hangs up.

        psycopg would, on cancellation, ask the server to cancel and wait up to 10 s for it,
        which a hung server never answers. Hanging up is certain: the server rolls back.
        """
        try:
            async with asyncio.timeout(self.deadline_s if timeout is None else timeout):
                return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)
        except TimeoutError:
            self.pgconn.finish()
            raise _NoAnswer(f"no answer within {self.deadline_s:.1f} s") from None
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.pgconn.finish()
            raise


class Database:
    """A pool of connections to one Postgres database.

    Attributes:
        url: what was given to `open`.
        timeout_s: limit for getting a connection, and for each statement.
        name: of this process's life, also Postgres' ``application_name``; whose events are whose.
    """

    def __init__(
        self, url: str, *, max_size: int, timeout_s: float, at_commit: AtCommit | None = None
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.name = f"voicebot-{os.getpid()}-{secrets.token_hex(4)}"
        self._idle: list[_Connection] = []
        self._idle_readers: list[_Connection] = []
        self._max_size = max_size
        self._slots = asyncio.Semaphore(max_size)
        self._borrowed = 0
        self._closed = False
        self._at_commit = at_commit

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        timeout_s: float = 2.0,
        at_commit: AtCommit | None = None,
    ) -> Database:
        """Connects ``min_size`` times.

        Args:
            url: ``postgresql://...``.
            min_size: connections made now; 0 opens without Postgres.
            max_size: most connections: transactions and readings at a time; more wait up to ``timeout_s``.
            timeout_s: seconds.
            at_commit: chains audit rows (`chain.linking.Linker`). Without it they stay outside the chain,
                and ``voicebot audit verify`` calls them inserted: only for what never writes any.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        database = cls(url, max_size=max_size, timeout_s=timeout_s, at_commit=at_commit)
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(min_size):
                    database._idle.append(await database._connect(reads_only=False))
        except (psycopg.Error, TimeoutError, OSError) as error:
            await database.close()
            raise _down(error) from error
        except BaseException:
            await database.close()
            raise
        return database

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """One transaction: committed at the end of the block, rolled back on any error.

        Raises:
            DatabaseDown: no connection within ``timeout_s``, a statement took longer than
                that, or the server failed.
        """
        connection = await self._borrow(reads_only=False)
        connection.due = due = []
        try:
            try:
                yield connection
                if due and self._at_commit is not None:
                    await self._at_commit(connection, tuple(due))
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.commit()
        except psycopg.Error as error:
            if _server_failed(error):
                raise _down(error) from error
            raise
        finally:
            await self._put_back(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Transaction]:
        """For statements that only read: each sees what is committed when it begins, as it would in a
        transaction, but costs no BEGIN and no COMMIT. Postgres refuses any that would write or lock rows.

        ``SET`` and advisory locks do not belong here: they would outlast the block. What needs them opens
        ``tx.transaction()`` inside.

        Raises:
            DatabaseDown: as in `transaction`.
        """
        connection = await self._borrow(reads_only=True)
        try:
            yield connection
        except errors.ReadOnlySqlTransaction:  # a mistake of ours, and no sign of a server that fails
            raise
        except psycopg.Error as error:
            if _server_failed(error):
                await _close_all(self._idle_readers)  # they are no better
                raise _down(error) from error
            raise
        finally:
            await self._put_back(connection)

    async def healthy(self) -> bool:
        """Whether a transaction works now; never raises, never takes longer than twice ``timeout_s``."""
        try:
            async with self.transaction() as tx:
                await tx.execute("SELECT 1")
        except (DatabaseDown, psycopg.Error):
            return False
        return True

    async def close(self) -> None:
        """Closes the idle connections now, those in use when they come back."""
        self._closed = True
        await _close_all(self._idle)
        await _close_all(self._idle_readers)

    async def _borrow(self, *, reads_only: bool) -> _Connection:
        """A slot and a connection, all within ``timeout_s``."""
        if self._closed:
            raise DatabaseDown("the database was closed by this process")
        slot = False
        try:
            async with asyncio.timeout(self.timeout_s):
                slot = await self._slots.acquire()
                connection = await self._find(reads_only=reads_only)
                self._borrowed += 1
                return connection
        except TimeoutError as error:
            if slot:
                self._slots.release()
                raise _down(error) from error
            raise DatabaseDown(f"all connections were in use for {self.timeout_s:.1f} s") from error
        except BaseException as error:
            if slot:
                self._slots.release()
            if isinstance(error, psycopg.Error | OSError):
                raise _down(error) from error
            raise

    async def _find(self, *, reads_only: bool) -> _Connection:
        """A connection that works: BEGIN has just worked on it, or it answered a moment ago."""
        idle = self._idle_readers if reads_only else self._idle
        while True:
            new = not idle
            connection = await self._new(reads_only=reads_only) if new else idle.pop()
            if reads_only and (new or _answered_lately(connection)):
                return connection
            try:
                await connection.execute("SELECT 1" if reads_only else "BEGIN")
            except psycopg.Error as error:
                await connection.close()
                if new or isinstance(error, _NoAnswer):  # hung: the other connections are no better
                    raise
            except BaseException:
                await connection.close()
                raise
            else:
                return connection

    async def _new(self, *, reads_only: bool) -> _Connection:
        """A connection; in place of an idle one of the other kind, where all there may be are there."""
        others = self._idle if reads_only else self._idle_readers
        if others and len(others) + self._borrowed >= self._max_size:
            await others.pop(0).close()
        return await self._connect(reads_only=reads_only)

    async def _connect(self, *, reads_only: bool) -> _Connection:
        connection = await _Connection.connect(
            self.url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=max(2, round(self.timeout_s)),
            application_name=self.name,
        )
        connection.deadline_s = self.timeout_s + _CLIENT_SLACK_S
        connection.reads_only, connection.known = reads_only, {}
        milliseconds = round(self.timeout_s * 1000)
        try:
            await connection.execute(
                f"SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds};"
                f"SET idle_in_transaction_session_timeout = {_IDLE_IN_TRANSACTION_MS};"
                "SET timezone = 'UTC'".encode()
            )
            if reads_only:
                await connection.execute("SET default_transaction_read_only = on")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _put_back(self, connection: _Connection) -> None:
        connection.due, connection.known = None, {}
        connection.idle_since = monotonic()
        self._borrowed -= 1
        try:
            idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            if idle and not self._closed:
                (self._idle_readers if connection.reads_only else self._idle).append(connection)
            else:
                await connection.close()
        finally:
            self._slots.release()


async def _close_all(idle: list[_Connection]) -> None:
    while idle:
        await idle.pop().close()


def _answered_lately(connection: _Connection) -> bool:
    """Whether it was used a moment ago, and the server has not spoken since (it says when it closes one)."""
    if monotonic() - connection.idle_since >= ASKED_AFTER_S:
        return False
    try:
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        return not poll.poll(0)
    except psycopg.Error:  # it was closed on this side
        return False


async def _roll_back(connection: _Connection) -> None:
    if connection.closed:
        return
    try:
        await connection.rollback()
    except psycopg.Error as error:  # the server rolls back a lost connection by itself
        log.info("database.rollback_unanswered", error=type(error).__name__)
        await connection.close()


def _server_failed(error: psycopg.Error) -> bool:
    state: Any = error.sqlstate
    if state is None:  # no word from the server: the connection is gone
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in _SERVER_FAILS or state in _ALSO_DOWN or isinstance(error, errors.QueryCanceled)


def _down(error: BaseException) -> DatabaseDown:
    """Names the failure without the connection string, which may hold a password."""
    state = getattr(error, "sqlstate", None)
    return DatabaseDown(f"{type(error).__name__}{f' ({state})' if state else ''}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no answer in time"
