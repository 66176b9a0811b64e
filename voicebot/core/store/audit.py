"""The record of what was done, refused and read. ``facts`` hold nothing personal: ids, counts, codes.

`refusal` and `record` are tier 1: they are written in the transaction of what they record, so
neither exists without the other, and linked into the hash chain as it commits. `access` and
`used` are tier 2: they go into an outbox with the transaction and are chained by a relay
(`voicebot.core.store.later`), so that a call never waits for it and nothing is lost. Rows never
change. `docs/audit.md` tells the whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

from psycopg.types.json import Jsonb

from voicebot.core.store.chain.form import ACTIONS, shard_of
from voicebot.core.store.database import Due, Transaction, due_at_commit


async def refusal(
    tx: Transaction, *, what: str, reason: str, facts: dict[str, Any], conversation_id: str | None = None
) -> None:
    """Something was refused: ``what`` (``stream_token``), ``reason`` (``expired``)."""
    cursor = await tx.execute(
        "INSERT INTO audit (kind, what, actor, reason, facts, conversation_id)"
        " VALUES ('refusal', %s, 'server', %s, %s, %s) RETURNING seq",
        (what, reason, Jsonb(facts), conversation_id),
    )
    _due(tx, await cursor.fetchone(), conversation_id)


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
    cursor = await tx.execute(
        "INSERT INTO audit (kind, what, actor, facts, conversation_id, turn, transaction_id)"
        " VALUES ('action', %s, %s, %s, %s, %s, %s) RETURNING seq",
        (action, actor, Jsonb(facts), conversation_id, turn, transaction_id),
    )
    _due(tx, await cursor.fetchone(), conversation_id)


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
        discarded: the plan that read it is thrown away, unless `used` says otherwise.
    """
    await later(
        tx,
        entry="read",
        actor=actor,
        resource=resource,
        purpose=purpose,
        fields=fields,
        conversation_id=conversation_id,
        turn=turn,
        discarded=discarded,
    )


async def used(tx: Transaction, *, conversation_id: str, turn: int, actor: str) -> None:
    """In a commit: what ``actor`` read for the plan of this turn was not thrown away."""
    await later(
        tx,
        entry="used",
        actor=actor,
        resource="plan",
        purpose="committed",
        conversation_id=conversation_id,
        turn=turn,
    )


async def later(
    tx: Transaction,
    *,
    entry: Literal["read", "used"],
    actor: str,
    resource: str,
    purpose: str,
    fields: Sequence[str] = (),
    conversation_id: str | None = None,
    turn: int | None = None,
    discarded: bool = False,
    id: str | None = None,
) -> None:
    """Tier 2: written with ``tx``, chained soon after its commit. The same ``id`` (``ev_`` and 32 hex
    digits) again changes nothing, neither here nor once it is chained.
    """
    await tx.execute(
        "INSERT INTO audit_outbox"
        " (id, entry, actor, resource, fields, purpose, conversation_id, turn, discarded)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (
            id or f"ev_{secrets.token_hex(16)}",
            entry,
            actor,
            resource,
            list(fields),
            purpose,
            conversation_id,
            turn,
            discarded,
        ),
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
    """What was read for one conversation, oldest first; ``seq`` is None until it is chained."""
    cursor = await tx.execute(
        "WITH entries AS ("
        "  SELECT seq, entry, actor, resource, fields, purpose, turn, discarded, at FROM access_log"
        "   WHERE conversation_id = %(conversation)s UNION ALL"
        "  SELECT NULL, entry, actor, resource, fields, purpose, turn, discarded, at FROM audit_outbox"
        "   WHERE conversation_id = %(conversation)s)"
        " SELECT seq, actor, resource, fields, purpose, turn, discarded AND NOT EXISTS"
        "  (SELECT 1 FROM entries u WHERE u.entry = 'used' AND u.turn = r.turn AND u.actor = r.actor)"
        "  AS discarded, at"
        " FROM entries r WHERE entry = 'read' ORDER BY at, seq",
        {"conversation": conversation_id},
    )
    return await cursor.fetchall()


def _due(tx: Transaction, row: dict[str, Any] | None, conversation_id: str | None) -> None:
    assert row is not None  # an INSERT with RETURNING
    due_at_commit(tx).append(Due(ACTIONS, row["seq"], shard_of(ACTIONS, conversation_id)))
