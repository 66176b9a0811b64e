"""Who may use the REST API: the bearer of its token, or this machine under ``--insecure-local``."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import HTTPException, Request
from pydantic import SecretStr

from voicebot.channels.twilio.addresses import is_loopback
from voicebot.channels.twilio.caller import is_local


def bearer_guard(token: SecretStr | None, *, insecure_local: bool) -> Callable[[Request], None]:
    """A FastAPI dependency that lets a request pass or answers 401 / 403.

    Without a token the API is closed, except under ``--insecure-local``: then to programs of this machine
    that came neither through a proxy or tunnel nor from a page of another host.
    """

    def guard(request: Request) -> None:
        if insecure_local and is_local(request) and is_loopback(request.url.hostname):
            return
        if token is None:
            raise HTTPException(403, "the API is closed: set VOICEBOT_API_TOKEN, send it as bearer token")
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise HTTPException(
                401, "send 'Authorization: Bearer <VOICEBOT_API_TOKEN>'", {"WWW-Authenticate": "Bearer"}
            )

    return guard
