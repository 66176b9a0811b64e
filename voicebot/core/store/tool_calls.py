"""What tools were asked and answered: one row a call; reads, changes, refusals, also of discarded plans."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import Any, Literal

from voicebot.core.store import vault
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Status = Literal["answered", "done", "refused", "failed", "unknown", "rejected"]
"""``answered``: a read. ``done``, ``refused`` (a rule or the records said no), ``failed`` and ``unknown`` (no
answer came): a change, ``failed`` a read too. ``rejected``: it was never run."""


@dataclass(frozen=True)
class Call:
    """One call. ``inputs`` and ``outputs`` are sealed where they lie. ``reason`` holds nothing personal."""

    tool: str
    effect: Literal["read", "write", "irreversible", "none"]
    status: Status
    inputs: dict[str, Any] = field(repr=False)
    outputs: dict[str, Any] | None = field(default=None, repr=False)
    reason: str | None = None
    key: str | None = None
    duration_ms: float = 0.0


async def write(
    tx: Transaction,
    keys: KeyRing,
    call: Call,
    *,
    conversation_id: str,
    turn: int,
    transaction_id: str | None = None,
) -> None:
    """Writes a call, with tokens in place of what the conversation's vault holds.

    Raises:
        LookupError: there is no such conversation.
    """
    held = await vault.values(tx, keys, conversation_id)
    inputs, outputs = vault.tokens_for(held, call.inputs), vault.tokens_for(held, call.outputs)
    cipher = await keys.cipher_of(tx, conversation_id)
    place = f"tool_call:{conversation_id}:{turn}"
    await tx.execute(
        "INSERT INTO tool_calls (conversation_id, turn, transaction_id, tool, effect, key, status, reason,"
        " sealed_inputs, sealed_outputs, duration_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            conversation_id,
            turn,
            transaction_id,
            call.tool,
            call.effect,
            call.key,
            call.status,
            call.reason,
            cipher.seal_json(inputs, f"{place}:inputs"),
            None if outputs is None else cipher.seal_json(outputs, f"{place}:outputs"),
            max(0.0, call.duration_ms),
        ),
    )


async def of(tx: Transaction, keys: KeyRing, conversation_id: str) -> builtins.list[dict[str, Any]]:
    """All calls of a conversation, oldest first: ``id, turn, transaction_id, tool, effect, key, status,
    reason, inputs, outputs, duration_ms, at``.

    Raises:
        LookupError: there is no such conversation.
    """
    cursor = await tx.execute(
        "SELECT id, turn, transaction_id, tool, effect, key, status, reason, sealed_inputs, sealed_outputs,"
        " duration_ms, at FROM tool_calls WHERE conversation_id = %s ORDER BY id",
        (conversation_id,),
    )
    rows = await cursor.fetchall()
    if not rows:
        return []
    cipher = await keys.cipher_of(tx, conversation_id)
    found: builtins.list[dict[str, Any]] = []
    for row in rows:
        place = f"tool_call:{conversation_id}:{row['turn']}"
        inputs, outputs = row.pop("sealed_inputs"), row.pop("sealed_outputs")
        row["inputs"] = cipher.open_json(inputs, f"{place}:inputs")
        row["outputs"] = None if outputs is None else cipher.open_json(outputs, f"{place}:outputs")
        found.append(row)
    return found
