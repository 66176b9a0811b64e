"""Off switches, the same for all nodes: they are read from the database, not kept."""

from __future__ import annotations

from voicebot.core.store import audit
from voicebot.core.store.database import Transaction


async def set_switch(tx: Transaction, name: str, on: bool, by: str) -> None:
    """Sets ``name`` (``bot``, ``tool:order_status``) and records who did, in one transaction."""
    await tx.execute(
        "INSERT INTO switches (name, is_on, changed_by) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on, changed_by = excluded.changed_by,"
        " changed_at = now()",
        (name, on, by),
    )
    await audit.record(tx, action=f"switch.{'on' if on else 'off'}", actor=by, facts={"name": name})


async def switches(tx: Transaction) -> dict[str, bool]:
    """All switches that were ever set, and always ``bot``, the whole bot; what is absent is on."""
    rows = await (await tx.execute("SELECT name, is_on FROM switches")).fetchall()
    return {"bot": True} | {row["name"]: row["is_on"] for row in rows}
