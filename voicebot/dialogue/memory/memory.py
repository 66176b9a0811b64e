"""Memory as the dialogue uses it: what is known of a verified caller, and what is kept of this turn.

    known = await memory.known(verified, intent=..., region=..., actor=..., conversation_id=..., turn=...)
    await memory.note(tx, verified, snapshot=..., turn=..., decision=..., remembers=known.remembers)

The first is for a plan (reads, each of them logged), the second for the commit of the same turn and of
every later one of a verified caller.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from voicebot.core.conversation import Decision
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.memory import memories
from voicebot.dialogue.memory.broker import Asks, FeatureBroker, Granted
from voicebot.dialogue.memory.clearances import Clearances
from voicebot.dialogue.memory.contact import Contact, contact_of
from voicebot.dialogue.memory.customers import Customer, Customers
from voicebot.dialogue.memory.features import Feature, Purpose, Role
from voicebot.dialogue.memory.insight import LastContact, Mood, RepeatContact, UnresolvedTopic
from voicebot.dialogue.memory.memories import UnreadContact
from voicebot.dialogue.memory.profile import OpenOrder
from voicebot.dialogue.memory.recall import Recall, recall
from voicebot.safety.identity import VerifiedCustomer

log = structlog.get_logger(__name__)

SWEEP_S = 3600.0

_ASKS = {
    Purpose.ANSWER: (
        Feature.PREFERRED_NAME,
        Feature.LANGUAGE,
        Feature.OPEN_ORDERS,
        Feature.KNOWN_SLOTS,
    ),
    Purpose.ROUTE: (Feature.SEGMENT, Feature.REGION, Feature.REPEAT_CONTACT, Feature.LAST_MOOD),
    Purpose.RECALL: (Feature.LAST_CONTACT, Feature.UNRESOLVED_TOPICS),
}


@dataclass(frozen=True)
class Known:
    """What a plan may use of a verified caller. What was not cleared or is not known is empty.

    ``remembers``: whether he wants to be remembered, None when the system of record could not say;
    ``logged``: rows that the commit marks as used.
    """

    preferred_name: str | None = field(default=None, repr=False)
    language: str | None = None
    region: str | None = None
    segment: str | None = None
    open_orders: tuple[OpenOrder, ...] = field(default=(), repr=False)
    slots: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    repeat: RepeatContact | None = None
    mood: Mood | None = None
    last: LastContact | None = None
    unresolved: tuple[UnresolvedTopic, ...] = ()
    remembers: bool | None = None
    logged: int = 0

    @classmethod
    def of(cls, granted: Granted) -> Known:
        """From what the broker handed out."""
        value = granted.values.get
        return cls(
            preferred_name=value(Feature.PREFERRED_NAME),
            language=value(Feature.LANGUAGE),
            region=value(Feature.REGION),
            segment=value(Feature.SEGMENT),
            open_orders=value(Feature.OPEN_ORDERS) or (),
            slots=value(Feature.KNOWN_SLOTS) or {},
            repeat=value(Feature.REPEAT_CONTACT),
            mood=value(Feature.LAST_MOOD),
            last=value(Feature.LAST_CONTACT),
            unresolved=value(Feature.UNRESOLVED_TOPICS) or (),
            remembers=None if granted.consents is None else granted.consents.memory,
            logged=granted.logged,
        )


class Memory:
    """One per node; shared by all conversations.

    Args:
        database: ours.
        keys: opens and seals what is kept.
        connector: the system of record.
        clearances: who may be told what.
        is_topic: whether an intent is a question of its own (`IntentCatalog.is_content`).
        means: how an intent is named to a caller (`IntentCatalog.means`).
        now: the time, aware.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        connector: Connector,
        clearances: Clearances,
        *,
        is_topic: Callable[[str], bool],
        means: Callable[[str], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._database = database
        self._clearances = clearances
        self._is_topic = is_topic
        self._means = means
        self._conversations = Conversations(keys)
        self.customers = Customers(keys)
        self.broker = FeatureBroker(database, keys, connector, clearances, now=now)

    async def known(
        self,
        verified: VerifiedCustomer,
        *,
        intent: str,
        region: str | None,
        actor: str,
        conversation_id: str,
        turn: int,
        layers: Collection[str] | None = None,
    ) -> Known:
        """What a plan may use for this intent. Reads only; each read is logged as discarded.

        ``region``: None: as the customer's profile has it, should a clearance depend on it. ``layers``:
        `Ruling.clearances` of the turn, None where no ruling was made.

        Raises:
            DatabaseDown: our own database does not answer.
        """
        at, logged = (conversation_id, turn), 0
        if region is None and self._clearances.regional:
            home = await self._fetch(
                {Purpose.ROUTE: (Feature.REGION,)}, verified, intent, None, actor, at, layers
            )
            region, logged = home.values.get(Feature.REGION), home.logged
        granted = await self._fetch(_ASKS, verified, intent, region, actor, at, layers)
        return replace(Known.of(granted), logged=granted.logged + logged)

    async def _fetch(
        self,
        asks: Asks,
        verified: VerifiedCustomer,
        intent: str,
        region: str | None,
        actor: str,
        at: tuple[str, int],
        layers: Collection[str] | None,
    ) -> Granted:
        """What is cleared of ``asks``; the rest is not even asked for."""
        asks = self.broker.cleared(asks, intent=intent, role=Role.BOT, region=region, layers=layers)
        return await self.broker.fetch(
            verified,
            asks,
            intent=intent,
            role=Role.BOT,
            region=region,
            actor=actor,
            conversation_id=at[0],
            turn=at[1],
            layers=layers,
        )

    def recall(
        self, known: Known, *, intent: str | None, told: tuple[str, ...], now: datetime
    ) -> Recall | None:
        """What to say about the last conversation, if anything. Pure; see `recall.recall`."""
        return recall(
            known.last,
            known.unresolved,
            intent=intent,
            now=now,
            means=self._means,
            never=self._clearances.never_recalled,
            told=told,
        )

    async def note(
        self,
        tx: Transaction,
        verified: VerifiedCustomer,
        *,
        snapshot: Snapshot,
        turn: int,
        decision: Decision,
        remembers: bool | None = None,
        slots: Mapping[str, str] | None = None,
        offered: Sequence[str] = (),
    ) -> None:
        """In the commit, after the turn was saved: whose conversation it is, and what it was about so far.

        Args:
            tx: the turn's transaction.
            verified: the caller.
            snapshot: the conversation.
            turn: number of the turn.
            decision: what was decided.
            remembers: as `Known.remembers`; None on turns that did not ask. Without consent nothing is
                kept, and what was kept before is deleted.
            slots: values given in this turn; kept are those that the clearances name.
            offered: intents left open in an earlier conversation that this turn offered to go on with.
        """
        customer = await self.customers.link(tx, verified, conversation_id=snapshot.id, turn=turn)
        if not await self._may_remember(tx, customer, remembers):
            return
        days = self._clearances.keep_days
        try:
            contact = await self._contact(tx, customer, snapshot, decision, offered)
        except UnreadContact:
            log.warning("memory.contact_left_alone", conversation=snapshot.id)
        else:
            await memories.keep_contact(tx, customer, snapshot.id, contact, days=days.contact)
        for name, value in (slots or {}).items():
            if name in self._clearances.remembered_slots:
                await memories.keep_slot(tx, customer, name, value, days=days.slot)

    async def _contact(
        self,
        tx: Transaction,
        customer: Customer,
        snapshot: Snapshot,
        decision: Decision,
        offered: Sequence[str],
    ) -> Contact:
        """What the conversation was about, this turn included.

        Raises:
            UnreadContact: another version of the server keeps it.
        """
        at = self._now().astimezone(UTC)
        contact = await memories.contact(tx, customer, snapshot.id)
        if contact is None:
            contact = contact_of(
                await self._decisions(tx, snapshot.id),
                snapshot.channel,
                is_topic=self._is_topic,
                began_at=snapshot.created_at,
            )
        else:
            contact = contact.after(decision, at, is_topic=self._is_topic(decision.intent))
        return contact.offering(offered, at)

    async def sweep(self) -> None:
        """Deletes what has expired, once an hour; runs until cancelled."""
        while True:
            async with self._database.transaction() as tx:
                deleted = await memories.expire(tx)
            if deleted:
                log.info("memory.expired", memories=deleted)
            await asyncio.sleep(SWEEP_S)

    async def _may_remember(self, tx: Transaction, customer: Customer, remembers: bool | None) -> bool:
        if remembers is not None:
            await tx.execute(
                "UPDATE customers SET remembers = %s WHERE id = %s AND remembers IS DISTINCT FROM %s",
                (remembers, customer.id, remembers),
            )
            if not remembers:
                await memories.forget(tx, customer)
            return remembers
        row = await (
            await tx.execute("SELECT remembers FROM customers WHERE id = %s", (customer.id,))
        ).fetchone()
        return row is not None and row["remembers"] is True

    async def _decisions(self, tx: Transaction, conversation_id: str) -> list[tuple[Decision, datetime]]:
        """All turns so far: what was said before he was verified belongs to the same conversation."""
        return [
            (Decision.model_validate_json(json.dumps(row["decision"])), row["created_at"])
            for row in await self._conversations.turns(tx, conversation_id)
        ]
