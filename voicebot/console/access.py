"""Who may use the REST API: the bearer of ``VOICEBOT_API_TOKEN``, or anyone under ``--insecure-local``."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import HTTPException, Request
from pydantic import SecretStr


def bearer_guard(token: SecretStr | None, *, insecure_local: bool) -> Callable[[Request], None]:
    """A FastAPI dependency that lets a request pass or answers 401 / 403.

    Without a token the API is closed, except under ``--insecure-local`` (loopback only).
    """

    def guard(request: Request) -> None:
        if insecure_local:
            return
        if token is None:
            raise HTTPException(403, "the API is off: set VOICEBOT_API_TOKEN and send it as a bearer token")
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise HTTPException(
                401, "send 'Authorization: Bearer <VOICEBOT_API_TOKEN>'", {"WWW-Authenticate": "Bearer"}
            )

    return guard
