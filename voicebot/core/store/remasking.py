"""Masks again what is still held of turns whose digits turned out to be part of a number.

What was delivered to others before is theirs; the rows here are sealed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Hide = Callable[[Any], Any]
"""Plain JSON values -> the same with tokens in place of what is personal."""


async def again(
    tx: Transaction, keys: KeyRing, conversation_id: str, *, since: int, before: int, hide: Hide
) -> int:
    """Seals the turns ``since`` <= turn < ``before`` and their events again; returns how many rows changed.

    Raises:
        LookupError: there is no such conversation.
        SubjectErased, SealBroken: it cannot be opened.
    """
    cipher = await keys.cipher_of(tx, conversation_id)
    span = (conversation_id, since, before)
    changed = 0
    cursor = await tx.execute(
        "SELECT turn, sealed_input FROM turns WHERE conversation_id = %s AND turn >= %s AND turn < %s", span
    )
    for found in await cursor.fetchall():
        at = f"input:{conversation_id}:{found['turn']}"
        value = cipher.open_json(found["sealed_input"], at)
        hidden = hide(value)
        if hidden != value:
            await tx.execute(
                "UPDATE turns SET sealed_input = %s WHERE conversation_id = %s AND turn = %s",
                (cipher.seal_json(hidden, at), conversation_id, found["turn"]),
            )
            changed += 1
    cursor = await tx.execute(
        "SELECT id, sealed_data FROM events WHERE conversation_id = %s AND turn >= %s AND turn < %s", span
    )
    for found in await cursor.fetchall():
        at = f"event:{found['id']}"
        value = cipher.open_json(found["sealed_data"], at)
        hidden = hide(value)
        if hidden != value:
            sealed = cipher.seal_json(hidden, at)
            await tx.execute("UPDATE events SET sealed_data = %s WHERE id = %s", (sealed, found["id"]))
            changed += 1
    return changed
