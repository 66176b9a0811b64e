"""Handoffs to a person: what the agent gets, sealed; what the queue needs, in the clear."""

from __future__ import annotations

import builtins
import secrets
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

_COLUMNS = "id, conversation_id, turn, trigger, urgency, status, created_at, changed_at"


class UnknownHandoff(LookupError):
    """There is no such handoff."""


async def save(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    trigger: str,
    urgency: str,
    payload: dict[str, Any],
) -> str:
    """Stores a handoff, status ``waiting``; once per turn: twice gives the first one's id.

    Returns:
        ``ho_`` and 32 hex digits.
    """
    handoff_id = f"ho_{secrets.token_hex(16)}"
    subject = await (
        await tx.execute("SELECT subject_id FROM conversations WHERE id = %s", (conversation_id,))
    ).fetchone()
    if subject is None:
        raise LookupError(f"no conversation {conversation_id}")
    cipher = await keys.cipher(tx, subject["subject_id"])
    cursor = await tx.execute(
        "INSERT INTO handoffs (id, conversation_id, turn, trigger, urgency, sealed_payload)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (conversation_id, turn) DO NOTHING RETURNING id",
        (
            handoff_id,
            conversation_id,
            turn,
            trigger,
            urgency,
            cipher.seal_json(payload, f"handoff:{conversation_id}:{turn}"),
        ),
    )
    if await cursor.fetchone() is not None:
        return handoff_id
    existing = await (
        await tx.execute(
            "SELECT id FROM handoffs WHERE conversation_id = %s AND turn = %s", (conversation_id, turn)
        )
    ).fetchone()
    assert existing is not None
    return existing["id"]


async def list(
    tx: Transaction, *, status: str | None = None, conversation_id: str | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Handoffs without their payload, those that wait longest first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM handoffs WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)"
        " ORDER BY created_at, id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def neglected(tx: Transaction, after_s: float) -> builtins.list[dict[str, Any]]:
    """Critical handoffs of the last day that nobody has picked up for ``after_s`` seconds.

    A call that is being put through is not among them; one that ended without a person is.

    Returns:
        Dicts of ``id, conversation_id, channel, trigger`` and ``waited_s``, those that wait longest first.
    """
    cursor = await tx.execute(
        "SELECT h.id, h.conversation_id, c.channel, h.trigger,"
        " extract(epoch FROM clock_timestamp() - h.created_at)::float8 AS waited_s"
        " FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        " WHERE h.status = 'waiting' AND h.urgency = 'critical'"
        " AND h.created_at < clock_timestamp() - make_interval(secs => %s)"
        " AND h.created_at > clock_timestamp() - interval '1 day'"
        " AND (c.channel = 'chat' OR (c.status = 'ended' AND c.end_reason <> 'person_took_over'))"
        " ORDER BY h.created_at LIMIT 100",
        (after_s,),
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, handoff_id: str) -> dict[str, Any]:
    """One handoff with its ``payload`` opened.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, sealed_payload, (SELECT subject_id FROM conversations c"  # noqa: S608  # constant
        " WHERE c.id = conversation_id) AS subject_id FROM handoffs WHERE id = %s",
        (handoff_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownHandoff(f"no handoff {handoff_id}")
    cipher = await keys.cipher(tx, row.pop("subject_id"))
    sealed = row.pop("sealed_payload")
    row["payload"] = cipher.open_json(sealed, f"handoff:{row['conversation_id']}:{row['turn']}")
    return row


async def set_status(tx: Transaction, handoff_id: str, status: str) -> None:
    """Changes the status.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        "UPDATE handoffs SET status = %s, changed_at = now() WHERE id = %s", (status, handoff_id)
    )
    if cursor.rowcount != 1:
        raise UnknownHandoff(f"no handoff {handoff_id}")
