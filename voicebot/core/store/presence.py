"""Who is at the desk: seen while a page of theirs is open, gone soon after the last one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from voicebot.core.store.database import Transaction

GONE_AFTER = timedelta(seconds=30)
"""Three of the desk's words missed: a page that was closed, a desk that is down."""

ANEW_AFTER = timedelta(minutes=30)
"""Who was away for longer comes back to work: a pause of before is over."""


async def here(tx: Transaction, agent: str, *, paused: bool | None = None) -> None:
    """``agent`` has a page open now. ``paused``: what they say of it; None: as before."""
    await tx.execute(
        "INSERT INTO desk_presence AS p (agent, paused) VALUES (%(agent)s, coalesce(%(paused)s, false))"
        " ON CONFLICT (agent) DO UPDATE SET seen_at = clock_timestamp(),"
        " since = CASE WHEN p.seen_at < clock_timestamp() - %(gone)s THEN clock_timestamp() ELSE p.since END,"
        " paused = coalesce(%(paused)s,"
        " p.paused AND p.seen_at >= clock_timestamp() - %(anew)s)",
        {"agent": agent, "paused": paused, "gone": GONE_AFTER, "anew": ANEW_AFTER},
    )


async def gone(tx: Transaction, agent: str) -> None:
    """``agent`` has signed out."""
    await tx.execute("DELETE FROM desk_presence WHERE agent = %s", (agent,))


async def seen(tx: Transaction) -> list[dict[str, Any]]:
    """Who is at the desk now: ``agent, since, paused``, by id."""
    cursor = await tx.execute(
        "SELECT agent, since, paused FROM desk_presence"
        " WHERE seen_at > clock_timestamp() - %s ORDER BY agent",
        (GONE_AFTER,),
    )
    return await cursor.fetchall()


async def takes_callers(tx: Transaction) -> frozenset[str]:
    """Who is at the desk and does not pause."""
    return frozenset(row["agent"] for row in await seen(tx) if not row["paused"])
