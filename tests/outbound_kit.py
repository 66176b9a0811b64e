"""A node that makes calls, beside a local Twilio: rules, a clock that tests set, an order that is due."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from twilio_kit import PUBLIC_URL, Channel, Echo, eventually, free_port, settings_for, twilio_channel, url_of

from voicebot.channels.node import NodeState
from voicebot.channels.twilio.outbound.calls import OutboundCalls, OutboundKit
from voicebot.channels.twilio.rest import TwilioRest
from voicebot.core.store import callbacks
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.handoff.outbound import Outbound
from voicebot.proof.simulation import LocalTwilio
from voicebot.proof.simulation.webhooks import Routes

CUSTOMER = "+12025550123"
MESSAGE = "We called."
RULES: dict[str, Any] = {
    "allow": ["+1202555"],
    "hours": {"every day": "00:00-24:00"},
    "tries": 2,
    "spacing_minutes": [10],
    "machine": "message",
}


class Clock:
    """The nodes' time. It begins now, since Twilio's list of calls has real times."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **length: float) -> None:
        self.now += timedelta(**length)


@dataclass
class Node:
    """One node: its channel, its calls."""

    channel: Channel
    calls: OutboundCalls
    echo: Echo
    clock: Clock

    async def shown(self, callback: str) -> dict[str, Any]:
        async with self.channel.database.transaction() as tx:
            return await callbacks.shown(tx, callback)

    async def stands(self, callback: str, status: str) -> bool:
        return (await self.shown(callback))["status"] == status

    async def dials_again(self) -> None:
        """Begins a further try, as soon as what tells of the last one holds the booking no more."""

        async def begun() -> bool:
            return await self.calls.dial_due() == 1

        await eventually(begun)


def calls_of(
    database: Database, keys: KeyRing, rest: TwilioRest | None, clock: Clock, *, name: str = "a", **rules: Any
) -> OutboundCalls:
    """A node's calls under `RULES` with changes."""
    return OutboundCalls(
        OutboundKit(
            database=database,
            keys=keys,
            conversations=Conversations(keys),
            rest=rest,
            rules=Outbound.model_validate(RULES | rules, strict=False),
            node=NodeState(node_id=f"node-{name}", max_calls=10),
            public_url=PUBLIC_URL,
            message=MESSAGE,
            now=clock,
        )
    )


@contextlib.asynccontextmanager
async def dialling(
    twilio: LocalTwilio, database: Database, keys: KeyRing, **rules: Any
) -> AsyncIterator[Node]:
    """A server that Twilio can reach, and its calls."""
    port, clock, echo = free_port(), Clock(), Echo()
    twilio.routes = Routes({PUBLIC_URL: url_of(port)})
    settings = settings_for(
        twilio_api=twilio.api_url,
        twilio_account_sid=twilio.account_sid,
        twilio_auth_token=twilio.auth_token,
    )
    rest = TwilioRest.from_settings(settings)
    assert rest is not None
    calls = calls_of(database, keys, rest, clock, **rules)
    try:
        async with twilio_channel(
            database, keys, run_call=echo, settings=settings, port=port, outbound=calls
        ) as channel:
            yield Node(channel, calls, echo, clock)
    finally:
        await rest.close()


async def order(database: Database, keys: KeyRing, due_at: datetime, **more: Any) -> str:
    """A call that is to be made."""
    values: dict[str, Any] = {
        "key": secrets.token_hex(8),
        "origin": "api",
        "number": CUSTOMER,
        "due_at": due_at,
        "until_at": due_at,
        "purpose": "callback",
        "intent": "person",
        "owner": "general",
    }
    async with database.transaction() as tx:
        return await callbacks.book(tx, keys, **(values | more))
