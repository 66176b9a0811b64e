"""Warm transfers as rows: the machine's memory, when it is due, and what is to be done at Twilio.

What the memory says is the room `handoff`'s (`voicebot.handoff.transfer`). Whoever changes a transfer holds
its conversation's row first, then its own: `lock` takes both in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from voicebot.core.store.database import Transaction

LEASE_S = 12.0
"""A claimed effect whose node is silent for this long is claimed again; a REST request takes at most 7 s."""


class UnknownTransfer(LookupError):
    """There is no such transfer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A transfer as it was read. ``now`` is the database's clock at that moment.

    ``told``: how many of its events were written. ``base_url``: where Twilio reaches us, if known.
    """

    id: str
    handoff_id: str
    conversation_id: str
    state: str
    body: dict[str, Any]
    told: int
    base_url: str | None
    requested_at: datetime
    ringing_at: datetime | None
    bridged_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """An effect that this node, and no other, carries out now. ``claims`` counts from 1."""

    transfer_id: str
    number: int
    body: dict[str, Any]
    claims: int


_ROW = (
    "id, handoff_id, conversation_id, state, body, told, base_url, requested_at, ringing_at, bridged_at,"
    " clock_timestamp() AS now"
)


async def now(tx: Transaction) -> datetime:
    """The database's clock."""
    row = await (await tx.execute("SELECT clock_timestamp() AS now")).fetchone()
    assert row is not None
    return row["now"]


async def insert(
    tx: Transaction,
    *,
    transfer_id: str,
    handoff_id: str,
    conversation_id: str,
    call_sid: str,
    state: str,
    body: dict[str, Any],
) -> bool:
    """A new transfer, once per handoff: False if it has one."""
    cursor = await tx.execute(
        "INSERT INTO transfers (id, handoff_id, conversation_id, call_sid, state, body)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (handoff_id) DO NOTHING",
        (transfer_id, handoff_id, conversation_id, call_sid, state, Jsonb(body)),
    )
    return cursor.rowcount == 1


async def get(tx: Transaction, transfer_id: str) -> Row:
    """A transfer, not held.

    Raises:
        UnknownTransfer: there is none.
    """
    return await _row(tx, f"SELECT {_ROW} FROM transfers WHERE id = %s", transfer_id)  # noqa: S608  # constant


async def lock(tx: Transaction, transfer_id: str) -> Row:
    """A transfer, its conversation and itself held until the transaction ends.

    Raises:
        UnknownTransfer: there is none.
    """
    await tx.execute(
        "SELECT 1 FROM conversations WHERE id = (SELECT conversation_id FROM transfers WHERE id = %s)"
        " FOR NO KEY UPDATE",
        (transfer_id,),
    )
    return await _row(tx, f"SELECT {_ROW} FROM transfers WHERE id = %s FOR UPDATE", transfer_id)  # noqa: S608  # constant


async def _row(tx: Transaction, query: str, transfer_id: str) -> Row:
    row = await (await tx.execute(query, (transfer_id,))).fetchone()  # pyright: ignore[reportArgumentType]
    if row is None:
        raise UnknownTransfer(f"no transfer {transfer_id}")
    return Row(**row)


async def newest_of_call(tx: Transaction, call_sid: str) -> str | None:
    """Id of the caller's last transfer."""
    cursor = await tx.execute(
        "SELECT id FROM transfers WHERE call_sid = %s ORDER BY requested_at DESC LIMIT 1", (call_sid,)
    )
    row = await cursor.fetchone()
    return None if row is None else row["id"]


async def count(tx: Transaction, conversation_id: str) -> int:
    """How many transfers a conversation has had."""
    cursor = await tx.execute(
        "SELECT count(*) AS n FROM transfers WHERE conversation_id = %s", (conversation_id,)
    )
    row = await cursor.fetchone()
    assert row is not None
    return row["n"]


async def save(
    tx: Transaction,
    transfer_id: str,
    *,
    state: str,
    body: dict[str, Any],
    told: int,
    leg: str | None,
    due_at: datetime | None,
    at: datetime,
    entered: Sequence[str] = (),
    over: bool = False,
) -> None:
    """Writes what became of a transfer that is held. When a state was entered first is kept."""
    await tx.execute(
        "UPDATE transfers SET state = %(state)s, body = %(body)s, told = %(told)s, due_at = %(due)s,"
        " legs = CASE WHEN %(leg)s::text IS NULL OR %(leg)s = ANY(legs) THEN legs"
        "  ELSE legs || %(leg)s::text END,"
        " ringing_at = coalesce(ringing_at, CASE WHEN 'ringing' = ANY(%(entered)s) THEN %(now)s END),"
        " briefing_at = coalesce(briefing_at, CASE WHEN 'briefing' = ANY(%(entered)s) THEN %(now)s END),"
        " accepted_at = coalesce(accepted_at, CASE WHEN 'accepted' = ANY(%(entered)s) THEN %(now)s END),"
        " bridged_at = coalesce(bridged_at, CASE WHEN 'bridged' = ANY(%(entered)s) THEN %(now)s END),"
        " over_at = coalesce(over_at, CASE WHEN %(over)s THEN %(now)s END)"
        " WHERE id = %(id)s",
        {
            "state": state,
            "body": Jsonb(body),
            "told": told,
            "due": due_at,
            "leg": leg,
            "over": over,
            "now": at,
            "entered": list(entered),
            "id": transfer_id,
        },
    )


async def set_base_url(tx: Transaction, transfer_id: str, base_url: str) -> None:
    """Where Twilio reaches us, learned from one of its requests."""
    await tx.execute(
        "UPDATE transfers SET base_url = %s WHERE id = %s AND base_url IS NULL", (base_url, transfer_id)
    )


async def order(tx: Transaction, transfer_id: str, number: int, body: dict[str, Any]) -> None:
    """An effect to be carried out by whoever claims it."""
    await tx.execute(
        "INSERT INTO transfer_effects (transfer_id, number, body) VALUES (%s, %s, %s)",
        (transfer_id, number, Jsonb(body)),
    )


async def claim(tx: Transaction, node_id: str, *, limit: int = 20) -> list[Claimed]:
    """Effects for this node and no other: those that nobody has claimed, and those of nodes that are gone."""
    cursor = await tx.execute(
        "UPDATE transfer_effects SET status = 'started', node_id = %s, claims = claims + 1,"
        " expires_at = clock_timestamp() + make_interval(secs => %s)"
        " WHERE (transfer_id, number) IN (SELECT transfer_id, number FROM transfer_effects"
        "  WHERE status = 'pending' OR (status = 'started' AND expires_at < clock_timestamp())"
        "  ORDER BY ordered_at, number LIMIT %s FOR UPDATE SKIP LOCKED)"
        " RETURNING transfer_id, number, body, claims",
        (node_id, LEASE_S, limit),
    )
    found = [Claimed(**row) for row in await cursor.fetchall()]
    return sorted(found, key=lambda one: (one.transfer_id, one.number))


async def settle(tx: Transaction, claimed: Claimed, *, void: bool = False) -> None:
    """An effect was carried out; ``void``: it was not wanted any more."""
    await tx.execute(
        "UPDATE transfer_effects SET status = %s, settled_at = clock_timestamp()"
        " WHERE transfer_id = %s AND number = %s AND status = 'started'",
        ("void" if void else "done", claimed.transfer_id, claimed.number),
    )


async def due(tx: Transaction, *, limit: int = 20) -> list[str]:
    """Transfers that must be looked at now, those that wait longest first. Held by nobody else just now."""
    cursor = await tx.execute(
        "SELECT id FROM transfers WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT %s", (limit,)
    )
    return [row["id"] for row in await cursor.fetchall()]


async def under_way(tx: Transaction, *, within_s: float) -> frozenset[str]:
    """Transfers whose caller needs us: who speaks with a person, and who has waited for one, or for the bot,
    for no more than ``within_s`` seconds.
    """
    cursor = await tx.execute(
        "SELECT id FROM transfers WHERE over_at IS NULL AND (state = 'bridged'"
        " OR requested_at > clock_timestamp() - make_interval(secs => %s))",
        (within_s,),
    )
    return frozenset([row["id"] for row in await cursor.fetchall()])


async def caller_forks(tx: Transaction, conversation_id: str) -> list[str]:
    """Names of the streams that were given to the caller's leg for what is said in the room.

    As `voicebot.channels.twilio.leg_media` names them: by the hash of their key.
    """
    cursor = await tx.execute(
        "SELECT 'caller-' || left(encode(token_hash, 'hex'), 12) AS name FROM stream_tokens"
        " WHERE conversation_id = %s AND leg = 'caller' AND used_at IS NOT NULL ORDER BY used_at",
        (conversation_id,),
    )
    return [row["name"] for row in await cursor.fetchall()]


async def known_legs(tx: Transaction, legs: Sequence[str]) -> frozenset[str]:
    """Which of these CallSids are legs of some transfer."""
    if not legs:
        return frozenset()
    cursor = await tx.execute(
        "SELECT DISTINCT unnest(legs) AS leg FROM transfers WHERE legs && %s::text[]", (list(legs),)
    )
    return frozenset(row["leg"] for row in await cursor.fetchall()) & frozenset(legs)
