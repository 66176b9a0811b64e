"""Who may use the REST API: the bearer of its token, or this machine under ``--insecure-local``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import HTTPException
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from voicebot.channels.twilio.addresses import is_loopback
from voicebot.channels.twilio.caller import is_local

Guard = Callable[[HTTPConnection], None]


def bearer_guard(token: SecretStr | None, *, insecure_local: bool) -> Guard:
    """A FastAPI dependency that lets a request (or a WebSocket's) pass, or answers 401 / 403.

    Without a token the API is closed, except under ``--insecure-local``: then to programs of this machine
    that came neither through a proxy or tunnel nor from a page of another host.
    """

    def guard(request: HTTPConnection) -> None:
        if insecure_local and is_local(request) and named_as_this_machine(request):
            return
        if token is None:
            raise HTTPException(403, "the API is closed: set VOICEBOT_API_TOKEN, send it as bearer token")
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise HTTPException(
                401, "send 'Authorization: Bearer <VOICEBOT_API_TOKEN>'", {"WWW-Authenticate": "Bearer"}
            )

    return guard


def named_as_this_machine(request: HTTPConnection) -> bool:
    """Asked for by a name of this machine, and not from a page of another host: a browser lets any page open
    a WebSocket, and names the page.
    """
    origin = request.headers.get("origin")
    return is_loopback(request.url.hostname) and (origin is None or is_loopback(urlsplit(origin).hostname))
