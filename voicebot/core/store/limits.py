"""What changes may add up to, counted in the change's own transaction, so that all nodes together keep it.

    charge = Charge("refund_amount", "customer:ab12...", 19900, most=50000, window=month)
    over = await take(tx, [charge], key=key)

Each (limit, subject) has a head row that is locked until the transaction ends: of two changes at once the
second waits, and then counts the first. The time is the database's, so no node's clock plays a part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from voicebot.core.store.database import Transaction

_SUM = (
    "SELECT coalesce(sum(amount), 0) AS used FROM limit_uses WHERE name = %s AND subject = %s AND key <> %s"
    " AND at > clock_timestamp() - %s::interval"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one change adds to one limit. ``amount`` and ``most`` in cents, or a number of times.

    ``subject``: whom the limit is about, with nothing personal. ``window``: the time over which uses add up;
    None: this change by itself.
    """

    limit: str
    subject: str
    amount: int
    most: int
    window: timedelta | None


async def take(tx: Transaction, charges: Iterable[Charge], *, key: str) -> str | None:
    """Counts a change, unless that would pass a limit; the same key again counts once.

    The heads stay locked until the transaction ends: make the change in it, at once.

    Returns:
        The name of the limit that it would pass, and then nothing was counted; else None.

    Raises:
        DatabaseDown: others hold a head for longer than a statement may take; nothing was counted.
    """
    ordered = sorted(charges, key=lambda one: (one.limit, one.subject))  # one order, so no two wait in a ring
    for one in ordered:
        if one.amount > one.most:
            return one.limit
        if one.window is None:
            continue
        row = (one.limit, one.subject)
        await tx.execute(
            "INSERT INTO limit_heads (name, subject) VALUES (%s, %s) ON CONFLICT DO NOTHING", row
        )
        await tx.execute("SELECT 1 FROM limit_heads WHERE name = %s AND subject = %s FOR UPDATE", row)
        # A statement of its own after the lock: it sees what the one before us committed.
        used = await (await tx.execute(_SUM, (*row, key, one.window))).fetchone()
        if used is None or int(used["used"]) + one.amount > one.most:
            return one.limit
    for one in ordered:
        if one.window is not None:
            await tx.execute(
                "INSERT INTO limit_uses (name, subject, key, amount, at)"
                " VALUES (%s, %s, %s, %s, clock_timestamp())"
                " ON CONFLICT (name, subject, key) DO UPDATE SET amount = excluded.amount",
                (one.limit, one.subject, key, one.amount),
            )
    return None


async def release(tx: Transaction, key: str) -> None:
    """The change under this key was not made: it no longer counts."""
    await tx.execute("DELETE FROM limit_uses WHERE key = %s", (key,))


async def used(tx: Transaction, limit: str, subject: str, window: timedelta) -> int:
    """What has added up within the window: cents, or a number of times."""
    row = await (await tx.execute(_SUM, (limit, subject, "", window))).fetchone()
    return 0 if row is None else int(row["used"])
