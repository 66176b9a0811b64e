"""Customers as we know them: made, found and linked to conversations by a `VerifiedCustomer` only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from voicebot.core.store import audit
from voicebot.core.store.database import Transaction, known_in
from voicebot.core.store.keys import Cipher, KeyRing
from voicebot.safety.identity import VerifiedCustomer, genuine

_INDEX = "customer"


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of ours and what opens his data."""

    id: str
    subject_id: str
    cipher: Cipher


class Customers:
    """Reads and writes ``customers`` and ``customer_links``; holds nothing but the keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def find(self, tx: Transaction, verified: VerifiedCustomer) -> Customer | None:
        """The customer, None if nothing is kept of him (or nothing can be read any more)."""
        cursor = await tx.execute(
            "SELECT c.id, c.subject_id, s.key_id, s.wrapped_key FROM customers c"
            " JOIN subjects s ON s.id = c.subject_id WHERE c.record_hash = %s",
            (self._hash(verified),),
        )
        return self._opened(await cursor.fetchone())

    async def link(
        self, tx: Transaction, verified: VerifiedCustomer, *, conversation_id: str, turn: int
    ) -> Customer:
        """Says whose conversation it is, in the turn's own transaction. Twice is once.

        A customer seen for the first time, or again after he was erased, gets a new key.
        """
        customer = await self.find(tx, verified) or await self._new(tx, verified)
        cursor = await tx.execute(
            "INSERT INTO customer_links (conversation_id, customer_id, turn, factors) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (conversation_id) DO NOTHING",
            (conversation_id, customer.id, turn, list(verified.method)),
        )
        if cursor.rowcount == 1:
            await audit.record(
                tx,
                action="customer.linked",
                actor="bot",
                facts={"customer": customer.id},
                conversation_id=conversation_id,
                turn=turn,
            )
        return customer

    async def of_conversation(self, tx: Transaction, conversation_id: str) -> str | None:
        """The id of the customer whose conversation it is; None: not verified in it."""
        cursor = await tx.execute(
            "SELECT customer_id FROM customer_links WHERE conversation_id = %s", (conversation_id,)
        )
        row = await cursor.fetchone()
        return None if row is None else row["customer_id"]

    async def conversations(self, tx: Transaction, customer_id: str) -> list[str]:
        """All conversations in which the customer was verified, newest first."""
        cursor = await tx.execute(
            "SELECT conversation_id FROM customer_links WHERE customer_id = %s ORDER BY made_at DESC",
            (customer_id,),
        )
        return [row["conversation_id"] for row in await cursor.fetchall()]

    async def erase(self, tx: Transaction, customer_id: str, *, actor: str) -> int:
        """Makes everything of a customer unreadable: his key, and those of his conversations, go for good.

        Chats that are still open end: nothing could be read or written in them.
        What counts and proves (audit, access log, timings) stays; it holds nothing personal.

        Returns:
            How many conversations were his.

        Raises:
            LookupError: there is no such customer.
        """
        cursor = await tx.execute(
            "UPDATE customers SET record_hash = NULL WHERE id = %s RETURNING subject_id", (customer_id,)
        )
        row = await cursor.fetchone()
        if row is None:
            raise LookupError(f"no customer {customer_id}")
        conversations = await self.conversations(tx, customer_id)
        await tx.execute(
            "UPDATE subjects SET wrapped_key = NULL, erased_at = now() WHERE wrapped_key IS NOT NULL AND"
            " (id = %s OR id IN (SELECT subject_id FROM conversations WHERE id = ANY(%s)))",
            (row["subject_id"], conversations),
        )
        known_in(tx).clear()  # no key of theirs is used from here on
        await tx.execute("DELETE FROM memories WHERE customer_id = %s", (customer_id,))
        await tx.execute(
            "UPDATE conversations SET status = 'ended', ended_at = clock_timestamp(), end_reason = 'erased'"
            " WHERE id = ANY(%s) AND channel = 'chat' AND status <> 'ended'",
            (conversations,),
        )
        await audit.record(
            tx,
            action="customer.erased",
            actor=actor,
            facts={"customer": customer_id, "conversations": len(conversations)},
        )
        return len(conversations)

    async def _new(self, tx: Transaction, verified: VerifiedCustomer) -> Customer:
        record_hash = self._hash(verified)
        # An erased customer who comes back is a new one; the old row keeps nothing that leads to him.
        await tx.execute(
            "UPDATE customers c SET record_hash = NULL FROM subjects s"
            " WHERE s.id = c.subject_id AND s.wrapped_key IS NULL AND c.record_hash = %s",
            (record_hash,),
        )
        customer_id = f"cm_{secrets.token_hex(16)}"
        subject_id = await self._keys.new_subject(tx, "person")
        cipher = await self._keys.cipher(tx, subject_id)
        cursor = await tx.execute(
            "INSERT INTO customers (id, subject_id, record_hash, sealed_record) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (record_hash) DO NOTHING",
            (
                customer_id,
                subject_id,
                record_hash,
                cipher.seal(verified.customer_id.encode(), f"record:{customer_id}"),
            ),
        )
        if cursor.rowcount == 1:
            return Customer(customer_id, subject_id, cipher)
        await tx.execute("DELETE FROM subjects WHERE id = %s", (subject_id,))  # verified elsewhere just now
        found = await self.find(tx, verified)
        assert found is not None  # the only unique column that can clash
        return found

    def _opened(self, row: dict[str, Any] | None) -> Customer | None:
        if row is None or row["wrapped_key"] is None:
            return None
        cipher = self._keys.unwrap(row["subject_id"], row["key_id"], row["wrapped_key"])
        return Customer(row["id"], row["subject_id"], cipher)

    def _hash(self, verified: VerifiedCustomer) -> bytes:
        if not genuine(verified):
            raise TypeError(
                "only a VerifiedCustomer leads to what is kept: see voicebot.safety.identity.Gate"
            )
        return self._keys.index(_INDEX, verified.customer_id)
