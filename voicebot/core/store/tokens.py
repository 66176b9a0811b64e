"""One-time keys of media sockets: bound to a call, used once, short-lived. Only a hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from voicebot.core.store.database import Transaction

Refusal = Literal["unknown", "used", "expired", "wrong_call"]


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


async def redeem(tx: Transaction, token: str, call_sid: str) -> None:
    """Uses the token up. Of several at the same time one succeeds.

    Raises:
        TokenRefused: with the reason; the token stays as it was.
    """
    cursor = await tx.execute(
        "SELECT call_sid, used_at IS NOT NULL AS used, expires_at <= clock_timestamp() AS expired"
        " FROM stream_tokens WHERE token_hash = %s FOR UPDATE",
        (_hash(token),),
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


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
