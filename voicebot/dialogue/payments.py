"""What becomes of a payment that a caller agreed to, whoever takes the card.

    await payments.begin(tx, conversation_id, "pay")     # its terms, once: amount and currency from the row
    await payments.settle(payment_id, Told(...))         # the end of it, in one transaction; twice is once
    await payments.charge(payment_id, card)              # our own keypad: through the processor

The end is written with its tier-1 audit row, its event, and, where the records are our own, the booking. On a
remote system of record the booking follows under the payment's id as key; `sweep` repeats it until it is
known, and brings payments to an end that nobody else does. Money that moved and cannot be booked goes to a
person.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Event, Urgency
from voicebot.core.store import audit, follow_ups, outbox
from voicebot.core.store import payments as rows
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.payments import Outcome, Payment, Way
from voicebot.dialogue.connectors.card_processor import CardProcessor, ChargeRefused, ChargeUnknown
from voicebot.dialogue.connectors.connector import Connector, ConnectorError, OutcomeUnknown
from voicebot.dialogue.flow.due import due
from voicebot.safety.cards import Card

log = structlog.get_logger(__name__)

EVERY_S = 5.0
ENDED_S = 300.0
"""A call that is over for so long tells no more what came of its payment."""
CHARGING_S = 60.0
"""The processor has had the card for so long: what came of it is read by its key."""
GIVEN_UP_S = 3600.0
"""What is not known after that stays with a person."""
SERVICE = "service team"
BOOKED = "booked"


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody says came of a payment. ``result``: in their own words, a closed set.

    ``receipt``: confirmation and token, never a card. ``by``: ``twilio``, ``processor``, ``server``.
    """

    outcome: Outcome
    result: str
    by: str
    receipt: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class Payments:
    """One per node; keeps only what the database could not take.

    Args:
        database: ours.
        keys: opens and seals.
        records: where a payment is booked.
        processor: charges cards from our keypad; None: `<Pay>` takes them all.
        poke: called after a commit that put events into the outbox.
        now: the time, aware, where the business is.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        records: Connector,
        processor: CardProcessor | None = None,
        poke: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._keys = keys
        self._records = records
        self._processor = processor
        self._poke = poke
        self._now = now
        self._conversations = Conversations(keys)
        self._unwritten: dict[str, Told] = {}

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def close(self) -> None:
        """Ends the processor's connections."""
        if self._processor is not None:
            await self._processor.close()

    async def begin(self, tx: Transaction, conversation_id: str, way: Way) -> Payment | None:
        """Takes up what was agreed to, once. None: there is nothing to take up."""
        found = await rows.begin(tx, conversation_id, way)
        if found is None:
            return None
        payment = await rows.get(tx, self._keys, found)
        snapshot = await self._conversations.load(tx, conversation_id)
        await self._tell(tx, snapshot, payment, "payment.taking", "server", {})
        return payment

    async def taking(self, conversation_id: str, way: Way) -> str | None:
        """`begin` in a transaction of its own: the payment's id.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            payment = await self.begin(tx, conversation_id, way)
        self._poke()
        return None if payment is None else payment.id

    @property
    def today(self) -> date:
        """The day it is where the business is."""
        return self._now().date()

    async def get(self, payment_id: str) -> Payment:
        """One payment as it stands.

        Raises:
            UnknownPayment: there is none.
        """
        async with self._database.transaction() as tx:
            return await rows.get(tx, self._keys, payment_id)

    async def processing(self, payment_id: str) -> None:
        """The processor has the card now. Late or twice: nothing."""
        async with self._database.transaction() as tx:
            await rows.charging(tx, payment_id)

    async def settle(self, payment_id: str, told: Told) -> Payment:
        """Writes the end of a payment; the first one stays, see `rows.becomes`. Returns it as it stands.

        Raises:
            UnknownPayment: there is none.
            DatabaseDown: not written; it is kept in memory and written as soon as that goes (`sweep`).
        """
        try:
            async with self._database.transaction() as tx:
                payment = await self.settle_in(tx, payment_id, told)
        except DatabaseDown:
            self.keep(payment_id, told)
            raise
        self._poke()
        if payment.status == "paid" and not payment.booked and not self._records.local:
            await self._book_remote(payment)
        return payment

    def keep(self, payment_id: str, told: Told) -> None:
        """What the database could not take is written by `sweep`, once it can."""
        before = self._unwritten.get(payment_id)
        if before is None or told.outcome == "paid":
            self._unwritten[payment_id] = told
        log.error("payment.not_written_yet", payment=payment_id, outcome=told.outcome)

    async def settle_in(self, tx: Transaction, payment_id: str, told: Told) -> Payment:
        """`settle` as part of another transaction: with audit, event and, in our own records, the booking."""
        conversation_id = (await rows.get(tx, self._keys, payment_id)).conversation_id
        snapshot = await self._conversations.load(
            tx, conversation_id, lock=True
        )  # before it, as a commit does
        payment = await rows.get(tx, self._keys, payment_id, lock=True)
        before = payment.status
        if told.outcome == "left" and before == "charging":
            told = replace(told, outcome="unknown")  # who hangs up now does not stop the processor
        if not await rows.settle(
            tx, self._keys, payment, told.outcome, result=told.result, receipt=told.receipt
        ):
            if before != told.outcome:
                log.warning("payment.told_otherwise", payment=payment_id, stands=before, told=told.outcome)
            return payment
        payment = await rows.get(tx, self._keys, payment_id)
        facts = {"result": told.result[:64], "before": before}
        await self._tell(tx, snapshot, payment, f"payment.{told.outcome}", told.by, facts)
        metrics.payments.labels(payment.way, told.outcome).inc()
        log.info("payment.settled", payment=payment_id, way=payment.way, outcome=told.outcome, by=told.by)
        if told.outcome == "unknown":
            await self._for_a_person(tx, payment, "nobody told what came of it")
        if told.outcome == "paid":
            if before not in rows.OPEN:
                await self._for_a_person(tx, payment, f"it was told {before} before")
            if self._records.local:
                await self._book(tx, payment, await self._change(self._records.within(tx), payment))
                payment = await rows.get(tx, self._keys, payment_id)
        return payment

    async def charge(self, payment_id: str, card: Card) -> Payment:
        """Has the processor charge a card that was typed in here, and writes what came of it.

        The card is wiped, whatever happens.

        Raises:
            DatabaseDown: before the charge nothing was charged; after it see `settle`.
        """
        try:
            async with self._database.transaction() as tx:
                payment = await rows.get(tx, self._keys, payment_id)
                ours = await rows.charging(tx, payment_id)
            if not ours:
                return await self.get(payment_id)
            if self._processor is None:
                return await self.settle(payment_id, Told("failed", "no-processor", "server"))
            try:
                charged = await self._processor.charge(
                    card, amount=payment.amount, currency=payment.currency, key=payment_id
                )
            finally:
                card.wipe()
            told = _told(charged.outcome, charged.confirmation, charged.reason)
        except ChargeRefused as error:
            told = Told("failed", str(error), "processor")
        except ChargeUnknown as error:
            log.warning("payment.no_answer", payment=payment_id, why=str(error))
            told = await self._recalled(payment_id) or Told("unknown", "no-answer", "server")
        finally:
            card.wipe()
        return await self.settle(payment_id, told)

    async def sweep(self) -> None:
        """One look at everything that was left.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        for payment_id, told in list(self._unwritten.items()):
            try:
                await self.settle(payment_id, told)
            except rows.UnknownPayment:
                log.error("payment.unknown", payment=payment_id[:40], outcome=told.outcome)
            self._unwritten.pop(payment_id, None)
        async with self._database.transaction() as tx:
            stale = await rows.stale(tx, quiet_s=CHARGING_S, ended_s=ENDED_S)
            unbooked = await rows.unbooked(tx)
        for payment_id in stale:
            await self._end(await self.get(payment_id))
        for payment_id in unbooked:
            payment = await self.get(payment_id)
            if not self._records.local:
                await self._book_remote(payment)

    async def _end(self, payment: Payment) -> None:
        """A payment that nobody brings to an end any more."""
        told = Told("left", "call-over", "server")
        if payment.status == "charging" and payment.way == "keypad":
            told = await self._recalled(payment.id) or Told("unknown", "no-answer", "server")
        elif payment.way == "pay" and payment.status != "agreed":
            told = Told("unknown", "no-callback", "server")
        await self.settle(payment.id, told)

    async def _recalled(self, payment_id: str) -> Told | None:
        """What the processor says came of a charge; None: it does not say."""
        if self._processor is None:
            return None
        try:
            charged = await self._processor.outcome_of(payment_id)
        except ChargeUnknown as error:
            log.warning("payment.not_recalled", payment=payment_id, why=str(error))
            return None
        return _told(charged.outcome, charged.confirmation, charged.reason)

    # --- the records ------------------------------------------------------------------

    async def _change(self, records: Connector, payment: Payment) -> str:
        """Books it; the records' own word for what came of it."""
        found = await records.change(
            payment.details["book"],
            **payment.details["parameters"],
            payment=payment.id,
            amount_cents=payment.amount_cents,
            currency=payment.currency,
            confirmation=payment.receipt.get("confirmation", ""),
            today=self._now().date(),
        )
        return str(found[0]["outcome"]) if found else "not_found"

    async def _book(self, tx: Transaction, payment: Payment, outcome: str) -> None:
        await rows.booked(tx, payment.id)
        if outcome != BOOKED:
            log.error("payment.not_booked", payment=payment.id, outcome=outcome)
            await self._for_a_person(tx, payment, f"paid, and the records say {outcome}")

    async def _book_remote(self, payment: Payment) -> None:
        try:
            outcome = await self._change(self._records.keyed(payment.id), payment)
        except (OutcomeUnknown, ConnectorError) as error:
            log.warning("payment.booking_later", payment=payment.id, why=type(error).__name__)
            return
        async with self._database.transaction() as tx:
            await self._book(tx, payment, outcome)
        self._poke()

    # --- others -----------------------------------------------------------------------

    async def _for_a_person(self, tx: Transaction, payment: Payment, why: str) -> None:
        await follow_ups.save(
            tx,
            self._keys,
            conversation_id=payment.conversation_id,
            turn=payment.turn,
            kind="request",
            intent="payment",
            owner=SERVICE,
            urgency=Urgency.HIGH.value,
            due_at=due(self._now(), Urgency.HIGH),
            details={"payment": payment.id, "why": why, "amount": payment.amount},
        )

    async def _tell(
        self, tx: Transaction, snapshot: Snapshot, payment: Payment, kind: str, by: str, more: dict[str, Any]
    ) -> None:
        """Event and tier-1 audit of a step."""
        facts = {
            "payment": payment.id,
            "way": payment.way,
            "amount_cents": payment.amount_cents,
            "currency": payment.currency,
            **more,
        }
        await audit.record(
            tx, action=kind, actor=by, facts=facts, conversation_id=payment.conversation_id, turn=payment.turn
        )
        event = Event(
            id=f"ev_{secrets.token_hex(16)}",
            type=kind,
            conversation_id=payment.conversation_id,
            turn=payment.turn,
            time=self._now().astimezone(UTC),
            data=facts,
        )
        await outbox.append(tx, self._keys, snapshot.subject_id, event)


def _told(outcome: str, confirmation: str, reason: str) -> Told:
    match outcome:
        case "approved":
            return Told("paid", "approved", "processor", {"confirmation": confirmation})
        case "declined":
            return Told("declined", reason or "declined", "processor")
        case _:
            return Told("failed", "never-charged", "processor")
