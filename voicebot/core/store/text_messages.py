"""Text messages that an act ordered: queued in its transaction, sent after it, at most once.

A sender claims one before it speaks to the provider, so a node that dies in between leaves it ``sending``:
whether it went out is then not known, and it is not sent again.
"""

from __future__ import annotations

import builtins
import secrets
from dataclasses import dataclass, field
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing


@dataclass(frozen=True)
class TextMessage:
    """One message to be sent. ``to``: E.164."""

    id: str
    conversation_id: str
    to: str = field(repr=False)
    words: str = field(repr=False)


async def order(
    tx: Transaction, keys: KeyRing, *, conversation_id: str, key: str, to: str, words: str
) -> str:
    """Queues a message; the same key again gives the first one's id (``tm_`` and 32 hex digits).

    Raises:
        LookupError: there is no such conversation.
    """
    cipher = await keys.cipher_of(tx, conversation_id)
    await tx.execute(
        "INSERT INTO text_messages (id, key, conversation_id, sealed) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (key) DO NOTHING",
        (
            f"tm_{secrets.token_hex(16)}",
            key,
            conversation_id,
            cipher.seal_json({"to": to, "words": words}, f"text_message:{key}"),
        ),
    )
    row = await (await tx.execute("SELECT id FROM text_messages WHERE key = %s", (key,))).fetchone()
    assert row is not None
    return row["id"]


async def claim(tx: Transaction, keys: KeyRing, *, limit: int = 10) -> builtins.list[TextMessage]:
    """The oldest queued ones, now ``sending``: whoever claimed them sends them, nobody else will."""
    cursor = await tx.execute(
        "UPDATE text_messages SET status = 'sending', changed_at = clock_timestamp() WHERE id IN ("
        "SELECT id FROM text_messages WHERE status = 'queued' ORDER BY created_at LIMIT %s"
        " FOR UPDATE SKIP LOCKED) RETURNING id, key, conversation_id, sealed",
        (limit,),
    )
    claimed: builtins.list[TextMessage] = []
    for row in await cursor.fetchall():
        cipher = await keys.cipher_of(tx, row["conversation_id"])
        content = cipher.open_json(row["sealed"], f"text_message:{row['key']}")
        claimed.append(TextMessage(row["id"], row["conversation_id"], content["to"], content["words"]))
    return claimed


async def settle(
    tx: Transaction, message: str, *, provider_id: str | None = None, reason: str | None = None
) -> None:
    """What came of a claimed one: ``provider_id`` if it was taken, else ``reason``, nothing personal.

    Its words and number are gone then: it may have held a code.
    """
    await tx.execute(
        "UPDATE text_messages SET status = %s, provider_id = %s, reason = %s, changed_at = clock_timestamp(),"
        " sealed = ''"
        " WHERE id = %s AND status = 'sending'",
        ("sent" if provider_id else "failed", provider_id, reason, message),
    )


async def undelivered(tx: Transaction, message: str, *, provider_id: str, reason: str) -> bool:
    """What was taken did not reach the phone: it counts as failed. False: none such, or it failed before.

    The provider may say so before the sender has noted that it was taken.
    """
    cursor = await tx.execute(
        "UPDATE text_messages SET status = 'failed', provider_id = %(provider)s, reason = %(reason)s,"
        " changed_at = clock_timestamp(), sealed = '' WHERE id = %(id)s AND status IN ('sending', 'sent')"
        " AND coalesce(provider_id, %(provider)s) = %(provider)s",
        {"id": message, "provider": provider_id, "reason": reason},
    )
    return cursor.rowcount == 1


async def of(tx: Transaction, conversation_id: str) -> builtins.list[dict[str, Any]]:
    """Messages of a conversation, oldest first, without number and words."""
    cursor = await tx.execute(
        "SELECT id, key, status, provider_id, reason, created_at, changed_at FROM text_messages"
        " WHERE conversation_id = %s ORDER BY created_at",
        (conversation_id,),
    )
    return await cursor.fetchall()
