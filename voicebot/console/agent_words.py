"""REST for what agents say after a call: disposition and verdict of a handoff, notes on turns.

Who had the handoff may speak of it, and a supervisor; every agent may note something on a turn of a
conversation that they may read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.console.corrections import from_note, from_verdict
from voicebot.console.handoffs import HandoffId, Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.console.reading import check_may_read, load
from voicebot.core.store import agent_words, audit, handoffs
from voicebot.core.store.agent_words import DispositionWord, Kind, NoteWord, VerdictWord
from voicebot.core.store.database import Transaction
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import SubjectErased
from voicebot.safety.pii.checksums import luhn

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,18}")
_TEXT = Field(default=None, min_length=1, max_length=2000)


class DispositionBody(StepBody):
    """How the person left it. ``text``: in their words; sealed."""

    disposition: DispositionWord
    text: str | None = _TEXT


class VerdictBody(StepBody):
    """Whether a person was needed; who disagrees says why."""

    verdict: VerdictWord
    why: str | None = _TEXT


class NoteBody(StepBody):
    """A note on a turn. For a wrong answer or intent ``text`` says what would have been right."""

    turn: int = Field(ge=0)
    note: NoteWord
    text: str | None = _TEXT


class AgentWords(BaseModel):
    """What somebody said. ``value``: of the kind's closed set; ``replaced_at``: they said otherwise then."""

    model_config = ConfigDict(extra="forbid")

    id: int
    kind: Kind
    value: str
    who: str
    handoff_id: str | None
    turn: int | None
    text: str | None
    at: datetime
    replaced_at: datetime | None


def agent_words_router(queue: Queue, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """What is said of handoffs and turns."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api", dependencies=[Depends(identify)], tags=["after the call"])

    async def of_handoff(
        who: Reader, handoff_id: str, kind: Kind, value: str, text: str | None, agent: str
    ) -> list[AgentWords]:
        async with queue.database.transaction() as tx:
            conversation_id = await _may_judge(tx, handoff_id, who, agent)
            await _say(tx, queue, conversation_id, kind, value, agent, text, handoff_id=handoff_id, turn=None)
            return await _shown(tx, queue, conversation_id, who, handoff_id=handoff_id)

    @router.post("/handoffs/{handoff_id}/disposition")
    async def disposition(who: Reads, handoff_id: HandoffId, body: DispositionBody) -> list[AgentWords]:
        """How it was left; said again it replaces what was said before. Gives what is said now."""
        agent = acting(who, body)
        return await of_handoff(who, handoff_id, "disposition", body.disposition, body.text, agent)

    @router.post("/handoffs/{handoff_id}/verdict")
    async def verdict(who: Reads, handoff_id: HandoffId, body: VerdictBody) -> list[AgentWords]:
        """Whether a person was needed. Who disagrees says why: it is proposed as a correction."""
        if body.verdict == "disagree" and not (body.why and body.why.strip()):
            raise HTTPException(422, "say `why` a person was not needed")
        return await of_handoff(who, handoff_id, "verdict", body.verdict, body.why, acting(who, body))

    @router.get("/handoffs/{handoff_id}/words")
    async def words(who: Reads, handoff_id: HandoffId, history: bool = False) -> list[AgentWords]:
        """What was said of a handoff; ``history``: what was replaced too."""
        async with queue.database.transaction() as tx:
            conversation_id = (await _handoff(tx, handoff_id))["conversation_id"]
            return await _shown(tx, queue, conversation_id, who, handoff_id=handoff_id, history=history)

    @router.post("/conversations/{conversation_id}/notes")
    async def note(who: Reads, conversation_id: ConversationId, body: NoteBody) -> list[AgentWords]:
        """A note on a turn; of an agent and a turn the newest counts."""
        agent = acting(who, body)
        async with queue.database.transaction() as tx:
            await _may_read(tx, queue, conversation_id, who)
            cursor = await tx.execute(
                "SELECT 1 FROM turns WHERE conversation_id = %s AND turn = %s", (conversation_id, body.turn)
            )
            if await cursor.fetchone() is None:
                raise HTTPException(404, f"conversation {conversation_id} has no turn {body.turn}")
            await _say(
                tx,
                queue,
                conversation_id,
                "note",
                body.note,
                agent,
                body.text,
                handoff_id=None,
                turn=body.turn,
            )
            return await _shown(tx, queue, conversation_id, who)

    @router.get("/conversations/{conversation_id}/notes")
    async def notes(who: Reads, conversation_id: ConversationId, history: bool = False) -> list[AgentWords]:
        """Everything that agents said of a conversation."""
        async with queue.database.transaction() as tx:
            await _may_read(tx, queue, conversation_id, who)
            return await _shown(tx, queue, conversation_id, who, history=history)

    return router


async def _handoff(tx: Transaction, handoff_id: str) -> dict[str, Any]:
    try:
        return await handoffs.bare(tx, handoff_id)
    except UnknownHandoff as error:
        raise HTTPException(404, f"no handoff {handoff_id}: see /api/handoffs") from error


async def _may_read(tx: Transaction, queue: Queue, conversation_id: str, who: Reader) -> None:
    """Raises HTTPException: 403 it is not theirs to read (yet); 404 no such conversation; 410 erased."""
    await check_may_read(tx, who, await load(queue, tx, conversation_id))


async def _may_judge(tx: Transaction, handoff_id: str, who: Reader, agent: str) -> str:
    """The handoff's conversation, if ``agent`` had it or supervises.

    Raises:
        HTTPException: 404 no such handoff; 403 it never was theirs.
    """
    row = await _handoff(tx, handoff_id)
    if who.role != "supervisor":
        theirs = [await agent_words.had(tx, handoff_id, name) for name in (agent, who.answers) if name]
        if not any(theirs):
            raise HTTPException(403, "only who had this handoff, or a supervisor, can say that")
    return row["conversation_id"]


def without_card(text: str | None) -> None:
    """Raises HTTPException (422) where a number in it checks out as a card's: such are kept nowhere."""
    for run in _DIGITS.findall(text or ""):
        if luhn("".join(filter(str.isdigit, run))):
            raise HTTPException(422, "there is a card's number in the text: leave it out")


async def _say(
    tx: Transaction,
    queue: Queue,
    conversation_id: str,
    kind: Kind,
    value: str,
    agent: str,
    text: str | None,
    *,
    handoff_id: str | None,
    turn: int | None,
) -> None:
    without_card(text)
    try:
        _, new = await agent_words.say(
            tx,
            queue.keys,
            conversation_id=conversation_id,
            kind=kind,
            value=value,
            who=agent,
            text=text,
            handoff_id=handoff_id,
            turn=turn,
        )
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased") from error
    if new:
        if kind == "verdict" and handoff_id is not None:
            await from_verdict(tx, queue.keys, handoff_id, value, text, agent)
        if kind == "note" and turn is not None:
            await from_note(tx, queue.keys, conversation_id, turn, value, text, agent)
        await audit.record(
            tx,
            action=f"agent.{kind}",
            actor=agent,
            facts={"value": value, "handoff": handoff_id, "text": text is not None},
            conversation_id=conversation_id,
            turn=turn,
        )


async def _shown(
    tx: Transaction,
    queue: Queue,
    conversation_id: str,
    who: Reader,
    *,
    handoff_id: str | None = None,
    history: bool = False,
) -> list[AgentWords]:
    try:
        rows = await agent_words.of(tx, queue.keys, conversation_id, handoff_id=handoff_id, history=history)
    except LookupError as error:
        raise HTTPException(404, f"no conversation {conversation_id}") from error
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased") from error
    await audit.access(
        tx,
        actor=who.who,
        resource="agent_words",
        purpose="console",
        fields=["text"] if any(row["text"] for row in rows) else [],
        conversation_id=conversation_id,
    )
    return [AgentWords.model_validate(row) for row in rows]
