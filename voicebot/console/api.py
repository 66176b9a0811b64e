"""The REST API over conversations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.console.handoffs import Reads
from voicebot.console.readers import Reader
from voicebot.console.reading import Console, check_may_read, load
from voicebot.core.conversation import Event
from voicebot.core.store import acts, audit, drafts, follow_ups, outbox, text_messages, tool_calls, vault
from voicebot.handoff.views import without_number

__all__ = ["Console", "ConversationDetail", "ConversationRow", "api_router", "event_dict"]


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


def event_dict(event: Event) -> dict[str, Any]:
    """An event as JSON: CloudEvents names where they exist."""
    return event.model_dump(mode="json")


def api_router(console: Console, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """Conversations under ``/api``; database down is 503 with a ``Retry-After``."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api", dependencies=[Depends(identify)], tags=["conversations"])

    @router.get("/conversations")
    async def conversations(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: datetime | None = None,
        going_on: bool = False,
    ) -> list[ConversationRow]:
        """The newest conversations first; ``before`` pages back by ``created_at``.

        ``going_on``: only those that have not ended.
        """
        async with console.database.transaction() as tx:
            rows = await console.conversations.list(tx, limit=limit, before=before, going_on=going_on)
        return [
            ConversationRow.model_validate({k: row[k] for k in ConversationRow.model_fields}) for row in rows
        ]

    @router.get("/conversations/{conversation_id}")
    async def conversation(who: Reads, conversation_id: str) -> ConversationDetail:
        """State, turns with their reasons, events, acts, promises and drafts of one conversation.

        An agent's only when it is over or was handed over (403); a supervisor's always.
        """
        async with console.database.transaction() as tx:
            snapshot = await load(console, tx, conversation_id)
            await check_may_read(tx, who, snapshot)
            turns = await console.conversations.turns(tx, conversation_id)
            events = await outbox.events_of(tx, console.keys, conversation_id)
            done = await acts.of(tx, console.keys, conversation_id)
            calls = await tool_calls.of(tx, console.keys, conversation_id)
            texts = await text_messages.of(tx, conversation_id)
            promised = [
                await follow_ups.get(tx, console.keys, row["id"])
                for row in await follow_ups.list(tx, conversation_id=conversation_id)
            ]
            values = await vault.values(tx, console.keys, conversation_id)
            held = [
                vault.tokens_for(values, await drafts.get(tx, console.keys, row["id"]))
                for row in await drafts.list(tx, conversation_id=conversation_id)
            ]
            await audit.access(
                tx,
                actor=who.who,
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
            follow_ups=without_number(promised, snapshot.caller),
            drafts=held,
        )

    return router
