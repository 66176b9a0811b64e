"""One-time keys of media sockets: bound to a call, used once, short-lived. Only a hash is stored.

A key opens either the bot's own stream of a call, or the stream of one leg after the bot stepped back;
never the other.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from voicebot.core.store.database import Transaction

Refusal = Literal["unknown", "used", "expired", "wrong_call"]

Leg = Literal["caller", "agent"]
"""Whose voice a stream of a conference leg carries."""


class TokenRefused(Exception):
    """The token opens nothing."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(f"stream token refused: {reason}")
        self.reason: Refusal = reason


async def issue(tx: Transaction, call_sid: str, *, ttl_s: float = 60) -> str:
    """A new token (43 URL-safe characters) for one socket of ``call_sid``, good for ``ttl_s`` seconds.

    Tokens that expired an hour ago are forgotten on the way (they then count as unknown).
    """
    token = secrets.token_urlsafe(32)
    await tx.execute("DELETE FROM stream_tokens WHERE expires_at < clock_timestamp() - interval '1 hour'")
    await tx.execute(
        "INSERT INTO stream_tokens (token_hash, call_sid, expires_at)"
        " VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))",
        (_hash(token), call_sid, ttl_s),
    )
    return token


async def issue_leg(
    tx: Transaction, conversation_id: str, leg: Leg, call_sid: str, *, ttl_s: float = 60
) -> str:
    """A new token for the stream of one leg of a conversation's conference.

    Args:
        tx: the transaction.
        conversation_id: ``cv_...``; what is heard goes into its transcript.
        leg: whose voice it is.
        call_sid: the leg's own (an agent's leg is another call than the caller's).
        ttl_s: seconds until its socket must have begun.
    """
    token = await issue(tx, call_sid, ttl_s=ttl_s)
    await tx.execute(
        "UPDATE stream_tokens SET conversation_id = %s, leg = %s WHERE token_hash = %s",
        (conversation_id, leg, _hash(token)),
    )
    return token


async def redeem(tx: Transaction, token: str, call_sid: str) -> None:
    """Uses the token of the bot's own stream up. Of several at the same time one succeeds.

    Raises:
        TokenRefused: with the reason; the token stays as it was. A leg's token is ``unknown`` here.
    """
    await _redeem(tx, token, call_sid, None)


async def redeem_leg(tx: Transaction, token: str, leg: str, call_sid: str) -> str:
    """Uses the token of a leg's stream up; returns the conversation's id.

    Raises:
        TokenRefused: as `redeem`; a token of the bot's own stream, or of the other leg, is ``unknown`` here.
    """
    conversation_id = await _redeem(tx, token, call_sid, leg)
    assert conversation_id is not None  # a leg's token always has one
    return conversation_id


async def _redeem(tx: Transaction, token: str, call_sid: str, leg: str | None) -> str | None:
    cursor = await tx.execute(
        "SELECT call_sid, conversation_id, used_at IS NOT NULL AS used,"
        " expires_at <= clock_timestamp() AS expired"
        " FROM stream_tokens WHERE token_hash = %s AND leg IS NOT DISTINCT FROM %s::text FOR UPDATE",
        (_hash(token), leg),
    )
    row = await cursor.fetchone()
    if row is None:
        raise TokenRefused("unknown")
    if row["call_sid"] != call_sid:
        raise TokenRefused("wrong_call")
    if row["used"]:
        raise TokenRefused("used")
    if row["expired"]:
        raise TokenRefused("expired")
    await tx.execute(
        "UPDATE stream_tokens SET used_at = clock_timestamp() WHERE token_hash = %s", (_hash(token),)
    )
    return row["conversation_id"]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
