"""Talks: an agent at a desk speaks with a caller over the media socket of the call. Rows and nothing else.

Whoever changes a talk holds its conversation's row first, then its own: `lock` takes both in that order.
What a change means is the room `handoff`'s (`voicebot.handoff.talks`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from voicebot.core.store.database import Transaction

State = Literal["coming", "talking", "lost", "over"]
"""``coming``: caller and agent are on their way to each other; ``lost``: the agent's line is gone for now."""

Ending = Literal["goodbye", "bot", "queue", "caller_left"]
"""What the caller gets then: a polite end, the bot, the bot while somebody else is awaited; or nothing."""


class UnknownTalk(LookupError):
    """There is no such talk."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A talk as it was read. ``told``: how many of its events were written; ``reason``: why it ended."""

    id: str
    conversation_id: str
    handoff_id: str
    call_sid: str
    agent: str
    state: State
    ending: Ending | None
    reason: str | None
    told: int
    asked_at: datetime
    began_at: datetime | None
    lost_at: datetime | None
    over_at: datetime | None
    told_at: datetime | None

    @property
    def over(self) -> bool:
        """It has ended."""
        return self.state == "over"


_COLUMNS = (
    "id, conversation_id, handoff_id, call_sid, agent, state, ending, reason, told, asked_at, began_at,"
    " lost_at, over_at, told_at"
)


async def insert(
    tx: Transaction, *, conversation_id: str, handoff_id: str, call_sid: str, agent: str
) -> Talk | None:
    """A new talk; None if the conversation has one that is not over."""
    cursor = await tx.execute(
        f"INSERT INTO talks (id, conversation_id, handoff_id, call_sid, agent) VALUES (%s, %s, %s, %s, %s)"  # noqa: S608  # constant
        f" ON CONFLICT (conversation_id) WHERE state <> 'over' DO NOTHING RETURNING {_COLUMNS}",
        (f"tk_{secrets.token_hex(16)}", conversation_id, handoff_id, call_sid, agent),
    )
    row = await cursor.fetchone()
    return None if row is None else Talk(**row)


async def get(tx: Transaction, talk_id: str) -> Talk:
    """A talk, not held.

    Raises:
        UnknownTalk: there is none.
    """
    row = await (await tx.execute(f"SELECT {_COLUMNS} FROM talks WHERE id = %s", (talk_id,))).fetchone()  # noqa: S608  # constant
    if row is None:
        raise UnknownTalk(f"no talk {talk_id}")
    return Talk(**row)


async def lock(tx: Transaction, talk_id: str) -> Talk:
    """A talk, its conversation and itself held until the transaction ends.

    Raises:
        UnknownTalk: there is none.
    """
    await tx.execute(
        "SELECT 1 FROM conversations WHERE id = (SELECT conversation_id FROM talks WHERE id = %s)"
        " FOR NO KEY UPDATE",
        (talk_id,),
    )
    query = f"SELECT {_COLUMNS} FROM talks WHERE id = %s FOR UPDATE"  # noqa: S608  # constant
    row = await (await tx.execute(query, (talk_id,))).fetchone()
    if row is None:
        raise UnknownTalk(f"no talk {talk_id}")
    return Talk(**row)


async def newest(tx: Transaction, conversation_id: str) -> Talk | None:
    """The last talk of a conversation, over or not."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM talks WHERE conversation_id = %s"  # noqa: S608  # constant
        " ORDER BY state = 'over', asked_at DESC LIMIT 1",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else Talk(**row)


async def of_handoff(tx: Transaction, handoff_id: str) -> Talk | None:
    """The last talk that came of a handoff."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM talks WHERE handoff_id = %s ORDER BY state = 'over', asked_at DESC LIMIT 1",  # noqa: S608  # constant
        (handoff_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else Talk(**row)


async def open_of(tx: Transaction, conversation_id: str) -> Talk | None:
    """The talk of a conversation that is not over."""
    found = await newest(tx, conversation_id)
    return found if found is not None and not found.over else None


async def open_among(tx: Transaction, conversations: list[str]) -> dict[str, Talk]:
    """Talks that are not over, by conversation."""
    if not conversations:
        return {}
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM talks WHERE conversation_id = ANY(%s) AND state <> 'over'",  # noqa: S608  # constant
        (conversations,),
    )
    return {row["conversation_id"]: Talk(**row) for row in await cursor.fetchall()}


async def not_come(tx: Transaction, after_s: float) -> list[str]:
    """Talks whose caller has not come within ``after_s`` seconds, and is on no node's media socket."""
    cursor = await tx.execute(
        "SELECT id FROM talks WHERE state = 'coming'"
        " AND asked_at < clock_timestamp() - make_interval(secs => %s)"
        " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.conversation_id = talks.conversation_id"
        "  AND l.status = 'held' AND l.expires_at > clock_timestamp()) ORDER BY asked_at LIMIT 20",
        (after_s,),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def move(
    tx: Transaction, talk_id: str, to: State, *, ending: Ending | None = None, reason: str | None = None
) -> None:
    """Writes where a talk that is held stands now; when it began first, and when it was over, is kept.

    Raises:
        ValueError: it ends without an ending, or has one before its end.
    """
    if (to == "over") is not (ending is not None):
        raise ValueError("an ending belongs to the end of a talk, and to nothing else")
    await tx.execute(
        "UPDATE talks SET state = %(to)s, ending = %(ending)s, reason = %(reason)s, told = told + 1,"
        " began_at = CASE WHEN %(to)s = 'talking' THEN coalesce(began_at, clock_timestamp())"
        "  ELSE began_at END,"
        " lost_at = CASE WHEN %(to)s = 'lost' THEN clock_timestamp() ELSE lost_at END,"
        " over_at = CASE WHEN %(to)s = 'over' THEN clock_timestamp() END"
        " WHERE id = %(id)s",
        {"to": to, "ending": ending, "reason": reason, "id": talk_id},
    )


async def mark_told(tx: Transaction, talk_id: str) -> bool:
    """The bot is told of its end now. False if it was before."""
    cursor = await tx.execute(
        "UPDATE talks SET told_at = clock_timestamp() WHERE id = %s AND told_at IS NULL AND state = 'over'",
        (talk_id,),
    )
    return cursor.rowcount == 1
