"""A wait that is cancelled in the tick in which it is over is cancelled all the same: nothing goes on."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import pytest

from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.probe import ProbeSocket
from voicebot.channels.twilio.recovery import Recovery
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.store.database import DatabaseDown


@pytest.fixture(autouse=True)
def pythons_own_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipecat puts another in its place, in every process that imports it."""
    monkeypatch.setattr(asyncio, "wait_for", asyncio.tasks.wait_for)


async def ticks(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class GoneDatabase:
    """A database that is away; counts who asks."""

    asked = 0

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        self.asked += 1
        raise DatabaseDown("gone")

    reading = transaction


@dataclass
class Services:
    """What a watch needs while the database is away and Twilio cannot be asked."""

    database: GoneDatabase
    rest: None = None

    def clock(self) -> float:
        return 100.0


async def test_a_closed_watch_looks_no_more() -> None:
    """News comes in the tick in which the node ends: the watch ends, it does not look once more."""
    database = GoneDatabase()
    recovery = Recovery(
        cast("Any", Services(database)), LiveSessions(), cast("Any", None), cast("Any", None), Unwritten()
    )
    recovery.watch("CA1")
    await ticks()
    looked = database.asked
    assert looked > 0
    recovery.watch("CA1")  # something happened: it would look again
    async with asyncio.timeout(30):
        await recovery.close()
    assert database.asked == looked


async def test_a_cancelled_self_test_waits_for_nothing() -> None:
    """A message of another kind comes in that tick."""
    socket = ProbeSocket("scene", {}, None, False, 0.0, cast("Any", None))
    waiting = asyncio.create_task(socket.until("mark", within_s=30))
    await ticks()
    socket.news.set()
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=20)
    assert waiting.cancelled()
