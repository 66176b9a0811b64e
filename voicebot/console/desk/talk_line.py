"""An agent's talk as the desk carries it: their browser on one side, the caller's node on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voicebot.channels.browser.ice import IceServer
from voicebot.channels.browser.peer import End, Peer
from voicebot.channels.talk.line import TAKEN_UP
from voicebot.channels.talk.pacing import Backlog
from voicebot.console.desk.client import ApiError, DeskApi

log = structlog.get_logger(__name__)

AGAIN_S = 0.25
"""Between two tries to reach the node: the caller hears nothing of a line that stands again within 0.8 s."""

MOST_MS = 400
"""Of the caller's sound waits for the browser at most; `Backlog` brings it down again."""
LEAD_MS = 40
"""Before the first sound after a pause: two frames may come late then."""

State = Literal["coming", "talking", "away", "taken_up", "caller_left", "goodbye", "bot", "queue", "refused"]
"""``away``: no node answers, or none has the caller just now; ``taken_up``: another page has it; others: what
the node says."""

OVER: frozenset[State] = frozenset({"taken_up", "caller_left", "goodbye", "bot", "queue", "refused"})


def new_peer(servers: tuple[IceServer, ...]) -> Peer:
    """The browser's end, as a talk needs it."""
    return Peer(servers=servers, most_ms=MOST_MS, lead_ms=LEAD_MS)


class TalkLine:
    """One talk from one page. `run` until it is over or the browser is gone.

    Args:
        api: of the nodes.
        agent: who speaks.
        talk_id: ``tk_...``.
        peer: answered already; closed at the end.
        changed: told of every state, on the event loop.
    """

    def __init__(
        self, api: DeskApi, agent: str, talk_id: str, peer: Peer, changed: Callable[[State], None]
    ) -> None:
        self.state: State = "coming"
        self._api = api
        self._agent = agent
        self._talk = talk_id
        self._peer = peer
        self._changed = changed
        self._line: ClientConnection | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._backlog = Backlog()

    async def run(self) -> None:
        """Carries the sound; dials again whatever breaks between desk and node."""
        listening = asyncio.create_task(self._from_browser())
        gone = asyncio.create_task(self._peer.closed.wait())
        try:
            while self.state not in OVER and not gone.done():
                carrying = asyncio.create_task(self._carry())
                await asyncio.wait({carrying, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not carrying.done():
                    carrying.cancel()
                await asyncio.gather(carrying, return_exceptions=True)
                if self.state not in OVER:
                    await asyncio.wait({gone}, timeout=AGAIN_S)
        finally:
            for task in (listening, gone):
                task.cancel()
            await asyncio.gather(listening, gone, return_exceptions=True)
            await self._peer.close()

    @property
    def peer_end(self) -> End | None:
        """How the browser's connection ended; None: it stands."""
        return self._peer.end

    def stop(self) -> None:
        """Ends it here: the caller is held for a while, and the agent may go on from another page."""
        self._stopping = asyncio.ensure_future(self._peer.close())

    async def look(self) -> None:
        """Has the node look at once: the talk was ended by REST."""
        if self._line is not None:
            with suppress(ConnectionClosed):
                await self._line.send('{"type": "look"}')

    async def _carry(self) -> None:
        try:
            async with self._api.line(self._agent, self._talk) as line:
                self._line = line
                try:
                    with suppress(ConnectionClosed):  # the close code says why
                        async for came in line:
                            if isinstance(came, bytes):
                                self._hear(came)
                            else:
                                self._told(json.loads(came))
                finally:
                    self._line = None
                if line.close_code == TAKEN_UP:
                    self._set("taken_up")
                elif self.state not in OVER:
                    self._set("away")
        except ApiError as error:
            refused = error.status in _REFUSED
            if self.state != "away":  # once, and not with every try
                log.info("desk.talk_line_lost", talk=self._talk, status=error.status)
            if self.state not in OVER:
                self._set("refused" if refused else "away")

    async def _from_browser(self) -> None:
        async for frame in self._peer.frames():
            if self._line is not None:
                with suppress(ConnectionClosed):
                    await self._line.send(frame.ulaw)

    def _hear(self, ulaw: bytes) -> None:
        if self._backlog.offer(ulaw, self._peer.queued_ms) == "send":
            self._peer.send(ulaw)

    def _told(self, word: dict[str, Any]) -> None:
        match word:
            case {"type": "state", "state": "coming" | "talking" | "away" as state}:
                self._set(state)
            case {"type": "over", "ending": "caller_left" | "goodbye" | "bot" | "queue" as ending}:
                self._set(ending)
            case _:
                pass

    def _set(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed(state)


_REFUSED = frozenset({401, 403, 404, 410, 422})
