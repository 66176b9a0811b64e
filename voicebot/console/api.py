"""The REST API over conversations and handoffs, and the live stream of one call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from voicebot.core.bus import Bus
from voicebot.core.conversation import Event
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.conversations import Conversations, Snapshot, UnknownConversation
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing

POLL_S = 0.25
"""How often a live stream looks for events that another node wrote."""

KEEP_ALIVE_S = 15.0


class ConversationRow(BaseModel):
    """One line of the list: nothing personal."""

    model_config = ConfigDict(extra="forbid")

    id: str
    channel: str
    status: str
    turn: int
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class ConversationDetail(ConversationRow):
    """One conversation whole: state, turns (input, decision, heard, timings) and events."""

    call_sid: str | None
    state: dict[str, Any]
    turns: list[dict[str, Any]]
    events: list[dict[str, Any]]


class Console:
    """What the API's endpoints read from; made once by the node."""

    def __init__(self, database: Database, keys: KeyRing, bus: Bus) -> None:
        self.database = database
        self.keys = keys
        self.bus = bus
        self.conversations = Conversations(keys)


def event_dict(event: Event) -> dict[str, Any]:
    """An event as JSON: CloudEvents names where they exist."""
    return event.model_dump(mode="json")


def api_router(console: Console, guard: Callable[[Request], None]) -> APIRouter:
    """All endpoints under ``/api``; database down is 503 with a ``Retry-After``."""
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)], tags=["conversations"])

    @router.get("/conversations")
    async def conversations(
        limit: Annotated[int, Query(ge=1, le=500)] = 50, before: datetime | None = None
    ) -> list[ConversationRow]:
        """The newest conversations first; ``before`` pages back by ``created_at``."""
        async with console.database.transaction() as tx:
            rows = await console.conversations.list(tx, limit=limit, before=before)
        return [ConversationRow.model_validate({k: row[k] for k in ConversationRow.model_fields}) for row in rows]

    @router.get("/conversations/{conversation_id}")
    async def conversation(conversation_id: str) -> ConversationDetail:
        """State, turns, events and timings of one conversation."""
        async with console.database.transaction() as tx:
            snapshot = await _load(console, tx, conversation_id)
            turns = await console.conversations.turns(tx, conversation_id)
            events = await outbox.events_of(tx, console.keys, conversation_id)
            await audit.access(
                tx,
                actor="api",
                resource="conversation",
                purpose="console",
                conversation_id=conversation_id,
            )
        return ConversationDetail(
            id=snapshot.id,
            channel=str(snapshot.channel),
            status=snapshot.status,
            turn=snapshot.turn,
            created_at=snapshot.created_at,
            ended_at=snapshot.ended_at,
            end_reason=snapshot.end_reason,
            call_sid=snapshot.call_sid,
            state=snapshot.state,
            turns=turns,
            events=[event_dict(event) for event in events],
        )

    @router.get("/conversations/{conversation_id}/stream")
    async def stream(
        request: Request,
        conversation_id: str,
        last_event_id: Annotated[int, Header()] = 0,
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> StreamingResponse:
        """Server-sent events: all that happened after ``Last-Event-ID`` (or ``after``), then live.

        Stored events carry their ``seq`` as id, so that a reconnect misses and repeats
        nothing. Partial words come without an id, live only.
        """
        async with console.database.transaction() as tx:
            await _load(console, tx, conversation_id)
        lines = _live(console, conversation_id, max(last_event_id, after), request)
        return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @router.get("/handoffs", tags=["handoffs"])
    async def list_handoffs(
        status: str | None = None,
        conversation: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[dict[str, Any]]:
        """Conversations given to a person, those that wait longest first, with their payloads."""
        async with console.database.transaction() as tx:
            rows = await handoffs.list(tx, status=status, conversation_id=conversation, limit=limit)
            found = [await handoffs.get(tx, console.keys, row["id"]) for row in rows]
            for row in found:
                await audit.access(
                    tx,
                    actor="api",
                    resource="handoff",
                    purpose="console",
                    conversation_id=row["conversation_id"],
                )
            return found

    return router


async def _load(console: Console, tx: Any, conversation_id: str) -> Snapshot:
    try:
        return await console.conversations.load(tx, conversation_id)
    except UnknownConversation as error:
        raise HTTPException(404, f"no conversation {conversation_id!r}: see /api/conversations") from error


async def _live(console: Console, conversation_id: str, after: int, request: Request) -> AsyncIterator[str]:
    live = console.bus.subscribe(conversation_id)
    quiet_s = 0.0
    try:
        while not await request.is_disconnected():
            try:
                async with console.database.transaction() as tx:
                    events = await outbox.events_of(tx, console.keys, conversation_id, after_seq=after)
            except DatabaseDown:
                events = []
            for event in events:
                after = event.seq or after
                yield f"id: {after}\nevent: {event.type}\ndata: {json.dumps(event_dict(event))}\n\n"
                if event.type == "conversation.ended":
                    return
            waited = 0.0
            while waited < POLL_S:
                started = asyncio.get_running_loop().time()
                try:
                    event = await asyncio.wait_for(anext(live), POLL_S - waited)
                except TimeoutError:
                    break
                if event.seq is not None:
                    break  # stored: read it from the database, in order
                yield f"event: {event.type}\ndata: {json.dumps(event_dict(event))}\n\n"
                waited += asyncio.get_running_loop().time() - started
            quiet_s = 0.0 if events else quiet_s + POLL_S
            if quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
    finally:
        live.close()
