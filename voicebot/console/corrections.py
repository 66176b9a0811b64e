"""Agents' corrections come back: proposed from verdicts, notes and edits, reviewed, never used by themselves.

What is accepted is a document in the format of its place (a golden file, lines for an article or an intent);
a person puts it there. Nobody reviews what they proposed themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.console.handoffs import Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.core.store import audit, corrections, drafts, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.corrections import Kind, Status, UnknownCorrection
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.proof.evals.proposed import as_yaml, golden_case

log = structlog.get_logger(__name__)

CorrectionId = Annotated[str, Path(pattern="^co_[0-9a-f]{32}$")]
_TO_PERSON = {"after": "hand_over"}
_NO_PERSON = {"handoff": "none"}


class CorrectionRow(BaseModel):
    """A proposal and what became of it. ``source``: the verdict, note or draft it comes from."""

    model_config = ConfigDict(extra="forbid")

    id: str
    source: str
    kind: Kind
    conversation_id: str
    turn: int | None
    proposed_by: str
    status: Status
    decided_by: str | None
    decided_at: datetime | None
    created_at: datetime


class CorrectionDetail(CorrectionRow):
    """With its content. ``document``: what would be added where it belongs; ``why``: in the agent's words."""

    document: str
    why: str | None


async def from_verdict(
    tx: Transaction, keys: KeyRing, handoff_id: str, value: str, text: str | None, who: str
) -> None:
    """A person was not needed: the conversation up to there, to go on without one. Agreed: nothing."""
    source = f"verdict:{handoff_id}:{who}"
    if value != "disagree":
        await corrections.withdraw(tx, source)
        return
    row = await handoffs.bare(tx, handoff_id)
    await _golden(tx, keys, source, row["conversation_id"], row["turn"], _NO_PERSON, text, who)


async def from_note(
    tx: Transaction, keys: KeyRing, conversation_id: str, turn: int, value: str, text: str | None, who: str
) -> None:
    """A wrong or missing answer proposes an article's change, a misread intent a training row."""
    source = f"note:{conversation_id}:{turn}:{who}"
    if value == "missed_escalation":
        await _golden(tx, keys, source, conversation_id, turn, _TO_PERSON, text, who)
        return
    row = await Conversations(keys).turn(tx, conversation_id, turn)
    if value in {"good", "other"} or row is None or text is None:
        await corrections.withdraw(tx, source)
        return
    decision, asked = row["decision"], row["input"].get("text", "")
    if value == "wrong_intent":
        kind: Kind = "training_row"
        document: dict[str, Any] = {"text": asked, "read_as": decision.get("intent"), "should_be": text}
    else:
        kind = "article_change"
        sources = [one["article"] for one in decision.get("sources", [])]
        document = {"asked": asked, "said": row["spoken"], "articles": sources, "should_say": text}
    await _propose(tx, keys, source, kind, conversation_id, turn, who, {"document": document, "why": text})


async def from_edits(tx: Transaction, keys: KeyRing) -> int:
    """Proposes what agents made of drafts that they reworded; returns how many. Twice is once."""
    found = await corrections.edited_drafts(tx)
    for row in found:
        words = (await drafts.get(tx, keys, row["id"]))["words"]
        turns = await Conversations(keys).turns(tx, row["conversation_id"])
        edited = next((t["input"].get("text") for t in turns if t["input"].get("draft") == row["id"]), None)
        document = {
            "asked": words.get("question"),
            "said": words.get("words"),
            "articles": words.get("sources", []),
            "should_say": edited,
        }
        source = f"draft:{row['id']}"
        content = {"document": document, "why": None}
        await corrections.propose(
            tx,
            keys,
            source=source,
            kind="article_change",
            conversation_id=row["conversation_id"],
            turn=row["turn"],
            proposed_by=row["by"],
            content=content,
            replaces=False,
        )
    return len(found)


async def from_review(
    tx: Transaction,
    keys: KeyRing,
    conversation_id: str,
    turn: int,
    expect: dict[str, Any],
    why: str | None,
    who: str,
) -> str | None:
    """A call that somebody looked at, as a golden case: up to this turn, of which ``expect`` is expected.

    Proposed again by the same person it takes the place of what they had proposed.

    Returns:
        The correction's id; None: what they had proposed was decided already.

    Raises:
        ValueError: the turn is none of the caller's, or ``expect`` is not of the golden format.
    """
    conversations = Conversations(keys)
    snapshot = await conversations.load(tx, conversation_id)
    turns = await conversations.turns(tx, conversation_id)
    name = f"review-{conversation_id[3:11]}-{turn}"
    document = golden_case(name, str(snapshot.channel), turns, turn, expect)
    if document is None:
        raise ValueError("the turn is none of the caller's: a golden case needs what they said")
    return await corrections.propose(
        tx,
        keys,
        source=f"review:{conversation_id}:{turn}:{who}",
        kind="golden_case",
        conversation_id=conversation_id,
        turn=turn,
        proposed_by=who,
        content={"document": document, "why": why},
    )


async def _golden(
    tx: Transaction,
    keys: KeyRing,
    source: str,
    conversation_id: str,
    turn: int,
    expect: dict[str, Any],
    why: str | None,
    who: str,
) -> None:
    conversations = Conversations(keys)
    snapshot = await conversations.load(tx, conversation_id)
    turns = await conversations.turns(tx, conversation_id)
    name = f"correction-{conversation_id[3:11]}-{turn}"
    try:
        document = golden_case(name, str(snapshot.channel), turns, turn, expect)
    except ValueError:  # of a form that golden conversations do not have
        log.warning("correction.no_golden_case", conversation=conversation_id, turn=turn)
        document = None
    if document is None:
        await corrections.withdraw(tx, source)
        return
    content = {"document": document, "why": why}
    await _propose(tx, keys, source, "golden_case", conversation_id, turn, who, content)


async def _propose(
    tx: Transaction,
    keys: KeyRing,
    source: str,
    kind: Kind,
    conversation_id: str,
    turn: int,
    who: str,
    content: dict[str, Any],
) -> None:
    await corrections.propose(
        tx,
        keys,
        source=source,
        kind=kind,
        conversation_id=conversation_id,
        turn=turn,
        proposed_by=who,
        content=content,
    )


def corrections_router(queue: Queue, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """Proposals and their review under ``/api/corrections``: for supervisors and programs, no agent's."""

    def identify(request: Request) -> None:
        who = request.state.reader = reader(request)
        if who.role == "agent":
            raise HTTPException(403, "a supervisor reviews corrections")

    router = APIRouter(prefix="/api/corrections", dependencies=[Depends(identify)], tags=["after the call"])

    @router.get("")
    async def listed(
        status: Status | None = "proposed",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> list[CorrectionRow]:
        """Proposals without their content, the oldest first; agents' edits of drafts are among them."""
        async with queue.database.transaction() as tx:
            await from_edits(tx, queue.keys)
            rows = await corrections.list(tx, status=status, limit=limit)
        return [CorrectionRow.model_validate(row) for row in rows]

    @router.get("/{correction_id}")
    async def one(who: Reads, correction_id: CorrectionId) -> CorrectionDetail:
        """One with the document that it proposes; values of the caller stand as tokens."""
        async with queue.database.transaction() as tx:
            return await _detail(tx, queue, correction_id, who)

    async def decide(
        who: Reader, correction_id: str, status: Literal["accepted", "rejected"], body: StepBody | None
    ) -> CorrectionDetail:
        by = acting(who, body)
        async with queue.database.transaction() as tx:
            detail = await _detail(tx, queue, correction_id, who)
            if detail.proposed_by == by:
                raise HTTPException(403, "somebody else has to review what you proposed")
            if not await corrections.decide(tx, correction_id, status, by=by):
                raise HTTPException(409, f"it was decided already: {detail.status} by {detail.decided_by}")
            if detail.status == "proposed":
                await audit.record(
                    tx,
                    action=f"correction.{status}",
                    actor=by,
                    facts={"correction": correction_id, "kind": detail.kind},
                    conversation_id=detail.conversation_id,
                    turn=detail.turn,
                )
            return await _detail(tx, queue, correction_id, who)

    @router.post("/{correction_id}/accept")
    async def accept(
        who: Reads, correction_id: CorrectionId, body: StepBody | None = None
    ) -> CorrectionDetail:
        """It shall count: the answer's ``document`` is put where it belongs, by a person."""
        return await decide(who, correction_id, "accepted", body)

    @router.post("/{correction_id}/reject")
    async def reject(
        who: Reads, correction_id: CorrectionId, body: StepBody | None = None
    ) -> CorrectionDetail:
        """It shall not."""
        return await decide(who, correction_id, "rejected", body)

    return router


async def _detail(tx: Transaction, queue: Queue, correction_id: str, who: Reader) -> CorrectionDetail:
    try:
        row = await corrections.get(tx, queue.keys, correction_id)
    except UnknownCorrection as error:
        raise HTTPException(404, f"no correction {correction_id}: see /api/corrections") from error
    except SubjectErased as error:
        raise HTTPException(410, "what it is about was erased") from error
    await audit.access(
        tx,
        actor=who.who,
        resource="correction",
        purpose="review",
        conversation_id=row["conversation_id"],
    )
    content = row.pop("content")
    return CorrectionDetail(**row, document=as_yaml(content["document"]), why=content["why"])
