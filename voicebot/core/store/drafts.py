"""Words that wait for a person's approval. Sealed; their queue (age, due time) is in the clear."""

from __future__ import annotations

import builtins
import hashlib
from datetime import datetime
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

_COLUMNS = "id, conversation_id, turn, intent, status, due_at, decided_by, decided_at, created_at"


class UnknownDraft(LookupError):
    """There is no such draft."""


def id_of(conversation_id: str, turn: int) -> str:
    """The id of the words that a turn holds back: known before they are stored."""
    return f"dr_{hashlib.sha256(f'draft:{conversation_id}:{turn}'.encode()).hexdigest()[:32]}"


async def save(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    intent: str,
    due_at: datetime,
    words: dict[str, Any],
) -> str:
    """Stores words that wait, once per turn. Returns their id, `id_of`.

    Args:
        tx: the transaction.
        keys: seals them.
        conversation_id: ``cv_...``.
        turn: the turn that would have said them.
        intent: what they answer.
        due_at: a person decides until then, or the conversation goes to one.
        words: ``{"question", "words", "sources"}``.
    """
    draft_id = id_of(conversation_id, turn)
    subject = await (
        await tx.execute("SELECT subject_id FROM conversations WHERE id = %s", (conversation_id,))
    ).fetchone()
    if subject is None:
        raise LookupError(f"no conversation {conversation_id}")
    cipher = await keys.cipher(tx, subject["subject_id"])
    await tx.execute(
        "INSERT INTO drafts (id, conversation_id, turn, intent, due_at, sealed_words)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (draft_id, conversation_id, turn, intent, due_at, cipher.seal_json(words, f"draft:{draft_id}")),
    )
    return draft_id


async def decide(
    tx: Transaction, draft_id: str, *, verdict: Literal["approve", "edit", "reject", "expired"], by: str
) -> bool:
    """Writes what was decided. The first decision stays: False if there was one.

    Raises:
        UnknownDraft: there is none.
    """
    cursor = await tx.execute(
        "UPDATE drafts SET status = %s, decided_by = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND status = 'waiting'",
        (verdict, by, draft_id),
    )
    if cursor.rowcount == 1:
        return True
    if await (await tx.execute("SELECT 1 FROM drafts WHERE id = %s", (draft_id,))).fetchone() is None:
        raise UnknownDraft(f"no draft {draft_id}")
    return False


async def overdue(tx: Transaction, before: datetime, *, limit: int = 50) -> builtins.list[dict[str, Any]]:
    """Drafts that waited in vain since ``before``, the oldest first.

    Returns:
        Dicts of ``id, conversation_id, channel, status`` (the conversation's) and ``erased``.
    """
    cursor = await tx.execute(
        "SELECT d.id, d.conversation_id, c.channel, c.status, s.wrapped_key IS NULL AS erased"
        " FROM drafts d JOIN conversations c ON c.id = d.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id"
        " WHERE d.status = 'waiting' AND d.due_at < %s ORDER BY d.due_at LIMIT %s",
        (before, limit),
    )
    return await cursor.fetchall()


async def list(
    tx: Transaction, *, status: str | None = None, conversation_id: str | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Drafts without their words, those that wait longest first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM drafts WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)"
        " ORDER BY created_at, id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, draft_id: str) -> dict[str, Any]:
    """One draft with its ``words`` opened.

    Raises:
        UnknownDraft: there is none.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, sealed_words, (SELECT subject_id FROM conversations c"  # noqa: S608  # constant
        " WHERE c.id = conversation_id) AS subject_id FROM drafts WHERE id = %s",
        (draft_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownDraft(f"no draft {draft_id}")
    cipher = await keys.cipher(tx, row.pop("subject_id"))
    row["words"] = cipher.open_json(row.pop("sealed_words"), f"draft:{draft_id}")
    return row
