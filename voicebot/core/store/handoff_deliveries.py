"""Steps of handoffs on their way to systems outside: a row for each step and system, sent until taken.

A row holds nothing personal: what is sent is read when it is sent. A sender claims a row for some seconds and
settles it; if it dies in between, another node sends it again under the same id. Steps of one handoff go in
their order.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from voicebot.core.store.database import Transaction

FRESH_S = 3600.0
"""Steps older than this are not queued for a system that they were never queued for: it was not set then."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One to be sent. ``tries`` counts this one; ``what`` happened to the handoff, by ``who``, ``at``."""

    id: str
    handoff_id: str
    tries: int
    what: str
    who: str | None
    at: datetime


async def queue(tx: Transaction, connector: str) -> int:
    """Queues every fresh step that is not queued for this system yet; returns how many."""
    cursor = await tx.execute(
        "INSERT INTO handoff_deliveries (id, change, handoff_id, connector)"
        " SELECT 'de_' || replace(gen_random_uuid()::text, '-', ''), c.seq, c.handoff_id, %(connector)s"
        " FROM handoff_changes c WHERE c.at > clock_timestamp() - make_interval(secs => %(fresh)s)"
        " AND NOT EXISTS (SELECT 1 FROM handoff_deliveries d"
        "  WHERE d.connector = %(connector)s AND d.change = c.seq)"
        " ORDER BY c.seq ON CONFLICT (connector, change) DO NOTHING",
        {"connector": connector, "fresh": FRESH_S},
    )
    return cursor.rowcount


async def claim(tx: Transaction, connector: str, *, lease_s: float, limit: int) -> builtins.list[Delivery]:
    """What is due and nobody sends, now claimed for ``lease_s`` seconds: whoever claimed it sends it."""
    cursor = await tx.execute(
        "UPDATE handoff_deliveries d SET tries = d.tries + 1, changed_at = clock_timestamp(),"
        " sending_until = clock_timestamp() + make_interval(secs => %(lease)s)"
        " FROM handoff_changes c WHERE c.seq = d.change AND d.id IN ("
        "  SELECT q.id FROM handoff_deliveries q WHERE q.connector = %(connector)s AND q.status = 'queued'"
        "   AND q.due_at <= clock_timestamp()"
        "   AND (q.sending_until IS NULL OR q.sending_until < clock_timestamp())"
        "   AND NOT EXISTS (SELECT 1 FROM handoff_deliveries b WHERE b.connector = q.connector"
        "    AND b.handoff_id = q.handoff_id AND b.status = 'queued' AND b.change < q.change)"
        "  ORDER BY q.due_at, q.change LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"
        " RETURNING d.id, d.handoff_id, d.tries, c.what, c.who, c.at",
        {"connector": connector, "lease": lease_s, "limit": limit},
    )
    return [Delivery(**row) for row in await cursor.fetchall()]


async def settle(
    tx: Transaction,
    delivery: Delivery,
    status: Literal["delivered", "given_up", "queued"],
    *,
    reason: str | None = None,
    wait_s: float = 0.0,
) -> bool:
    """What came of a try. ``queued``: once more in ``wait_s`` seconds. ``reason``: nothing personal.

    Returns:
        False if this try took so long that another sender has begun one: that one settles it.
    """
    cursor = await tx.execute(
        "UPDATE handoff_deliveries SET status = %s, reason = %s, sending_until = NULL,"
        " due_at = clock_timestamp() + make_interval(secs => %s), changed_at = clock_timestamp()"
        " WHERE id = %s AND tries = %s AND status = 'queued'",
        (status, reason, wait_s, delivery.id, delivery.tries),
    )
    return cursor.rowcount == 1


async def of(tx: Transaction, handoff_id: str) -> builtins.list[dict[str, object]]:
    """Deliveries of a handoff in order: ``id, connector, what, status, tries, reason, changed_at``."""
    cursor = await tx.execute(
        "SELECT d.id, d.connector, c.what, d.status, d.tries, d.reason, d.changed_at"
        " FROM handoff_deliveries d JOIN handoff_changes c ON c.seq = d.change"
        " WHERE d.handoff_id = %s ORDER BY d.change, d.connector",
        (handoff_id,),
    )
    return await cursor.fetchall()
