"""Who is signed in at the desk: a signed cookie that names the agent and when it ends. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

COOKIE = "voicebot_desk"
LASTS = timedelta(hours=10)
"""A shift. Who is signed in longer signs in again; nothing that is under way at the desk is lost by it."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, and until when. ``id``: of this signing in."""

    agent: str
    until: datetime
    id: str


class Sessions:
    """Makes and reads cookies. A new ``secret`` ends every session.

    Args:
        secret: of the server, at least 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the desk's secret needs at least 32 bytes")
        self._key = hashlib.sha256(b"voicebot desk session\0" + secret).digest()

    def issue(self, agent: str, now: datetime) -> str:
        """A cookie for ``agent``."""
        until = int((now + LASTS).timestamp())
        body = _text(json.dumps([agent, until, secrets.token_hex(16)]).encode())
        return f"{body}.{self._sign(body)}"

    def read(self, cookie: str | None, now: datetime) -> Session | None:
        """Whose it is; None: nobody's, somebody else's making, or over."""
        body, _, signature = (cookie or "").partition(".")
        if not signature or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        agent, until, one = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        session = Session(agent, datetime.fromtimestamp(until, UTC), one)
        return session if now < session.until else None

    def _sign(self, body: str) -> str:
        return _text(hmac.new(self._key, body.encode(), hashlib.sha256).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
