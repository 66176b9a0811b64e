"""REST over promises to callers: what is due and whose it is; who takes one sees what it takes to keep it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.console.handoffs import Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.core.store import audit, follow_up_claims, follow_ups, vault
from voicebot.core.store.database import Transaction
from voicebot.core.store.follow_ups import UnknownFollowUp
from voicebot.core.store.keys import SubjectErased
from voicebot.handoff.views import promise_view

FollowUpId = Annotated[str, Path(pattern="^fu_[0-9a-f]{32}$")]

_STEPS = {
    "accept": follow_up_claims.claim,
    "decline": follow_up_claims.release,
    "done": follow_up_claims.settle,
}
_TOLD = {"accept": "follow_up.accepted", "decline": "follow_up.declined", "done": "follow_up.done"}


class FollowUpRow(BaseModel):
    """One promise. ``details``: values for who has taken it, tokens for others; None with a ``problem``."""

    model_config = ConfigDict(extra="forbid")

    id: str
    conversation_id: str
    turn: int
    kind: str
    intent: str
    owner: str
    urgency: str
    due_at: datetime
    status: str
    claimed_by: str | None
    created_at: datetime
    changed_at: datetime
    details: dict[str, Any] | None = None
    problem: str | None = None
    revealed: list[str] = Field(default_factory=list[str])


def follow_ups_router(queue: Queue, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """All endpoints under ``/api/follow-ups``."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/follow-ups", dependencies=[Depends(identify)], tags=["follow-ups"])

    @router.get("")
    async def list_follow_ups(
        who: Reads,
        status: Literal["open", "done", "cancelled"] | None = None,
        conversation: Annotated[str | None, Query(pattern="^cv_[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[FollowUpRow]:
        """Promises, those due first. For a page that looks every few seconds one entry in the access log of
        a reader, a promise and what they see of it is enough.
        """
        async with queue.database.transaction() as tx:
            rows = await follow_ups.list(tx, status=status, conversation_id=conversation, limit=limit)
            return [await _row(queue, tx, row, who, listed=True) for row in rows]

    async def step(
        who: Reader, follow_up_id: str, what: Literal["accept", "decline", "done"], body: StepBody | None
    ) -> FollowUpRow:
        agent = acting(who, body)
        try:
            async with queue.database.transaction() as tx:
                before = await follow_up_claims.standing(tx, follow_up_id)
                if not await _STEPS[what](tx, follow_up_id, agent):
                    has = before["claimed_by"]
                    problem = f"{has or 'nobody'} has it ({before['status']})"
                    raise HTTPException(
                        409, {"problem": problem, "claimed_by": has, "status": before["status"]}
                    )
                if await follow_up_claims.standing(tx, follow_up_id) != before:
                    await audit.record(
                        tx,
                        action=_TOLD[what],
                        actor=agent,
                        facts={"follow_up": follow_up_id},
                        conversation_id=before["conversation_id"],
                    )
                rows = await follow_ups.list(tx, conversation_id=before["conversation_id"], limit=500)
                return await _row(queue, tx, next(row for row in rows if row["id"] == follow_up_id), who)
        except UnknownFollowUp as error:
            raise HTTPException(404, f"no follow-up {follow_up_id}: see /api/follow-ups") from error

    @router.post("/{follow_up_id}/accept")
    async def accept(who: Reads, follow_up_id: FollowUpId, body: StepBody | None = None) -> FollowUpRow:
        """Takes it; 409 names who was first."""
        return await step(who, follow_up_id, "accept", body)

    @router.post("/{follow_up_id}/decline")
    async def decline(who: Reads, follow_up_id: FollowUpId, body: StepBody | None = None) -> FollowUpRow:
        """Gives it back."""
        return await step(who, follow_up_id, "decline", body)

    @router.post("/{follow_up_id}/done")
    async def done(who: Reads, follow_up_id: FollowUpId, body: StepBody | None = None) -> FollowUpRow:
        """The promise is kept. Only who has it can say so."""
        return await step(who, follow_up_id, "done", body)

    return router


async def _row(
    queue: Queue, tx: Transaction, row: dict[str, Any], who: Reader, *, listed: bool = False
) -> FollowUpRow:
    stands = await follow_up_claims.standing(tx, row["id"])
    holds = who.role != "api" and (stands["status"], stands["claimed_by"]) == ("open", who.who)
    shown: dict[str, Any] = {}
    try:
        details = (await follow_ups.get(tx, queue.keys, row["id"]))["details"]
        snapshot = await queue.conversations.load(tx, row["conversation_id"])
        values = await vault.values(tx, queue.keys, row["conversation_id"]) if holds else None
        view = promise_view(details, snapshot.caller, values, queue.reasons.reveals)
        shown = {"details": view.shown, "revealed": [*view.kinds]}
    except SubjectErased as error:
        shown = {"problem": str(error)}
    kinds: list[str] = shown.get("revealed", [])
    if not listed or queue.first_look(who.who, " ".join((row["id"], *kinds))):
        await audit.access(
            tx,
            actor=who.who,
            resource="follow_up",
            purpose="follow_up.held" if holds else "console",
            fields=kinds,
            conversation_id=row["conversation_id"],
        )
    return FollowUpRow(**{**row, **stands}, **shown)
