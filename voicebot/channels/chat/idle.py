"""When a chat is over that nobody closes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from voicebot.core.conversation import Event
from voicebot.core.store import outbox
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

ENDED = "chat.ended"
SWEEP_S = 60.0
"""How often a node looks for chats that nobody writes in any more."""
_BATCH = 50


async def idle_s(tx: Transaction, conversation_id: str) -> float:
    """Seconds since the conversation's last turn (or its beginning), by the database's clock."""
    cursor = await tx.execute(
        "SELECT extract(epoch FROM clock_timestamp() - coalesce(t.created_at, c.created_at))::float8 AS idle"
        " FROM conversations c LEFT JOIN turns t ON t.conversation_id = c.id AND t.turn = c.turn"
        " WHERE c.id = %s",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    return 0.0 if row is None else row["idle"]


async def end(
    tx: Transaction, keys: KeyRing, conversations: Conversations, snapshot: Snapshot, reason: str
) -> bool:
    """Ends a chat, once; whoever commits pokes the relay."""
    if not await conversations.finish(tx, snapshot.id, reason=reason):
        return False
    data: dict[str, Any] = {"reason": reason}
    event = Event(
        id=f"ev_{uuid.uuid4().hex}",
        type=ENDED,
        conversation_id=snapshot.id,
        time=datetime.now(UTC),
        data=data,
    )
    await outbox.append(tx, keys, snapshot.subject_id, event)
    return True


async def sweep(tx: Transaction, keys: KeyRing, after_s: float) -> int:
    """Ends live chats in which nothing happened for ``after_s``, oldest first; returns how many.

    Those that a person has or will have stay open; one that a person has settled is over as long after that.
    """
    cursor = await tx.execute(
        "SELECT c.id, (SELECT s.wrapped_key IS NULL FROM subjects s WHERE s.id = c.subject_id) AS erased"
        " FROM conversations c LEFT JOIN turns t ON t.conversation_id = c.id AND t.turn = c.turn"
        " LEFT JOIN LATERAL (SELECT h.done_at FROM handoffs h WHERE h.conversation_id = c.id"
        "  ORDER BY h.created_at DESC, h.id DESC LIMIT 1) newest ON c.status = 'handoff'"
        " WHERE c.channel = 'chat' AND (c.status = 'live' OR newest.done_at IS NOT NULL)"
        " AND greatest(coalesce(t.created_at, c.created_at), newest.done_at)"
        "  < clock_timestamp() - make_interval(secs => %s)"
        " ORDER BY c.created_at LIMIT %s FOR NO KEY UPDATE OF c SKIP LOCKED",
        (after_s, _BATCH),
    )
    conversations = Conversations(keys)
    found = await cursor.fetchall()
    for row in found:
        if row["erased"]:  # nothing can be sealed for it any more, so there is no event
            await conversations.finish(tx, row["id"], reason="erased")
            continue
        snapshot = await conversations.load(tx, row["id"])
        await end(tx, keys, conversations, snapshot, "idle")
    return len(found)
