"""REST over talks, and the desk's line to the node: an agent takes a caller in the browser.

What comes over the line is sound; what is to happen is asked for here, so that it is checked, written and
audited like every other step of an agent's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnected

from voicebot.channels.door import Door
from voicebot.channels.talk.hub import TalkHub
from voicebot.channels.talk.line import DeskLine
from voicebot.console.handoffs import HandoffId, Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader, at_the_door
from voicebot.core.store import talks as stored
from voicebot.core.store.conversations import UnknownConversation
from voicebot.core.store.database import DatabaseDown, Transaction
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import SubjectErased
from voicebot.core.store.talks import Ending, State, Talk, UnknownTalk
from voicebot.handoff.claims import Taken
from voicebot.handoff.talks import NoCaller, Talks

TakeOver = Callable[[Transaction, str, str], Awaitable[str]]
"""In a transaction, for a conversation, by a supervisor: the id of the handoff that they may take."""

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
TalkId = Annotated[str, Path(pattern="^tk_[0-9a-f]{32}$")]

MAX_LINES = 100
"""Lines of desks to one node, those that are passed on to another included."""


class TalkRow(BaseModel):
    """A talk. ``ending``: what the caller gets, or got; ``began_at``: when both heard each other first."""

    model_config = ConfigDict(extra="forbid")

    id: str
    conversation_id: str
    handoff_id: str
    agent: str
    state: State
    ending: Ending | None
    reason: str | None
    asked_at: datetime
    began_at: datetime | None
    over_at: datetime | None

    @classmethod
    def of(cls, talk: Talk) -> TalkRow:
        """As it is shown."""
        return cls(**{name: getattr(talk, name) for name in cls.model_fields})


class EndBody(StepBody):
    """How it ends: ``goodbye`` ends the call politely, ``bot`` gives the caller back to the bot, ``queue``
    too, and the hand-over waits for somebody else.
    """

    then: Literal["goodbye", "bot", "queue"]


def talks_router(
    queue: Queue,
    talks: Talks,
    hub: TalkHub,
    take_over: TakeOver,
    reader: Callable[[HTTPConnection], Reader],
    door: Door | None = None,
) -> APIRouter:
    """Talks: taken, looked at, ended; and the line that carries one. ``door``: told who proves nothing."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api", tags=["talks"])
    asked = [Depends(identify)]
    lines: set[DeskLine] = set()

    async def taken(who: Reader, agent: str, find: Callable[[Transaction], Awaitable[str]]) -> TalkRow:
        try:
            async with queue.database.transaction() as tx:
                talk = await talks.take(
                    tx,
                    await find(tx),
                    agent,
                    answers=who.answers,
                    supervises=who.role == "supervisor",
                )
        except UnknownHandoff as error:
            raise HTTPException(404, "no such handoff: see /api/handoffs") from error
        except UnknownConversation as error:
            raise HTTPException(404, "no such conversation") from error
        except SubjectErased as error:
            raise HTTPException(410, "what was said there was erased: there is nothing to take") from error
        except Taken as lost:
            raise HTTPException(
                409, {"problem": str(lost), "claimed_by": lost.holder, "status": lost.status}
            ) from lost
        except NoCaller as gone:
            raise HTTPException(409, {"problem": str(gone), "why": gone.why}) from gone
        queue.poke()
        hub.wake()
        return TalkRow.of(talk)

    @router.post("/handoffs/{handoff_id}/talk", dependencies=asked)
    async def talk(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> TalkRow:
        """Takes the caller of a handoff: who has it already, or is the first. 409 says who was."""

        async def find(_: Transaction) -> str:
            return handoff_id

        return await taken(who, acting(who, body), find)

    @router.get("/handoffs/{handoff_id}/talk", dependencies=asked)
    async def newest(who: Reads, handoff_id: HandoffId) -> TalkRow | None:
        """The last talk of a handoff; null: there was none."""
        async with queue.database.transaction() as tx:
            found = await stored.of_handoff(tx, handoff_id)
        return TalkRow.of(found) if found is not None else None

    @router.post("/conversations/{conversation_id}/take-over", dependencies=asked)
    async def over(who: Reads, conversation_id: ConversationId, body: StepBody | None = None) -> TalkRow:
        """A supervisor takes a live call from the bot, which says a sentence and steps back."""
        agent = acting(who, body)
        if who.role == "agent":
            raise HTTPException(403, "only supervisors take a call over that nobody was asked for")

        async def find(tx: Transaction) -> str:
            return await take_over(tx, conversation_id, agent)

        return await taken(who, agent, find)

    @router.post("/talks/{talk_id}/end", dependencies=asked)
    async def end(who: Reads, talk_id: TalkId, body: EndBody) -> TalkRow:
        """Ends a talk; only who speaks, or a supervisor. Again: it stays as it ended first."""
        agent = acting(who, body)
        async with queue.database.transaction() as tx:
            try:
                found = await stored.get(tx, talk_id)
            except UnknownTalk as error:
                raise HTTPException(404, "no such talk") from error
            if agent != found.agent and who.role != "supervisor":
                raise HTTPException(403, f"{found.agent} speaks with this caller")
            found = await talks.end(tx, talk_id, body.then, "agent_done", who=agent)
        queue.poke()
        hub.wake()
        return TalkRow.of(found)

    @router.websocket("/talks/{talk_id}/audio")
    async def audio(socket: WebSocket, talk_id: str) -> None:
        """The desk's line: binary frames are mu-law, 8 kHz, 20 ms each, both ways; text is JSON.

        To the desk: ``{"type": "state", "state": "coming" | "talking"}``, ``{"type": "over", "ending": ...}``
        and ``{"type": "key"}`` when the caller presses one. From the desk: ``{"type": "look"}`` after it has
        ended the talk by REST. Close code 1000: over; 4001: another line took its place.
        """
        try:
            who = at_the_door(reader, socket, door)
            await _may_speak(queue, who, talk_id)
            if len(lines) >= MAX_LINES:
                raise HTTPException(503, f"this node has its {MAX_LINES} lines", {"Retry-After": "5"})
        except HTTPException as refused:
            answer = JSONResponse({"detail": refused.detail}, refused.status_code, refused.headers)
            with suppress(WebSocketDisconnected, RuntimeError, OSError):  # gone already
                await socket.send_denial_response(answer)
            return
        line = DeskLine(socket)
        lines.add(line)
        try:
            await socket.accept()
            await hub.serve(line, talk_id, dict(socket.headers))
        finally:
            lines.discard(line)

    _ = (talk, newest, over, end, audio)  # used by the router
    return router


async def _may_speak(queue: Queue, who: Reader, talk_id: str) -> None:
    """Whether the talk is theirs.

    Raises:
        HTTPException: 403 it is another's; 404 there is none; 503 the database is away.
    """
    try:
        async with queue.database.transaction() as tx:
            found = await stored.get(tx, talk_id)
    except UnknownTalk as error:
        raise HTTPException(404, "no such talk") from error
    except DatabaseDown as error:
        raise HTTPException(503, "the database is away: try again", {"Retry-After": "2"}) from error
    if found.agent != who.who:
        raise HTTPException(403, f"{found.agent} speaks with this caller")
