"""The record of what was done, refused and read. ``facts`` hold nothing personal: ids, counts, codes.

`refusal` and `record` are tier 1: they are written in the transaction of what they record, so
neither exists without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from voicebot.core.store.database import Transaction


async def refusal(
    tx: Transaction, *, what: str, reason: str, facts: dict[str, Any], conversation_id: str | None = None
) -> None:
    """Something was refused: ``what`` (``stream_token``), ``reason`` (``expired``)."""
    await tx.execute(
        "INSERT INTO audit (kind, what, actor, reason, facts, conversation_id)"
        " VALUES ('refusal', %s, 'server', %s, %s, %s)",
        (what, reason, Jsonb(facts), conversation_id),
    )


async def record(
    tx: Transaction,
    *,
    action: str,
    actor: str,
    facts: dict[str, Any],
    conversation_id: str | None = None,
    turn: int | None = None,
    transaction_id: str | None = None,
) -> None:
    """Something was done: ``action`` (``switch.off``) by ``actor`` (``bot``, ``cli``, an agent's id)."""
    await tx.execute(
        "INSERT INTO audit (kind, what, actor, facts, conversation_id, turn, transaction_id)"
        " VALUES ('action', %s, %s, %s, %s, %s, %s)",
        (action, actor, Jsonb(facts), conversation_id, turn, transaction_id),
    )


async def access(
    tx: Transaction,
    *,
    actor: str,
    resource: str,
    purpose: str,
    fields: Sequence[str] = (),
    conversation_id: str | None = None,
    turn: int | None = None,
    discarded: bool = False,
) -> None:
    """Personal data was read.

    Args:
        tx: the transaction.
        actor: who read it (``bot``, an agent's id).
        resource: what was read, without its content (``shop.orders``).
        purpose: why, e.g. the intent.
        fields: names of the fields read.
        conversation_id: for which conversation.
        turn: for which turn.
        discarded: the plan that read it was thrown away.
    """
    await tx.execute(
        "INSERT INTO access_log (actor, resource, fields, purpose, conversation_id, turn, discarded)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (actor, resource, list(fields), purpose, conversation_id, turn, discarded),
    )


async def records(
    tx: Transaction, *, conversation_id: str | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """The newest audit rows first: ``seq, kind, what, actor, reason, facts, conversation_id, turn,
    transaction_id, at``.
    """
    cursor = await tx.execute(
        "SELECT seq, kind, what, actor, reason, facts, conversation_id, turn, transaction_id, at FROM audit"
        " WHERE %(conversation)s::text IS NULL OR conversation_id = %(conversation)s"
        " ORDER BY seq DESC LIMIT %(limit)s",
        {"conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def accesses(tx: Transaction, conversation_id: str) -> list[dict[str, Any]]:
    """What was read for one conversation, oldest first."""
    cursor = await tx.execute(
        "SELECT seq, actor, resource, fields, purpose, turn, discarded, at FROM access_log"
        " WHERE conversation_id = %s ORDER BY seq",
        (conversation_id,),
    )
    return await cursor.fetchall()
