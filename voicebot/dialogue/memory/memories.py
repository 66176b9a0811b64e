"""What is kept of customers: sealed under their own key, for one purpose, until it expires."""

from __future__ import annotations

import json
from typing import Literal

import structlog
from pydantic import ValidationError

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import Cipher, SealBroken
from voicebot.dialogue.memory.contact import Contact
from voicebot.dialogue.memory.customers import Customer

log = structlog.get_logger(__name__)

Kind = Literal["contact", "slot"]
SERVICE = "service"
"""The only purpose that anything is gathered for."""
_CONTACTS = 20
"""Conversations looked back on; more say nothing new."""


class UnreadContact(Exception):  # a verdict, not a fault
    """A contact that another version of the server keeps: leave it to that one."""


async def keep_contact(
    tx: Transaction, customer: Customer, conversation_id: str, contact: Contact, *, days: int
) -> None:
    """What a conversation was about so far; replaces what was kept of it."""
    await _keep(tx, customer, "contact", conversation_id, contact.model_dump(mode="json"), days)


async def contact(tx: Transaction, customer: Customer, conversation_id: str) -> Contact | None:
    """What is kept of one conversation.

    Raises:
        UnreadContact: something is, and this server cannot read it.
    """
    values = await _kept(tx, customer, "contact", only=conversation_id)
    found = _contacts(values)
    if values and not found:
        raise UnreadContact(f"the contact of {conversation_id} was kept by another version of the server")
    return found[0] if found else None


async def earlier_contacts(tx: Transaction, customer: Customer, but: str) -> tuple[Contact, ...]:
    """Earlier conversations, newest first, without the one that is under way (``but``)."""
    return _contacts(await _kept(tx, customer, "contact", but=but))


async def keep_slot(tx: Transaction, customer: Customer, name: str, value: str, *, days: int) -> None:
    """A value the customer gave, so that he need not give it again."""
    await _keep(tx, customer, "slot", name, value, days)


async def slots(tx: Transaction, customer: Customer) -> dict[str, str]:
    """Values the customer gave before, by name."""
    return {name: str(value) for name, value in (await _kept(tx, customer, "slot")).items()}


async def forget(tx: Transaction, customer: Customer) -> None:
    """Deletes what is kept: the customer does not want to be remembered. His conversations stay."""
    await tx.execute("DELETE FROM memories WHERE customer_id = %s", (customer.id,))


async def expire(tx: Transaction) -> int:
    """Deletes what has expired; returns how much that was."""
    return (await tx.execute("DELETE FROM memories WHERE expires_at <= clock_timestamp()")).rowcount


async def _keep(tx: Transaction, customer: Customer, kind: Kind, name: str, value: object, days: int) -> None:
    sealed = _cipher(customer, kind).seal_json(value, _place(customer, kind, name))
    await tx.execute(
        "INSERT INTO memories (customer_id, kind, name, purpose, sealed_value, expires_at)"
        " VALUES (%(customer)s, %(kind)s, %(name)s, %(purpose)s, %(sealed)s,"
        "  clock_timestamp() + make_interval(days => %(days)s))"
        " ON CONFLICT (customer_id, kind, name) DO UPDATE SET sealed_value = excluded.sealed_value,"
        "  changed_at = clock_timestamp(), expires_at = excluded.expires_at",
        {
            "customer": customer.id,
            "kind": kind,
            "name": name,
            "purpose": SERVICE,
            "sealed": sealed,
            "days": days,
        },
    )


async def _kept(
    tx: Transaction, customer: Customer, kind: Kind, *, only: str | None = None, but: str | None = None
) -> dict[str, object]:
    cursor = await tx.execute(
        "SELECT name, sealed_value FROM memories WHERE customer_id = %(customer)s AND kind = %(kind)s"
        " AND purpose = %(purpose)s AND expires_at > clock_timestamp()"
        " AND (%(only)s::text IS NULL OR name = %(only)s) AND name IS DISTINCT FROM %(but)s::text"
        " ORDER BY changed_at DESC, name LIMIT %(limit)s",
        {
            "customer": customer.id,
            "kind": kind,
            "purpose": SERVICE,
            "only": only,
            "but": but,
            "limit": _CONTACTS,
        },
    )
    return {
        row["name"]: _opened(customer, kind, row["name"], row["sealed_value"])
        for row in await cursor.fetchall()
    }


def _contacts(values: dict[str, object]) -> tuple[Contact, ...]:
    """Those this server understands; what another version wrote is left alone."""
    found: list[Contact] = []
    for conversation_id, value in values.items():
        try:
            found.append(Contact.model_validate_json(json.dumps(value)))
        except ValidationError:
            log.warning("memory.contact_of_another_version", conversation=conversation_id)
    return tuple(found)


def _cipher(customer: Customer, kind: Kind) -> Cipher:
    """What a customer gave of himself lies under the key of his vault, what it was about under his own."""
    return Cipher(customer.cipher.derive("vault"), customer.id) if kind == "slot" else customer.cipher


def _opened(customer: Customer, kind: Kind, name: str, sealed: bytes) -> object:
    at = _at(customer, kind, name)
    try:
        return _cipher(customer, kind).open_json(sealed, _place(customer, kind, name))
    except SealBroken:  # kept before slots had a vault; anything else is broken under this key too
        return customer.cipher.open_json(sealed, at)


def _place(customer: Customer, kind: Kind, name: str) -> str:
    at = _at(customer, kind, name)
    return f"vault:{at}" if kind == "slot" else at


def _at(customer: Customer, kind: Kind, name: str) -> str:
    return f"memory:{customer.id}:{kind}:{name}"
