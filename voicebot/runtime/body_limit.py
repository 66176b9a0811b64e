"""Requests whose body is too large, or does not come, are answered and not kept: an ASGI layer.

FastAPI reads a whole body into memory before it looks at it. Twilio's webhooks have their own limit, which
is audited.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 256 * 1024
"""A browser's offer is under 20 KB, an article's correction under 50."""

BODY_WITHIN_S = 20.0

_OWN_LIMIT = "/twilio/"


class BodyLimit:
    """Answers 413 to more than so many bytes, and 408 to what has not come whole in time.

    Args:
        app: what is behind it.
        most_bytes: of a body.
        within_s: from the first time that somebody asks for the body.
    """

    def __init__(
        self, app: ASGIApp, most_bytes: int = MOST_BODY_BYTES, within_s: float = BODY_WITHIN_S
    ) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN_LIMIT):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > self._most_bytes:
            answer = JSONResponse({"detail": self._too_large()}, 413)
            await answer(scope, receive, send)
            return
        await self._app(scope, _Counted(receive, self._most_bytes, self._within_s, self._too_large()), send)

    def _too_large(self) -> str:
        return f"the body is too large: at most {self._most_bytes} bytes are read"


class _Counted:
    """A request's ``receive`` that ends with the limit."""

    def __init__(self, receive: Receive, most_bytes: int, within_s: float, too_large: str) -> None:
        self._receive = receive
        self._left = most_bytes
        self._within_s = within_s
        self._too_large = too_large
        self._due_s: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:  # what comes now is that the client leaves, which may take any time
            return await self._receive()
        loop = asyncio.get_running_loop()
        if self._due_s is None:
            self._due_s = loop.time() + self._within_s
        try:
            async with asyncio.timeout_at(self._due_s):
                message: dict[str, Any] = dict(await self._receive())
        except TimeoutError:
            raise HTTPException(
                408, f"the body did not come in {self._within_s:g} s", headers={"Connection": "close"}
            ) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, self._too_large)
        self._whole = not message.get("more_body", False)
        return message
