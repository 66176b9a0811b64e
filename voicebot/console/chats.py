"""REST for who has a customer's chat: writing into it, being seen to write, giving it back to the bot."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.channels.chat.colleague import Colleague, NotWritten, UnfitWords
from voicebot.console.agent_words import without_card
from voicebot.console.handoffs import HandoffId, Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.core import metrics
from voicebot.core.store import chat_lines, handoffs
from voicebot.core.store.database import Transaction
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import SubjectErased
from voicebot.handoff.claims import Taken

log = structlog.get_logger(__name__)

Tells = Callable[[str], None]
"""Told a conversation's id; returns at once."""


class LineBody(StepBody):
    """What is written. ``key``: the sender's own name for it; sent again under it, it is the same line."""

    text: str = Field(min_length=1, max_length=4000)
    key: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")


class LineRow(BaseModel):
    """One line. ``told_at``: when it reached the customer; null: their page is closed, they get it later."""

    model_config = ConfigDict(extra="forbid")

    line: int
    who: str
    created_at: datetime
    told_at: datetime | None


class Standing(BaseModel):
    """How a hand-over stands now."""

    model_config = ConfigDict(extra="forbid")

    status: str
    claimed_by: str | None


def chats_router(
    queue: Queue,
    colleague: Colleague,
    reader: Callable[[HTTPConnection], Reader],
    *,
    wake: Tells,
    types: Tells,
) -> APIRouter:
    """What an agent does in a chat, under its hand-over.

    Args:
        queue: what is read from.
        colleague: writes.
        reader: says who asks, or refuses.
        wake: tells the nodes that a chat has something to bring.
        types: tells the nodes that somebody is just writing.
    """

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/handoffs", dependencies=[Depends(identify)], tags=["handoffs"])

    @router.post("/{handoff_id}/lines")
    async def write(who: Reads, handoff_id: HandoffId, body: LineBody) -> LineRow:
        """Writes to the customer; only who has the hand-over. The same ``key`` again is the same line.

        409: another has it (``claimed_by``), or nobody would get it (``why``: ``no_chat``, ``ended``,
        ``settled``, ``bot``, ``not_current``, ``other_words``). 422: a card's number, or too long.
        """
        agent = acting(who, body)
        without_card(body.text)
        async with _answered(queue) as tx:
            line = await colleague.write(tx, handoff_id, agent, body.key, body.text)
        metrics.chat_messages.labels("colleague").inc()
        queue.poke()
        wake(line.conversation_id)
        log.info("chat.colleague_wrote", conversation=line.conversation_id, handoff=handoff_id)
        return LineRow(line=line.line, who=line.who, created_at=line.created_at, told_at=line.told_at)

    @router.get("/{handoff_id}/lines")
    async def lines(who: Reads, handoff_id: HandoffId) -> list[LineRow]:
        """What was written under a hand-over, without the words, and what of it has reached the customer."""
        async with _answered(queue) as tx:
            await handoffs.bare(tx, handoff_id)
            rows = await chat_lines.of_handoff(tx, handoff_id)
        return [LineRow.model_validate(row) for row in rows]

    @router.post("/{handoff_id}/typing", status_code=202)
    async def typing(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> Standing:
        """A key was pressed within the last seconds: the customer is shown that a colleague is writing."""
        agent = acting(who, body)
        async with _answered(queue) as tx:
            row = await handoffs.bare(tx, handoff_id)
        if row["status"] not in handoffs.HELD or row["claimed_by"] != agent:
            raise _taken(Taken(row["status"], row["claimed_by"]))
        types(row["conversation_id"])
        return Standing(status=row["status"], claimed_by=row["claimed_by"])

    @router.post("/{handoff_id}/hand-back")
    async def hand_back(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> Standing:
        """Settles the hand-over of a chat and has the bot go on in it at once; only who has it."""
        agent = acting(who, body)
        async with _answered(queue) as tx:
            conversation_id = await colleague.give_back(tx, handoff_id, agent, answers=who.answers)
            row = await handoffs.bare(tx, handoff_id)
        queue.poke()
        wake(conversation_id)
        return Standing(status=row["status"], claimed_by=row["claimed_by"])

    _ = (write, lines, typing, hand_back)  # used by the router
    return router


@asynccontextmanager
async def _answered(queue: Queue) -> AsyncGenerator[Transaction]:
    """A transaction whose refusals are answers."""
    try:
        async with queue.database.transaction() as tx:
            yield tx
    except UnknownHandoff as error:
        raise HTTPException(404, "no such handoff: see /api/handoffs") from error
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased: there is nobody to write to") from error
    except Taken as taken:
        raise _taken(taken) from taken
    except NotWritten as refused:
        raise HTTPException(409, {"problem": str(refused), "why": refused.why}) from refused
    except UnfitWords as wrong:
        raise HTTPException(422, str(wrong)) from wrong


def _taken(taken: Taken) -> HTTPException:
    told = {"problem": str(taken), "claimed_by": taken.holder, "status": taken.status}
    return HTTPException(409, told)
