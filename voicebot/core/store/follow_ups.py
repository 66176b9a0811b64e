"""Promises to callers: who does what by when. Details are sealed; what the queue needs is in the clear."""

from __future__ import annotations

import builtins
import secrets
from datetime import datetime
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import Cipher, KeyRing

_COLUMNS = "id, conversation_id, turn, kind, intent, owner, urgency, due_at, status, created_at, changed_at"

Kind = Literal["callback", "request", "message"]
"""``callback``: somebody phones the caller. ``request``: something is done, and the caller told. ``message``:
the caller left one, which somebody listens to."""


class UnknownFollowUp(LookupError):
    """There is no such promise."""


async def save(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    kind: Kind,
    intent: str,
    owner: str,
    urgency: str,
    due_at: datetime,
    details: dict[str, Any],
    origin: str = "",
) -> str:
    """Stores a promise; once per turn: twice gives the first one's id.

    ``origin``: what it was put down from, if not from the bot's turn; then once per turn and origin.

    Returns:
        ``fu_`` and 32 hex digits.
    """
    cipher = await keys.cipher_of(tx, conversation_id)
    cursor = await tx.execute(
        "INSERT INTO follow_ups (id, conversation_id, turn, origin, kind, intent, owner, urgency, due_at,"
        " sealed_details) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (conversation_id, turn, origin) DO NOTHING RETURNING id",
        (
            f"fu_{secrets.token_hex(16)}",
            conversation_id,
            turn,
            origin,
            kind,
            intent,
            owner,
            urgency,
            due_at,
            cipher.seal_json(details, f"follow_up:{conversation_id}:{turn}"),
        ),
    )
    row = await cursor.fetchone()
    if row is None:
        query = "SELECT id FROM follow_ups WHERE conversation_id = %s AND turn = %s AND origin = %s"
        row = await (await tx.execute(query, (conversation_id, turn, origin))).fetchone()
        assert row is not None
    return row["id"]


async def list(
    tx: Transaction, *, status: str | None = None, conversation_id: str | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Promises without their details, those due first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM follow_ups WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)"
        " ORDER BY due_at, id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, follow_up_id: str) -> dict[str, Any]:
    """One promise with its ``details`` opened.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, sealed_details, (SELECT subject_id FROM conversations c"  # noqa: S608  # constant
        " WHERE c.id = conversation_id) AS subject_id FROM follow_ups WHERE id = %s",
        (follow_up_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownFollowUp(f"no follow-up {follow_up_id}")
    cipher = await keys.cipher(tx, row.pop("subject_id"))
    sealed = row.pop("sealed_details")
    row["details"] = cipher.open_json(sealed, f"follow_up:{row['conversation_id']}:{row['turn']}")
    if row["kind"] == "message":
        parts = await _parts(tx, cipher, follow_up_id)
        row["details"]["message"] = " ".join(part["words"] for part in parts)
        row["details"]["parts"] = parts
    return row


async def add_part(
    tx: Transaction,
    keys: KeyRing,
    follow_up_id: str,
    *,
    conversation_id: str,
    turn: int,
    part: dict[str, Any],
) -> None:
    """A piece of a message: ``words``, and ``from_ms`` and ``until_ms`` of the recording; once per turn."""
    cipher = await keys.cipher_of(tx, conversation_id)
    await tx.execute(
        "INSERT INTO message_parts (follow_up_id, turn, sealed) VALUES (%s, %s, %s)"
        " ON CONFLICT (follow_up_id, turn) DO NOTHING",
        (follow_up_id, turn, cipher.seal_json(part, f"message_part:{follow_up_id}:{turn}")),
    )


async def _parts(tx: Transaction, cipher: Cipher, follow_up_id: str) -> builtins.list[dict[str, Any]]:
    cursor = await tx.execute(
        "SELECT turn, sealed FROM message_parts WHERE follow_up_id = %s ORDER BY turn", (follow_up_id,)
    )
    return [
        {"turn": row["turn"], **cipher.open_json(row["sealed"], f"message_part:{follow_up_id}:{row['turn']}")}
        for row in await cursor.fetchall()
    ]


async def move(tx: Transaction, follow_up_id: str, due_at: datetime) -> None:
    """Another time was agreed.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "UPDATE follow_ups SET due_at = %s, changed_at = clock_timestamp() WHERE id = %s",
        (due_at, follow_up_id),
    )
    if cursor.rowcount != 1:
        raise UnknownFollowUp(f"no follow-up {follow_up_id}")


async def press(tx: Transaction, follow_up_id: str, due_at: datetime) -> None:
    """It did not come about by itself: somebody has to see to it now. One that is settled stays so."""
    await tx.execute(
        "UPDATE follow_ups SET due_at = least(due_at, %s), urgency = 'high', changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'open'",
        (due_at, follow_up_id),
    )


async def set_status(
    tx: Transaction, follow_up_id: str, status: Literal["open", "done", "cancelled"]
) -> None:
    """Changes the status.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "UPDATE follow_ups SET status = %s, changed_at = clock_timestamp() WHERE id = %s",
        (status, follow_up_id),
    )
    if cursor.rowcount != 1:
        raise UnknownFollowUp(f"no follow-up {follow_up_id}")
