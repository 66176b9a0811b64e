"""What agents tell the bot of a live conversation: kept until a turn takes it up, once. Text is sealed.

A whisper that no turn has taken up in `LASTS_S` means nothing any more.
"""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from voicebot.core.conversation import WhisperKind
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.vault import vault_cipher

LASTS_S = 600.0
MOST_WAITING = 5
"""So many of a conversation may wait: more is a conversation that somebody else should lead."""

_COLUMNS = (
    "w.id, w.conversation_id, w.kind, w.intent, w.who, w.taken_turn, w.created_at, w.changed_at,"
    " CASE WHEN w.status = 'waiting' AND (c.status <> 'live' OR w.until_at <= clock_timestamp())"
    " THEN 'dropped' ELSE w.status END AS status"
)
_DUE = "w.status = 'waiting' AND w.until_at > clock_timestamp() AND c.status = 'live'"


class NotLive(Exception):  # a verdict
    """The conversation has no bot to whisper to. ``status``: ``handoff`` or ``ended``."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class TooMany(Exception):  # a verdict
    """`MOST_WAITING` wait already."""


@dataclass(frozen=True, slots=True)
class Whisper:
    """One that waits to be taken up."""

    id: str
    conversation_id: str
    kind: WhisperKind
    who: str
    intent: str | None
    text: str | None = field(repr=False)


async def give(
    tx: Transaction,
    keys: KeyRing,
    conversation_id: str,
    *,
    kind: WhisperKind,
    who: str,
    intent: str | None = None,
    text: str | None = None,
) -> str:
    """Stores one for a live conversation, whose row is held meanwhile. Returns ``wh_...``.

    Raises:
        LookupError: there is no such conversation.
        NotLive: a person has it, or it is over.
        TooMany: enough wait already.
        SubjectErased: what was said there was erased.
    """
    cursor = await tx.execute(
        "SELECT subject_id, status FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conversation_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"no conversation {conversation_id}")
    if row["status"] != "live":
        raise NotLive(row["status"])
    cursor = await tx.execute(
        "SELECT count(*) AS n FROM whispers WHERE conversation_id = %s AND status = 'waiting'"
        " AND until_at > clock_timestamp()",
        (conversation_id,),
    )
    waiting = await cursor.fetchone()
    if waiting is not None and waiting["n"] >= MOST_WAITING:
        raise TooMany
    whisper_id = f"wh_{secrets.token_hex(16)}"
    cipher = vault_cipher(await keys.cipher(tx, row["subject_id"]))
    await tx.execute(
        "INSERT INTO whispers (id, conversation_id, kind, intent, who, sealed_text, until_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))",
        (
            whisper_id,
            conversation_id,
            kind,
            intent,
            who,
            None if text is None else cipher.seal(text.encode(), f"whisper:{whisper_id}"),
            LASTS_S,
        ),
    )
    return whisper_id


async def take(tx: Transaction, whisper_id: str, *, turn: int) -> bool:
    """A turn takes it up, once. False: it was taken up or dropped before."""
    cursor = await tx.execute(
        "UPDATE whispers SET status = 'taken', taken_turn = %s, changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'waiting'",
        (turn, whisper_id),
    )
    return cursor.rowcount == 1


async def waits(tx: Transaction, whisper_id: str) -> bool:
    """Whether it is still to be taken up."""
    cursor = await tx.execute("SELECT 1 FROM whispers WHERE id = %s AND status = 'waiting'", (whisper_id,))
    return await cursor.fetchone() is not None


async def waiting(
    tx: Transaction, keys: KeyRing, conversation_ids: Collection[str]
) -> builtins.list[Whisper]:
    """What these live conversations have to take up, in the order it was given."""
    if not conversation_ids:
        return []
    cursor = await tx.execute(
        "SELECT w.*, c.subject_id FROM whispers w JOIN conversations c ON c.id = w.conversation_id"  # noqa: S608  # constant
        " JOIN subjects s ON s.id = c.subject_id AND s.wrapped_key IS NOT NULL"
        f" WHERE w.conversation_id = ANY(%s) AND {_DUE} ORDER BY w.created_at, w.id",
        (builtins.list(conversation_ids),),
    )
    found: builtins.list[Whisper] = []
    for row in await cursor.fetchall():
        text = await _opened(tx, keys, row)
        found.append(Whisper(row["id"], row["conversation_id"], row["kind"], row["who"], row["intent"], text))
    return found


async def unattended(
    tx: Transaction, mine: Collection[str], *, older_s: float, again_s: float
) -> builtins.list[str]:
    """Live chats that have something to take up, each claimed for ``again_s``; as `drafts.unattended`."""
    cursor = await tx.execute(
        "UPDATE whispers SET offered_at = clock_timestamp() WHERE id IN (SELECT w.id FROM whispers w"  # noqa: S608  # constant
        f" JOIN conversations c ON c.id = w.conversation_id WHERE {_DUE} AND c.channel = 'chat'"
        " AND (c.id = ANY(%s) OR w.created_at < clock_timestamp() - make_interval(secs => %s))"
        " AND (w.offered_at IS NULL OR w.offered_at < clock_timestamp() - make_interval(secs => %s))"
        " FOR UPDATE OF w SKIP LOCKED) RETURNING conversation_id",
        (builtins.list(mine), older_s, again_s),
    )
    return [row["conversation_id"] for row in await cursor.fetchall()]


async def of(tx: Transaction, keys: KeyRing, conversation_id: str) -> builtins.list[dict[str, Any]]:
    """A conversation's whispers, the newest first, with their ``text``.

    Raises:
        SubjectErased: what was said there was erased.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, w.sealed_text, c.subject_id FROM whispers w"  # noqa: S608  # constant
        " JOIN conversations c ON c.id = w.conversation_id"
        " WHERE w.conversation_id = %s ORDER BY w.created_at DESC, w.id LIMIT 50",
        (conversation_id,),
    )
    rows = await cursor.fetchall()
    for row in rows:
        row["text"] = await _opened(tx, keys, row)
        del row["sealed_text"], row["subject_id"]
    return rows


async def _opened(tx: Transaction, keys: KeyRing, row: dict[str, Any]) -> str | None:
    if row["sealed_text"] is None:
        return None
    cipher = vault_cipher(await keys.cipher(tx, row["subject_id"]))
    return cipher.open(row["sealed_text"], f"whisper:{row['id']}").decode()
