"""Calls that we make, by REST: order one, see what became of it, take it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.core.store import audit, callbacks
from voicebot.core.store.callbacks import KeyReused, UnknownCallback
from voicebot.core.store.conversations import UnknownConversation
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.handoff.ordering import WHAT_TO_DO, CallOrder, Taken, order
from voicebot.handoff.outbound import Outbound, Refused

CallId = Annotated[str, Path(pattern="^cb_[0-9a-f]{32}$")]


class CallTry(BaseModel):
    """One try. ``answered_by``: as Twilio says; ``conversation_id``: what was said, if a person answered."""

    model_config = ConfigDict(extra="forbid")

    id: str
    nth: int
    status: str
    call_sid: str | None
    answered_by: str | None
    left_message: bool
    conversation_id: str | None
    began_at: datetime
    changed_at: datetime


class CallRow(BaseModel):
    """A call that was booked, nothing personal in it.

    ``status``: booked, dialling, reached, failed (it cannot be made), gone (the tries are used up) or
    cancelled; ``reason`` says why. ``due_at``: when it was to be made; ``next_at``: the next try.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    origin: str
    conversation_id: str | None
    follow_up_id: str | None
    purpose: str
    intent: str
    owner: str
    due_at: datetime
    until_at: datetime
    next_at: datetime
    status: Literal["booked", "dialling", "reached", "failed", "gone", "cancelled"]
    tries: int
    messages: int
    reason: str | None
    created_at: datetime
    changed_at: datetime


class CallDetail(CallRow):
    """A call with its tries, oldest first."""

    dials: list[CallTry]


@dataclass(frozen=True)
class Calling:
    """What the endpoints need."""

    database: Database
    keys: KeyRing
    rules: Outbound
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def calls_router(calling: Calling, guard: Callable[[HTTPConnection], None]) -> APIRouter:
    """``/api/calls``."""
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)], tags=["calls"])

    @router.post("/calls", status_code=202, responses={403: {"description": "refused by the rules; audited"}})
    async def order_call(
        wanted: CallOrder, idempotency_key: Annotated[str | None, Header(max_length=128)] = None
    ) -> CallDetail:
        """Orders a call. It is made as soon as people are called, by whichever node has room.

        With an ``Idempotency-Key`` the same order again gives the same call. Refused with 403 and the reason:
        no consent, a number that is not on the allow-list, too many calls, and so on.
        """
        try:
            async with calling.database.transaction() as tx:
                found = await order(
                    tx,
                    calling.keys,
                    calling.rules,
                    wanted,
                    now=calling.now(),
                    origin="api",
                    actor="api",
                    key=idempotency_key,
                )
        except KeyReused as error:
            raise HTTPException(409, str(error)) from error
        except (UnknownConversation, SubjectErased) as error:
            raise HTTPException(404, "no such conversation: see /api/conversations") from error
        if isinstance(found, Refused):
            raise HTTPException(403, {"refused": found.value, "what_to_do": WHAT_TO_DO[found]})
        return await _shown(calling, found)

    @router.get("/calls")
    async def list_calls(
        status: Annotated[str | None, Query(pattern="^[a-z]{1,16}$")] = None,
        conversation: Annotated[str | None, Query(pattern="^cv_[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[CallRow]:
        """Calls that were booked by callers or ordered, the newest first."""
        async with calling.database.transaction() as tx:
            rows = await callbacks.list(tx, status=status, conversation_id=conversation, limit=limit)
        return [CallRow.model_validate(row) for row in rows]

    @router.get("/calls/{call_id}")
    async def call(call_id: CallId) -> CallDetail:
        """One call with its tries."""
        return await _shown(calling, Taken(call_id))

    @router.delete("/calls/{call_id}")
    async def cancel_call(call_id: CallId) -> CallDetail:
        """Takes back a call that is not being made at this moment; 409 if it is, or is over."""
        async with calling.database.transaction() as tx:
            cancelled = await callbacks.cancel(tx, call_id)
            if cancelled:
                facts: dict[str, Any] = {"callback": call_id}
                await audit.record(tx, action="outbound.cancelled", actor="api", facts=facts)
        shown = await _shown(calling, Taken(call_id))
        if not cancelled:
            raise HTTPException(409, f"the call is {shown.status}: only a booked one can be taken back")
        return shown

    _ = (order_call, list_calls, call, cancel_call)  # used by the router
    return router


async def _shown(calling: Calling, taken: Taken) -> CallDetail:
    try:
        async with calling.database.transaction() as tx:
            row = await callbacks.shown(tx, taken.callback)
    except UnknownCallback as error:
        raise HTTPException(404, "no such call: ids are cb_ and 32 hex digits, see /api/calls") from error
    return CallDetail.model_validate(row)
