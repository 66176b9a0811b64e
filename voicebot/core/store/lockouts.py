"""Failed tries at the identity gate, counted over all calls and nodes in the commit's own transaction.

    locks = await lock(tx, subjects)               # others wait here until this transaction ends
    if await over(tx, subject, most=3, window=...): ...
    await failed(tx, subjects, conversation_id=..., turn=...)

A subject is a keyed digest (`subject_of`). The time is the database's, so no node's clock plays a part.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing


def subject_of(keys: KeyRing, what: str, value: str) -> bytes:
    """32 bytes that stand for a value (``what``: ``reference``, ``caller``) without holding it."""
    return keys.index(f"lockout:{what}", value)


async def lock(tx: Transaction, subjects: Iterable[bytes]) -> None:
    """Holds the heads of the subjects until the transaction ends: of two tries at once the second waits.

    Raises:
        DatabaseDown: others hold a head for longer than a statement may take; nothing was counted.
    """
    for subject in sorted(set(subjects)):  # one order, so no two wait in a ring
        await tx.execute("INSERT INTO lock_heads (subject) VALUES (%s) ON CONFLICT DO NOTHING", (subject,))
        await tx.execute("SELECT 1 FROM lock_heads WHERE subject = %s FOR UPDATE", (subject,))


async def tries(tx: Transaction, subject: bytes, window: timedelta) -> int:
    """Failed tries within the window."""
    cursor = await tx.execute(
        "SELECT count(*) AS tries FROM failed_tries"
        " WHERE subject = %s AND at > clock_timestamp() - %s::interval",
        (subject, window),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["tries"])


async def failed(tx: Transaction, subjects: Iterable[bytes], *, conversation_id: str, turn: int) -> None:
    """Counts one failed try of a turn, once however often it is told."""
    for subject in sorted(set(subjects)):
        await tx.execute(
            "INSERT INTO failed_tries (subject, conversation_id, turn) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (subject, conversation_id, turn),
        )


async def passed(tx: Transaction, subject: bytes) -> None:
    """Whoever knows the facts has called: what failed about this reference no longer counts."""
    await tx.execute("DELETE FROM failed_tries WHERE subject = %s", (subject,))


async def note(tx: Transaction, conversation_id: str, turn: int, outcome: str) -> None:
    """What came of a turn's try."""
    await tx.execute(
        "INSERT INTO gate_outcomes (conversation_id, turn, outcome) VALUES (%s, %s, %s)",
        (conversation_id, turn, outcome),
    )


async def outcome_of(tx: Transaction, conversation_id: str, turn: int) -> str | None:
    """What came of it, None if the turn tried nothing."""
    cursor = await tx.execute(
        "SELECT outcome FROM gate_outcomes WHERE conversation_id = %s AND turn = %s", (conversation_id, turn)
    )
    row = await cursor.fetchone()
    return None if row is None else row["outcome"]


async def sweep(tx: Transaction, window: timedelta) -> None:
    """Removes what no longer counts."""
    await tx.execute("DELETE FROM failed_tries WHERE at < clock_timestamp() - %s::interval", (window,))
