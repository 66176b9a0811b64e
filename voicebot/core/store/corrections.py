"""Corrections that wait for review: what an agent's verdict, note or edit proposes. Content is sealed.

Nothing here changes anything else: what was accepted is a document that a person puts where it belongs.
"""

from __future__ import annotations

import builtins
import secrets
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Kind = Literal["golden_case", "article_change", "training_row"]
Status = Literal["proposed", "accepted", "rejected"]
_COLUMNS = "id, source, kind, conversation_id, turn, proposed_by, status, decided_by, decided_at, created_at"


class UnknownCorrection(LookupError):
    """There is no such correction."""


async def propose(
    tx: Transaction,
    keys: KeyRing,
    *,
    source: str,
    kind: Kind,
    conversation_id: str,
    turn: int | None,
    proposed_by: str,
    content: dict[str, Any],
    replaces: bool = True,
) -> str | None:
    """Stores a proposal in place of an open one of the same ``source``; None: that one was decided already.

    ``replaces``: else an open one stays as it is, which gives None too.

    Returns:
        ``co_`` and 32 hex digits.

    Raises:
        SubjectErased: what it is about was erased.
    """
    if replaces:
        await withdraw(tx, source)
    correction_id = f"co_{secrets.token_hex(16)}"
    cipher = await keys.cipher_of(tx, conversation_id)
    cursor = await tx.execute(
        "INSERT INTO corrections (id, source, kind, conversation_id, turn, proposed_by, sealed)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (source) DO NOTHING",
        (
            correction_id,
            source,
            kind,
            conversation_id,
            turn,
            proposed_by,
            cipher.seal_json(content, f"correction:{correction_id}"),
        ),
    )
    return correction_id if cursor.rowcount == 1 else None


async def withdraw(tx: Transaction, source: str) -> None:
    """Takes back what is still open."""
    await tx.execute("DELETE FROM corrections WHERE source = %s AND status = 'proposed'", (source,))


async def list(
    tx: Transaction, *, status: Status | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Corrections without their content, the oldest first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM corrections WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " ORDER BY created_at, id LIMIT %(limit)s",
        {"status": status, "limit": limit},
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, correction_id: str) -> dict[str, Any]:
    """One with its ``content`` opened.

    Raises:
        UnknownCorrection: there is none.
        SubjectErased: what it is about was erased.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, sealed, (SELECT subject_id FROM conversations c WHERE c.id = conversation_id)"  # noqa: S608  # constant
        " AS subject_id FROM corrections WHERE id = %s",
        (correction_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownCorrection(f"no correction {correction_id}")
    cipher = await keys.cipher(tx, row.pop("subject_id"))
    row["content"] = cipher.open_json(row.pop("sealed"), f"correction:{correction_id}")
    return row


async def decide(
    tx: Transaction, correction_id: str, status: Literal["accepted", "rejected"], *, by: str
) -> bool:
    """The first decision stays: False if there was another one.

    Raises:
        UnknownCorrection: there is none.
    """
    cursor = await tx.execute(
        "UPDATE corrections SET status = %s, decided_by = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND status = 'proposed'",
        (status, by, correction_id),
    )
    if cursor.rowcount == 1:
        return True
    row = await (
        await tx.execute("SELECT status, decided_by FROM corrections WHERE id = %s", (correction_id,))
    ).fetchone()
    if row is None:
        raise UnknownCorrection(f"no correction {correction_id}")
    return (row["status"], row["decided_by"]) == (status, by)


async def edited_drafts(tx: Transaction, *, limit: int = 50) -> builtins.list[dict[str, Any]]:
    """Drafts that a person reworded, nothing proposed yet: ``id, conversation_id, turn, intent, by``."""
    cursor = await tx.execute(
        "SELECT d.id, d.conversation_id, d.turn, d.intent, coalesce(d.decided_by, '') AS by FROM drafts d"
        " JOIN conversations c ON c.id = d.conversation_id JOIN subjects s ON s.id = c.subject_id"
        " WHERE d.status = 'edit' AND s.wrapped_key IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM corrections o WHERE o.source = 'draft:' || d.id)"
        " ORDER BY d.created_at LIMIT %s",
        (limit,),
    )
    return await cursor.fetchall()
