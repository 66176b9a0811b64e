"""The signature of what is sent to a webhook, and how a receiver checks it. Pure.

t=1764000000,v1=HEX        v1 = HMAC-SHA256(secret, "1764000000.de_0123....BODY")
"""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE, DELIVERY, EVENT = "X-Voicebot-Signature", "X-Voicebot-Delivery", "X-Voicebot-Event"
TOLERANCE_S = 300


def signature(secret: bytes, delivery: str, body: bytes, at: int) -> str:
    """The header's value. ``at``: seconds since 1970, UTC."""
    signed = b".".join((str(at).encode(), delivery.encode(), body))
    return f"t={at},v1={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"


def is_genuine(
    secret: bytes, delivery: str, body: bytes, given: str, now: float, *, tolerance_s: float = TOLERANCE_S
) -> bool:
    """Whether a received signature is ours and fresh. What a receiver does; our tests do.

    Args:
        secret: both sides'.
        delivery: the header `DELIVERY`.
        body: the bytes as they came.
        given: the header `SIGNATURE`.
        now: seconds since 1970.
        tolerance_s: how old or ahead it may be.
    """
    stamp = given.partition(",")[0].removeprefix("t=")
    if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > tolerance_s:
        return False
    return hmac.compare_digest(given.encode(), signature(secret, delivery, body, int(stamp)).encode())
