"""The REST API over conversations and handoffs, and the live stream of one call."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from voicebot.core.bus import Bus
from voicebot.core.conversation import Event
from voicebot.core.store import acts, audit, drafts, follow_ups, handoffs, outbox, text_messages, tool_calls
from voicebot.core.store.conversations import Conversations, Snapshot, UnknownConversation
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.follow import follow
from voicebot.core.store.keys import KeyRing

_ID = re.compile(r"cv_[0-9a-f]{32}")

Seq = Annotated[int, Query(ge=0, le=2**63 - 1)]

KEEP_ALIVE_S = 5.0
"""A quiet live stream says so this often, and notices then that its reader has left."""

ENDINGS = frozenset({"call.ended", "chat.ended"})
"""Nothing follows them in a live stream."""


class ConversationRow(BaseModel):
    """One line of the list: nothing personal."""

    model_config = ConfigDict(extra="forbid")

    id: str
    channel: str
    call_sid: str | None
    status: str
    turn: int
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class ConversationDetail(ConversationRow):
    """One conversation whole.

    A turn is its transaction, input, decision, words, what was heard of them, timings and how the words
    were written. A decision carries its reasons: the monitor's scores, the policy's row, sources, tools
    with their results, and the versions of policy, monitor, knowledge, writer and prompt.
    """

    state: dict[str, Any]
    turns: list[dict[str, Any]]
    events: list[dict[str, Any]]
    acts: list[dict[str, Any]]
    """What was done besides speaking: key, act, status, arguments, outcome."""
    follow_ups: list[dict[str, Any]]
    """What was promised: owner, due time, details."""
    tool_calls: list[dict[str, Any]]
    """Every call of a tool, also a rejected one or one of a discarded plan: inputs, outputs, time."""
    text_messages: list[dict[str, Any]]
    """Text messages that were ordered, without number and words."""
    drafts: list[dict[str, Any]]
    """Words that had, or have, to be approved."""


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
        return [
            ConversationRow.model_validate({k: row[k] for k in ConversationRow.model_fields}) for row in rows
        ]

    @router.get("/conversations/{conversation_id}")
    async def conversation(conversation_id: str) -> ConversationDetail:
        """State, turns with their reasons, events, acts, promises and drafts of one conversation."""
        async with console.database.transaction() as tx:
            snapshot = await _load(console, tx, conversation_id)
            turns = await console.conversations.turns(tx, conversation_id)
            events = await outbox.events_of(tx, console.keys, conversation_id)
            done = await acts.of(tx, console.keys, conversation_id)
            calls = await tool_calls.of(tx, console.keys, conversation_id)
            texts = await text_messages.of(tx, conversation_id)
            promised = [
                await follow_ups.get(tx, console.keys, row["id"])
                for row in await follow_ups.list(tx, conversation_id=conversation_id)
            ]
            held = [
                await drafts.get(tx, console.keys, row["id"])
                for row in await drafts.list(tx, conversation_id=conversation_id)
            ]
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
            acts=[asdict(act) for act in done],
            tool_calls=calls,
            text_messages=texts,
            follow_ups=promised,
            drafts=held,
        )

    @router.get("/conversations/{conversation_id}/stream")
    async def stream(
        request: Request,
        conversation_id: str,
        last_event_id: Annotated[int, Header(ge=0, le=2**63 - 1)] = 0,
        after: Seq = 0,
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
        status: Annotated[str | None, Query(pattern="^[a-z_]{1,32}$")] = None,
        conversation: Annotated[str | None, Query(pattern="^cv_[0-9a-f]{32}$")] = None,
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
    if not _ID.fullmatch(conversation_id):
        raise HTTPException(404, "no such conversation: ids are cv_ and 32 hex digits")
    try:
        return await console.conversations.load(tx, conversation_id)
    except UnknownConversation as error:
        raise HTTPException(404, f"no conversation {conversation_id!r}: see /api/conversations") from error


async def _live(console: Console, conversation_id: str, after: int, request: Request) -> AsyncIterator[str]:
    while not await request.is_disconnected():
        events = follow(console.database, console.keys, console.bus, conversation_id, after_seq=after)
        lines = _with_heartbeat(events)
        try:
            async with aclosing(lines):
                async for event in lines:
                    if await request.is_disconnected():
                        return
                    if event is None:
                        yield ": still here\n\n"
                        continue
                    mark = "" if event.seq is None else f"id: {event.seq}\n"
                    after = after if event.seq is None else event.seq
                    yield f"{mark}event: {event.type}\ndata: {json.dumps(event_dict(event))}\n\n"
                    if event.type in ENDINGS:
                        return
        except DatabaseDown:
            yield ": the database is away, trying again\n\n"
            await asyncio.sleep(1.0)


async def _with_heartbeat(events: AsyncGenerator[Event]) -> AsyncGenerator[Event | None]:
    """The events, and None when nothing came for ``KEEP_ALIVE_S``."""
    waiting: asyncio.Future[Event] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({waiting}, timeout=KEEP_ALIVE_S)
            if not done:
                yield None
                continue
            finished, waiting = waiting, None
            yield finished.result()
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})
        await events.aclose()
