"""Acts, once each: what a turn did besides speaking, under a key, with its outcome.

A local act is intended and settled in the turn's own transaction, so that it stands exactly when
the turn does. One on a remote system is intended there, called with the key, and settled by its
outcome in a transaction of its own; whoever is at work on it has claimed it, for a time, so that
after a crash any node can take it up.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Settled = Literal["done", "refused", "failed", "unknown"]
"""``unknown``: a remote system did not tell, and a person looks; it may become known later."""


class UnknownAct(LookupError):
    """There is no act under this key."""


@dataclass(frozen=True)
class Act:
    """One act as it is stored. ``outcome`` is None while it is only intended."""

    key: str
    conversation_id: str
    turn: int
    act: str
    status: Literal["intended", "done", "refused", "failed", "unknown"]
    arguments: dict[str, Any]
    outcome: dict[str, Any] | None
    proposal: str | None = None
    remote: bool = False


def key_of(conversation_id: str, turn: int, act: str) -> str:
    """The idempotency key: also what a remote system is given."""
    return f"{conversation_id}:{turn}:{act}"


async def intend(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    act: str,
    arguments: dict[str, Any],
    proposal: str | None = None,
    claim_s: float | None = None,
) -> Act:
    """Writes that an act is going to be done; twice gives the first, settled or not.

    Args:
        tx: the turn's transaction.
        keys: seals the arguments.
        conversation_id: ``cv_...``.
        turn: the turn that does it.
        act: its name.
        arguments: plain values.
        proposal: what it was agreed to by; a proposal leads to one act.
        claim_s: it is on a remote system, and the caller of this is at work on it for that long.

    Raises:
        LookupError: there is no such conversation.
    """
    key = key_of(conversation_id, turn, act)
    cipher = await keys.cipher_of(tx, conversation_id)
    await tx.execute(
        "INSERT INTO acts (key, conversation_id, turn, act, status, sealed_arguments, proposal, remote,"
        " claimed_until) VALUES (%s, %s, %s, %s, 'intended', %s, %s, %s,"
        " clock_timestamp() + make_interval(secs => %s)) ON CONFLICT (key) DO NOTHING",
        (
            key,
            conversation_id,
            turn,
            act,
            cipher.seal_json(arguments, f"act:{key}:arguments"),
            proposal,
            claim_s is not None,
            claim_s,
        ),
    )
    return await get(tx, keys, key)


async def settle(
    tx: Transaction, keys: KeyRing, key: str, *, status: Settled, outcome: dict[str, Any]
) -> bool:
    """Writes what came of an act. The first known outcome stays: False if there was one.

    Raises:
        UnknownAct: nobody intended it.
    """
    act = await get(tx, keys, key)
    cipher = await keys.cipher_of(tx, act.conversation_id)
    cursor = await tx.execute(
        "UPDATE acts SET status = %s, sealed_outcome = %s, settled_at = clock_timestamp()"
        " WHERE key = %s AND (status = 'intended' OR (status = 'unknown' AND %s <> 'unknown'))",
        (status, cipher.seal_json(outcome, f"act:{key}:outcome"), key, status),
    )
    return cursor.rowcount == 1


async def claim(tx: Transaction, key: str, *, for_s: float) -> bool:
    """Takes up a remote act on which nobody is at work. False: somebody is, or it is settled."""
    cursor = await tx.execute(
        "UPDATE acts SET claimed_until = clock_timestamp() + make_interval(secs => %s)"
        " WHERE key = %s AND remote AND status IN ('intended', 'unknown')"
        " AND claimed_until <= clock_timestamp()",
        (for_s, key),
    )
    return cursor.rowcount == 1


async def left(tx: Transaction, *, limit: int = 20) -> builtins.list[str]:
    """Keys of remote acts on which nobody is at work, though what came of them is not known; oldest first.

    Those that are unknown for a day are left to the person who looks.
    """
    cursor = await tx.execute(
        "SELECT a.key FROM acts a JOIN conversations c ON c.id = a.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id"
        " WHERE a.remote AND a.status IN ('intended', 'unknown') AND a.claimed_until <= clock_timestamp()"
        " AND s.wrapped_key IS NOT NULL"
        " AND (a.status = 'intended' OR a.created_at > clock_timestamp() - interval '1 day')"
        " ORDER BY a.claimed_until LIMIT %s",
        (limit,),
    )
    return [row["key"] for row in await cursor.fetchall()]


async def get(tx: Transaction, keys: KeyRing, key: str) -> Act:
    """One act.

    Raises:
        UnknownAct: there is none under this key.
    """
    rows = await _rows(tx, keys, "key", key)
    if not rows:
        raise UnknownAct(f"no act {key}")
    return rows[0]


async def of(tx: Transaction, keys: KeyRing, conversation_id: str) -> builtins.list[Act]:
    """All acts of a conversation, oldest first."""
    return await _rows(tx, keys, "conversation_id", conversation_id)


async def _rows(tx: Transaction, keys: KeyRing, column: str, value: str) -> builtins.list[Act]:
    cursor = await tx.execute(
        f"SELECT * FROM acts WHERE {column} = %s ORDER BY created_at, key".encode(),  # noqa: S608  # ours
        (value,),
    )
    found: builtins.list[Act] = []
    for row in await cursor.fetchall():
        cipher = await keys.cipher_of(tx, row["conversation_id"])
        sealed = row["sealed_outcome"]
        found.append(
            Act(
                key=row["key"],
                conversation_id=row["conversation_id"],
                turn=row["turn"],
                act=row["act"],
                status=row["status"],
                arguments=cipher.open_json(row["sealed_arguments"], f"act:{row['key']}:arguments"),
                outcome=None if sealed is None else cipher.open_json(sealed, f"act:{row['key']}:outcome"),
                proposal=row["proposal"],
                remote=row["remote"],
            )
        )
    return found
