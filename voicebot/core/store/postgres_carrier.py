"""Messages between the processes of one database, by NOTIFY on a connection of their own.

Never inside the transaction of a turn: a NOTIFY takes a lock that all notifying transactions of the server
share until they have committed. Here each is a statement of its own that waits for no disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import psycopg
import structlog
from psycopg import AsyncConnection, sql

log = structlog.get_logger(__name__)

CHANNEL = "voicebot_live"
MOST_WAITING = 200
"""Messages that wait to be sent; the oldest are dropped."""

AGAIN_S = 1.0
ANSWER_WITHIN_S = 2.0
"""The server is asked so often whether it is still there."""


class PostgresCarrier:
    """`sharing.Carrier` over LISTEN and NOTIFY; two connections, one for each way.

    Args:
        url: ``postgresql://...``. Behind a pooler that shares sessions between clients nothing is heard:
            name the server itself.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._more = asyncio.Event()

    def send(self, text: str) -> None:
        """Puts a message where the next round of sending finds it."""
        self._waiting.append(text)
        self._more.set()

    async def run(self, receive: Callable[[str], None]) -> None:
        """Until cancelled; while the server is away it tries again, and says so once."""
        down = False
        while True:
            try:
                async with (
                    await self._connect() as listening,
                    await self._connect() as sending,
                    asyncio.TaskGroup() as both,
                ):
                    if down:
                        log.info("carrier.postgres_back")
                    down = False
                    both.create_task(self._send(sending))
                    both.create_task(_listen(listening, receive))
            except* (psycopg.Error, OSError, TimeoutError) as errors:
                if not down:
                    log.warning("carrier.postgres_away", error=type(errors.exceptions[0]).__name__)
                down = True
            await asyncio.sleep(AGAIN_S)

    async def _connect(self) -> AsyncConnection:
        connection = await AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=2,
            application_name="voicebot-live",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
        )
        await connection.execute("SET synchronous_commit = off")
        return connection

    async def _send(self, connection: AsyncConnection) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(20, len(self._waiting)))]
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await connection.execute(
                        "SELECT pg_notify(%s, m) FROM unnest(%s::text[]) m", (CHANNEL, batch)
                    )


async def _listen(connection: AsyncConnection, receive: Callable[[str], None]) -> None:
    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
    while True:
        async for notice in connection.notifies(timeout=ANSWER_WITHIN_S):
            receive(notice.payload)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await connection.execute("SELECT 1")
