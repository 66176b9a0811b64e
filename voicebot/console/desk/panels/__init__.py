"""The panels of a conversation's page: each draws one thing an agent does there and keeps it up to date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from voicebot.console.desk.client import DeskApi


class Seat:
    """What the panels of one open page share: the conversation, and its hand-over as the API last gave it.

    Args:
        conversation_id: that the page is about.
        supervisor: whether the agent is one.
        handoff: as ``GET /api/handoffs/{id}`` has it; None: nobody was asked for.
        channel: of the conversation, ``phone`` or ``chat``; empty: not known.
    """

    def __init__(
        self,
        conversation_id: str,
        *,
        supervisor: bool,
        handoff: dict[str, Any] | None = None,
        channel: str = "",
    ) -> None:
        self.conversation_id = conversation_id
        self.supervisor = supervisor
        self.channel = channel
        self.handoff = handoff
        self._listeners: list[Callable[[], Awaitable[None]]] = []

    def held_by(self, agent: str) -> bool:
        """Whether ``agent`` has the hand-over now."""
        one = self.handoff
        return one is not None and one["claimed_by"] == agent and one["status"] in ("accepted", "bridged")

    def on_change(self, draw: Callable[[], Awaitable[None]]) -> None:
        """``draw`` is awaited whenever the hand-over took a step (accepted, given back, done, ...)."""
        self._listeners.append(draw)

    async def took_a_step(self, handoff: dict[str, Any]) -> None:
        """The page's: the hand-over stands anew."""
        self.handoff = handoff
        for draw in self._listeners:
            await draw()


class Panel(Protocol):
    """One panel. Made once for an open page; a task of its own ends with ``client.on_delete``."""

    async def show(self) -> None:
        """Draws into the element that is open; nothing where it has nothing to offer."""


MakePanel = Callable[[DeskApi, str, Seat], Panel]
"""``NamePanel(api, agent, seat)``: everything through ``api`` as ``agent``."""
