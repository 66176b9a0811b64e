"""One-time codes: random, for one use, bound to a conversation and a number; only a keyed digest is stored.

The time is the database's. A code closes when it was right, or when another one is made for the conversation.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Told = Literal["right", "wrong", "expired"]


_OPEN = (
    "SELECT turn, digest, expires_at <= clock_timestamp() AS late FROM one_time_codes"
    " WHERE conversation_id = %s AND closed_at IS NULL"
)
_CLAIM = f"{_OPEN} FOR UPDATE"


async def make(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    customer: bytes,
    number: str,
    digits: int,
    lasts: timedelta,
) -> str:
    """A new code of that many digits; earlier ones of the conversation no longer count.

    Args:
        tx: the transaction of the turn.
        keys: for the digest.
        conversation_id: where it is made.
        turn: by which turn; once.
        customer: keyed digest of whom it is for.
        number: where it will be sent, E.164; only a digest of it is kept.
        digits: its length.
        lasts: how long it counts.
    """
    code = f"{secrets.randbelow(10**digits):0{digits}d}"
    await tx.execute(
        "UPDATE one_time_codes SET closed_at = clock_timestamp()"
        " WHERE conversation_id = %s AND closed_at IS NULL",
        (conversation_id,),
    )
    await tx.execute(
        "INSERT INTO one_time_codes (conversation_id, turn, customer, digest, sent_at, expires_at)"
        " VALUES (%s, %s, %s, %s, clock_timestamp(), clock_timestamp() + %s::interval)",
        (conversation_id, turn, customer, _digest(keys, conversation_id, turn, number, code), lasts),
    )
    return code


async def may_send(
    tx: Transaction,
    *,
    conversation_id: str,
    customer: bytes,
    sends: int,
    pause: timedelta,
    per_hour: int,
) -> bool:
    """Whether one more may be sent: not too many in this conversation, not too soon, not too many an hour."""
    cursor = await tx.execute(
        "SELECT count(*) FILTER (WHERE conversation_id = %(conversation)s) AS here,"
        " count(*) FILTER (WHERE conversation_id = %(conversation)s"
        "   AND sent_at > clock_timestamp() - %(pause)s::interval) AS just_now,"
        " count(*) FILTER (WHERE customer = %(customer)s"
        "   AND sent_at > clock_timestamp() - interval '1 hour') AS hour"
        " FROM one_time_codes WHERE conversation_id = %(conversation)s OR customer = %(customer)s",
        {"conversation": conversation_id, "customer": customer, "pause": pause},
    )
    row: dict[str, Any] | None = await cursor.fetchone()
    return row is not None and row["here"] < sends and not row["just_now"] and row["hour"] < per_hour


async def told(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    number: str,
    candidates: Sequence[str],
    use: bool,
) -> Told:
    """What a code that was told is worth. All candidates are compared, each in constant time.

    ``use``: it counts: the row is locked until the transaction ends, and a right code is closed.
    """
    cursor = await tx.execute(_CLAIM if use else _OPEN, (conversation_id,))
    row = await cursor.fetchone()
    if row is None or row["late"]:
        return "expired"
    digests = (_digest(keys, conversation_id, row["turn"], number, one) for one in candidates)
    results = [hmac.compare_digest(one, row["digest"]) for one in digests]
    if not any(results):
        return "wrong"
    if use:
        await tx.execute(
            "UPDATE one_time_codes SET closed_at = clock_timestamp()"
            " WHERE conversation_id = %s AND turn = %s",
            (conversation_id, row["turn"]),
        )
    return "right"


async def undelivered(tx: Transaction, conversation_id: str) -> bool:
    """Whether the last text message with a code could not be sent."""
    cursor = await tx.execute(
        "SELECT m.status FROM one_time_codes c JOIN text_messages m"
        " ON m.key = c.conversation_id || ':' || c.turn || ':code'"
        " WHERE c.conversation_id = %s ORDER BY c.turn DESC LIMIT 1",
        (conversation_id,),
    )
    row = await cursor.fetchone()
    return row is not None and row["status"] == "failed"


def _digest(keys: KeyRing, conversation_id: str, turn: int, number: str, code: str) -> bytes:
    return keys.index("one-time code", f"{conversation_id}:{turn}:{number}:{code}")
