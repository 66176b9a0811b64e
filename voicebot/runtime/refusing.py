"""Our WebSockets, but an upgrade that was refused with an answer is one that is dealt with.

uvicorn takes it for an application that forgot the handshake, and logs an error for each: whoever knocks
could fill the log.
"""

from __future__ import annotations

from typing import Any

from voicebot.runtime.line_socket import LineSocket


class RefusingSockets(LineSocket):
    """As its base."""

    async def send(self, message: Any) -> None:
        """Once the refusal has left, nothing is left to be done."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
