"""A verified caller, a change on its terms, an act: what tests of tools begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from voicebot.core.conversation import Channel, Keys
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.changes import Act, Changes
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.actions.tool import Outcome, ToolContext
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.state import ConversationState, dump
from voicebot.safety.identity import (
    Factor,
    FactorSet,
    Gate,
    GateProgress,
    GateRules,
    IdentityRecord,
    VerifiedCustomer,
)

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""A Friday; the reference shop of the tests is seeded for this day."""
ZONE = ZoneInfo("America/Chicago")


def verified(customer_id: str = "cu_00001", reference: str = "427103", *, level: int = 1) -> VerifiedCustomer:
    """A verified caller, made the only way there is; here number and post code prove any level."""
    factors = ("order_number", "post_code")
    gate = Gate(
        GateRules(
            factors=(Factor(name="order_number", digits=6), Factor(name="post_code", digits=5)),
            sets=(FactorSet(name="all", level=level, factors=factors),),
        )
    )
    progress = gate.hear(GateProgress(), Keys(digits=reference), asked="order_number")
    progress = gate.hear(progress, Keys(digits="94107"), asked="post_code")
    record = IdentityRecord(customer_id=customer_id, values={"post_code": "94107"})
    made = gate.customer(gate.check(progress, [(reference, record)], level))
    assert made is not None
    return made


def reading(records: Connector, now: datetime = NOW) -> ToolContext:
    """What a read may use."""
    return ToolContext(records=records, now=now, zone=ZONE)


async def terms(
    tools: ToolRegistry,
    records: Connector,
    customer: VerifiedCustomer,
    name: str,
    *,
    now: datetime = NOW,
    **arguments: Any,
) -> Prepared | Outcome | None:
    """What a change would do: ready to be made, or why it cannot be."""
    prepared = tools.check(name, arguments)
    _, found = await tools.terms(
        prepared, context=reading(records, now), customer=customer, conversation_id="cv_1"
    )
    return found


def ready(found: Prepared | Outcome | None) -> Prepared:
    """The change, which must be possible."""
    assert isinstance(found, Prepared), found
    return found


class Desk:
    """A conversation, and changes made in it one after the other, each in a transaction."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        changes: Changes,
        conversation_id: str,
        customer: VerifiedCustomer,
    ) -> None:
        self.database = database
        self.keys = keys
        self.changes = changes
        self.conversation_id = conversation_id
        self.customer = customer
        self.turn = 0

    def act(self, key: str | None = None, *, segment: str | None = "standard", now: datetime = NOW) -> Act:
        """The next act of the conversation."""
        self.turn += 1
        return Act(
            key=key or f"{self.conversation_id}:{self.turn}",
            customer=self.customer,
            segment=segment,
            conversation_id=self.conversation_id,
            turn=self.turn,
            now=now,
        )

    async def perform(self, prepared: Prepared, **act: Any) -> dict[str, Any]:
        """Makes a local change; its result with the status."""
        async with self.database.transaction() as tx:
            outcome = await self.changes.perform(tx, prepared, self.act(**act))
        return {"status": outcome.status, **outcome.result}


async def new_conversation(database: Database, keys: KeyRing) -> str:
    """The id of a conversation that has just begun."""
    async with database.transaction() as tx:
        return await Conversations(keys).create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state=dump(ConversationState())
        )


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database, closed afterwards."""
    database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()
