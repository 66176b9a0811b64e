"""Who sees to a promise: one person at a time, by compare-and-swap, as with handoffs."""

from __future__ import annotations

from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.follow_ups import UnknownFollowUp

Settled = Literal["done", "cancelled"]


async def claim(tx: Transaction, follow_up_id: str, who: str) -> bool:
    """Gives it to ``who`` if it is open and nobody has it. True also if they had it already.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "UPDATE follow_ups SET claimed_by = %s, changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'open' AND claimed_by IS NULL",
        (who, follow_up_id),
    )
    row = await standing(tx, follow_up_id)
    return cursor.rowcount == 1 or (row["status"], row["claimed_by"]) == ("open", who)


async def release(tx: Transaction, follow_up_id: str, who: str) -> bool:
    """``who`` gives it back. False if it is not theirs.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "UPDATE follow_ups SET claimed_by = NULL, changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'open' AND claimed_by = %s",
        (follow_up_id, who),
    )
    await standing(tx, follow_up_id)
    return cursor.rowcount == 1


async def settle(tx: Transaction, follow_up_id: str, who: str, status: Settled = "done") -> bool:
    """``who``, who has it, is done with it. True also if they had said so before.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "UPDATE follow_ups SET status = %s, changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'open' AND claimed_by = %s",
        (status, follow_up_id, who),
    )
    row = await standing(tx, follow_up_id)
    return cursor.rowcount == 1 or (row["status"], row["claimed_by"]) == (status, who)


async def standing(tx: Transaction, follow_up_id: str) -> dict[str, Any]:
    """Its ``conversation_id, status`` and ``claimed_by``.

    Raises:
        UnknownFollowUp: there is none.
    """
    cursor = await tx.execute(
        "SELECT conversation_id, status, claimed_by FROM follow_ups WHERE id = %s", (follow_up_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownFollowUp(f"no follow-up {follow_up_id}")
    return row
