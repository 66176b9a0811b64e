"""Messages between processes of many machines, over NATS (https://nats.io); its core protocol, nothing kept.

What must not be lost is in the database: a message that NATS loses is seen at the next look there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

log = structlog.get_logger(__name__)

SUBJECT = "voicebot.live"
MOST_WAITING = 500
"""Messages that wait to be sent; the oldest are dropped."""

MOST_UNREAD = 2000
MOST_UNREAD_BYTES = 4 * 1024 * 1024
AGAIN_S = 1


class NatsCarrier:
    """`sharing.Carrier` over one NATS subject.

    Args:
        url: ``nats://user:password@host:4222`` or ``tls://``; several, separated by commas. Never logged.
    """

    def __init__(self, url: str) -> None:
        self._servers = [one.strip() for one in url.split(",") if one.strip()]
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._more = asyncio.Event()
        self._away = False

    def send(self, text: str) -> None:
        """Puts a message where the next round of sending finds it."""
        self._waiting.append(text)
        self._more.set()

    async def run(self, receive: Callable[[str], None]) -> None:
        """Until cancelled; while NATS is away it tries again, and says so once."""

        async def received(message: Msg) -> None:
            receive(message.data.decode(errors="replace"))

        while True:
            client = Client()
            try:
                await client.connect(
                    servers=self._servers,
                    name="voicebot",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=AGAIN_S,
                    connect_timeout=2,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    error_cb=self._failed,
                    disconnected_cb=self._lost,
                    reconnected_cb=self._back,
                )
                await self._back()
                await client.subscribe(
                    SUBJECT,
                    cb=received,
                    pending_msgs_limit=MOST_UNREAD,
                    pending_bytes_limit=MOST_UNREAD_BYTES,
                )
                await self._send(client)
            except (NatsError, OSError, TimeoutError) as error:
                await self._failed(error)
            finally:
                await client.close()
            await asyncio.sleep(AGAIN_S)

    async def _send(self, client: Client) -> None:
        while not client.is_closed:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                text = self._waiting.popleft()
                if client.is_connected:  # else it would be old by the time it is sent
                    await client.publish(SUBJECT, text.encode())

    async def _failed(self, error: Exception) -> None:
        if not self._away:
            log.warning("carrier.nats_away", error=type(error).__name__)
        self._away = True

    async def _lost(self) -> None:
        if not self._away:
            log.warning("carrier.nats_away", error="disconnected")
        self._away = True

    async def _back(self) -> None:
        if self._away:
            log.info("carrier.nats_back")
        self._away = False
