"""Articles whose owner has to look at them again."""

from __future__ import annotations

from voicebot.core.store.database import Transaction


async def overdue(tx: Transaction) -> int:
    """How many of the articles that are quoted now are past their review."""
    cursor = await tx.execute(
        "SELECT count(*) AS n FROM articles WHERE reviewed + review_days < current_date"
    )
    row = await cursor.fetchone()
    assert row is not None
    return row["n"]
