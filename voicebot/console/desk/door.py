"""The door of a desk that asks for no key (``--insecure-local``): it opens for pages of this machine alone.

Such a desk listens on loopback, but any page of the web could give its own name this machine's address (DNS
rebinding) and so sit down at it in the agent's browser. What it asks for then names another host.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from voicebot.console.access import named_as_this_machine

_WHY = "--insecure-local is for this machine: open the desk at http://127.0.0.1 or http://localhost\n"


class OwnDoor:
    """ASGI middleware: 403 for whoever reached the desk by another name, or from another host's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one socket."""
        if scope["type"] == "lifespan" or named_as_this_machine(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(_WHY, status_code=403)(scope, receive, send)
