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
_ONE_AT_A_TIME = 0x6F7574636F6D6573
"""The advisory lock of whoever makes outcomes ("outcomes" in ASCII)."""
_OTHERS = (
    "conversations c JOIN LATERAL (SELECT x.id FROM conversations x WHERE x.caller_hash = c.caller_hash"
    " UNION SELECT theirs.conversation_id FROM customer_links mine"
    " JOIN customer_links theirs USING (customer_id) WHERE mine.conversation_id = c.id) same"
    " ON same.id <> c.id"
    " JOIN conversations other ON other.id = same.id"
)
"""``c``, and each ``other`` conversation of the same caller or customer."""
_LATER = (
    "other.created_at > c.created_at AND other.created_at <= coalesce(c.ended_at, c.created_at) + %(within)s"
)
_EARLIER = (
    "other.created_at < c.created_at"
    " AND c.created_at <= coalesce(other.ended_at, other.created_at) + %(within)s"
)


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


@dataclass(frozen=True, slots=True)
class Kin:
    """The same person's other conversations. A person is a caller's number or a verified customer.

    ``again``: intents with which they came again within the time, and the first conversation that shows it;
    calls that we made do not count. ``before``: intents that they had come with within the time before, and
    the last conversation that shows it. ``told_apart``: whether it is known at all who it is.
    """

    again: dict[str, str]
    before: dict[str, str]
    told_apart: bool


async def take_turn(tx: Transaction) -> bool:
    """Whether this transaction makes outcomes now: one at a time over all nodes, until it ends."""
    cursor = await tx.execute("SELECT pg_try_advisory_xact_lock(%s) AS mine", (_ONE_AT_A_TIME,))
    row = await cursor.fetchone()
    assert row is not None
    return row["mine"]


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


async def kin(tx: Transaction, conversation_id: str, within: timedelta) -> Kin:
    """What the same person asked within this time after the conversation, and before it."""
    cursor = await tx.execute(
        "SELECT DISTINCT ON (i.intent) i.intent, other.id"  # noqa: S608  # constant
        f" FROM {_OTHERS} AND {_LATER} JOIN outcomes o ON o.conversation_id = other.id AND NOT o.ours"
        " JOIN outcome_intents i ON i.conversation_id = other.id"
        " WHERE c.id = %(of)s ORDER BY i.intent, other.created_at",
        {"within": within, "of": conversation_id},
    )
    again = {row["intent"]: row["id"] for row in await cursor.fetchall()}
    cursor = await tx.execute(
        "SELECT DISTINCT ON (i.intent) i.intent, other.id"  # noqa: S608  # constant
        f" FROM {_OTHERS} AND {_EARLIER} JOIN outcome_intents i ON i.conversation_id = other.id"
        " WHERE c.id = %(of)s ORDER BY i.intent, other.created_at DESC",
        {"within": within, "of": conversation_id},
    )
    before = {row["intent"]: row["id"] for row in await cursor.fetchall()}
    cursor = await tx.execute(
        "SELECT caller_hash IS NOT NULL OR EXISTS"
        " (SELECT 1 FROM customer_links l WHERE l.conversation_id = c.id) AS told_apart"
        " FROM conversations c WHERE c.id = %s",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    return Kin(again, before, told_apart=row is not None and row["told_apart"])


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


async def tell_kin(
    tx: Transaction, conversation_id: str, intents: Sequence[str], within: timedelta, *, ours: bool
) -> int:
    """Tells the same person's other conversations that it was about these intents.

    Earlier ones were asked again: what counts as resolved is made due again (how many is returned), of what
    does not it is noted. Later ones are repeats, even those whose outcome was made before. A call that we
    made (``ours``) asks nothing again.
    """
    asked: dict[str, Any] = {"within": within, "of": conversation_id, "intents": [*intents]}
    theirs = " JOIN outcome_intents i ON i.conversation_id = other.id AND i.intent = ANY(%(intents)s)"
    reopened = 0
    if not ours:
        cursor = await tx.execute(
            "UPDATE conversations SET outcome_of = NULL WHERE id IN (SELECT other.id"  # noqa: S608  # constant
            f" FROM {_OTHERS} AND {_EARLIER}{theirs} AND i.resolution = 'resolved' WHERE c.id = %(of)s)",
            asked,
        )
        reopened = cursor.rowcount
        await tx.execute(
            "WITH noted AS (UPDATE outcome_intents SET repeated_by = %(of)s WHERE repeated_by IS NULL"  # noqa: S608  # constant
            " AND intent = ANY(%(intents)s) AND resolution <> 'resolved' AND conversation_id IN"
            f" (SELECT other.id FROM {_OTHERS} AND {_EARLIER} WHERE c.id = %(of)s) RETURNING conversation_id)"
            " UPDATE outcomes o SET asked_again = true FROM noted"
            " WHERE o.conversation_id = noted.conversation_id",
            asked,
        )
    await tx.execute(
        "WITH noted AS (UPDATE outcome_intents SET repeats = %(of)s WHERE repeats IS NULL"  # noqa: S608  # constant
        " AND intent = ANY(%(intents)s) AND conversation_id IN (SELECT other.id"
        f" FROM {_OTHERS} AND {_LATER} JOIN outcomes oo ON oo.conversation_id = other.id AND NOT oo.ours"
        " WHERE c.id = %(of)s) RETURNING conversation_id)"
        " UPDATE outcomes o SET is_repeat = true FROM noted WHERE o.conversation_id = noted.conversation_id",
        asked,
    )
    return reopened


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
