"""The short way between a media session and its socket, where the server has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.websockets import WebSocket

LINE = "voicebot.line"
"""Among the extensions of the socket's scope."""


class Line(Protocol):
    """A socket that tells text frames at once and sends without waiting."""

    def listen(self, take: Callable[[str], bool]) -> None:
        """``take`` is called with each text frame as it comes, in order, and must not block.

        It says whether it took it; what it did not take, and what comes while that waits to be received,
        is received in the usual way.
        """
        ...

    def send_now(self, text: str) -> bool:
        """Sends a text frame; False: not now, the peer reads too slowly or the socket is closing."""
        ...


def line_of(socket: WebSocket) -> Line | None:
    """The socket's short way; None: it has none."""
    return (getattr(socket, "scope", None) or {}).get("extensions", {}).get(LINE)
