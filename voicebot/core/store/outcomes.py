"""Outcomes of conversations: which are due, what is known of one besides its turns, writing it.

An outcome is made of one state of a conversation (its status and version, ``conversations.outcome_of``).
Another state, or a repeat of what it was about, makes it due again; made again it replaces what was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from voicebot.core.store.database import Transaction

_DUE = "status <> 'live' AND outcome_of IS DISTINCT FROM (status || ':' || version::text)"
_OTHERS = (
    "conversations c JOIN LATERAL (SELECT x.id FROM conversations x WHERE x.caller_hash = c.caller_hash"
    " UNION SELECT theirs.conversation_id FROM customer_links mine"
    " JOIN customer_links theirs USING (customer_id) WHERE mine.conversation_id = c.id) same"
    " ON same.id <> c.id"
    " JOIN conversations other ON other.id = same.id"
)
"""``c``, and each ``other`` conversation of the same caller or customer."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A conversation whose outcome is due, locked until the transaction ends."""

    id: str
    channel: str
    status: str
    version: int
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    erased: bool


async def claim(tx: Transaction, *, quiet_s: float) -> Claimed | None:
    """The oldest that is due and that no other node has just now; None: there is none.

    ``quiet_s``: how long it must have ended already, since a hand-over may still follow a hang-up.
    """
    cursor = await tx.execute(
        "SELECT c.id, c.channel, c.status, c.version, c.created_at, c.ended_at, c.end_reason,"  # noqa: S608  # constant
        " (SELECT s.wrapped_key IS NULL FROM subjects s WHERE s.id = c.subject_id) AS erased"
        f" FROM conversations c WHERE {_DUE}"
        " AND (c.ended_at IS NULL OR c.ended_at <= clock_timestamp() - make_interval(secs => %s))"
        " ORDER BY c.created_at LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED",
        (quiet_s,),
    )
    row = await cursor.fetchone()
    return None if row is None else Claimed(**row)


async def again(tx: Transaction, conversation_id: str, within: timedelta) -> dict[str, str]:
    """Intents with which the same caller or customer came again, and the first conversation that shows it."""
    cursor = await tx.execute(
        "SELECT DISTINCT ON (i.intent) i.intent, other.id"  # noqa: S608  # constant
        f" FROM {_OTHERS} AND other.created_at > c.created_at"
        " AND other.created_at <= coalesce(c.ended_at, c.created_at) + %s"
        " JOIN outcome_intents i ON i.conversation_id = other.id"
        " WHERE c.id = %s ORDER BY i.intent, other.created_at",
        (within, conversation_id),
    )
    return {row["intent"]: row["id"] for row in await cursor.fetchall()}


async def people(tx: Transaction, conversation_id: str) -> tuple[int, bool, str | None]:
    """How many handoffs there were, whether somebody came, and the first one's trigger."""
    cursor = await tx.execute(
        "SELECT count(*) AS n, coalesce(bool_or(EXISTS (SELECT 1 FROM handoff_changes x"
        " WHERE x.handoff_id = h.id AND x.what IN ('accepted', 'bridged'))), false) AS reached,"
        " (array_agg(h.trigger ORDER BY h.created_at, h.id))[1] AS trigger"
        " FROM handoffs h WHERE h.conversation_id = %s",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return row["n"], row["reached"], row["trigger"]


async def save(
    tx: Transaction, claimed: Claimed, row: dict[str, Any], intents: Sequence[dict[str, Any]]
) -> None:
    """Writes the outcome in place of an earlier one, and says of what it was made.

    ``row`` and ``intents``: columns of ``outcomes`` and ``outcome_intents``, by name, but for the id.
    """
    await tx.execute("DELETE FROM outcomes WHERE conversation_id = %s", (claimed.id,))
    await _insert(tx, "outcomes", {"conversation_id": claimed.id, **row})
    for one in intents:
        await _insert(tx, "outcome_intents", {"conversation_id": claimed.id, **one})
    await settled(tx, claimed)


async def settled(tx: Transaction, claimed: Claimed) -> None:
    """Says that what is there was made of this state."""
    await tx.execute(
        "UPDATE conversations SET outcome_of = %s WHERE id = %s",
        (f"{claimed.status}:{claimed.version}", claimed.id),
    )


async def known(tx: Transaction, conversation_id: str) -> bool:
    """Whether an outcome is there."""
    cursor = await tx.execute("SELECT 1 FROM outcomes WHERE conversation_id = %s", (conversation_id,))
    return await cursor.fetchone() is not None


async def reopen_earlier(
    tx: Transaction, conversation_id: str, intents: Sequence[str], within: timedelta
) -> int:
    """Makes due again what the same person was told earlier about these intents, if it counts as resolved."""
    cursor = await tx.execute(
        "UPDATE conversations SET outcome_of = NULL WHERE id IN (SELECT other.id"  # noqa: S608  # constant
        f" FROM {_OTHERS} AND other.created_at < c.created_at"
        " AND c.created_at <= coalesce(other.ended_at, other.created_at) + %s"
        " JOIN outcome_intents i ON i.conversation_id = other.id"
        " AND i.intent = ANY(%s) AND i.resolution = 'resolved' WHERE c.id = %s)",
        (within, [*intents], conversation_id),
    )
    return cursor.rowcount


async def of(tx: Transaction, conversation_id: str) -> dict[str, Any] | None:
    """The outcome of a conversation with its ``intents`` and ``csat``; None while there is none."""
    cursor = await tx.execute(
        "SELECT o.*, s.score AS csat FROM outcomes o LEFT JOIN csat s USING (conversation_id)"
        " WHERE o.conversation_id = %s",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    cursor = await tx.execute(
        "SELECT * FROM outcome_intents WHERE conversation_id = %s ORDER BY asked_at, intent",
        (conversation_id,),
    )
    each = [{k: v for k, v in one.items() if k != "conversation_id"} for one in await cursor.fetchall()]
    return {**row, "intents": each}


async def rate(
    tx: Transaction, conversation_id: str, score: int, how: Literal["keys", "voice", "text"], *, turn: int
) -> bool:
    """Keeps how satisfied a caller was, 1 to 5; the first time counts. False: it was known."""
    cursor = await tx.execute(
        "INSERT INTO csat (conversation_id, score, how, turn) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (conversation_id) DO NOTHING",
        (conversation_id, score, how, turn),
    )
    return cursor.rowcount == 1


async def _insert(
    tx: Transaction, table: Literal["outcomes", "outcome_intents"], row: dict[str, Any]
) -> None:
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    await tx.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks})".encode(),  # noqa: S608  # our own names
        (*row.values(),),
    )
