"""REST over the queue of people: who waits, since when, for whom; taking one, giving it back, being done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.console.readers import API, Reader
from voicebot.core.store import audit, follow_ups, handoffs, presence, vault
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.handoffs import Status, UnknownHandoff
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.handoff import payload as payloads
from voicebot.handoff.claims import Step, Taken, take_step
from voicebot.handoff.compose import as_heard
from voicebot.handoff.payload import Payload, UnknownPayload
from voicebot.handoff.people import People, PeopleError
from voicebot.handoff.queue import Waiting, estimate, places
from voicebot.handoff.reasons import Reasons
from voicebot.handoff.views import payload_view, promise_view

_LOOKS = 20_000
"""Readers times what they looked at that is remembered; a page that looks every second fills no log."""

HandoffId = Annotated[str, Path(pattern="^ho_[0-9a-f]{32}$")]


def who_reads(request: Request) -> Reader:
    """Whom the router's own dependency found."""
    return request.state.reader


Reads = Annotated[Reader, Depends(who_reads)]


class HandoffRow(BaseModel):
    """One handoff as the queue shows it.

    ``team``: who takes it now, None while nobody answers; then ``opens_at`` says when. ``position``: among
    those the same people take, from 1; ``estimate_s``: how long it will wait, in seconds, None if nobody is
    there. Both None when it does not wait. ``payload``: None with a ``problem`` when it cannot be read; in it
    stand values for who has the handoff, tokens for others. ``revealed``: kinds of values that stand in it.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    conversation_id: str
    turn: int
    trigger: str
    reason: str
    urgency: str
    skill: str
    priority: int
    status: Status
    claimed_by: str | None
    declined_by: list[str]
    created_at: datetime
    changed_at: datetime
    accepted_at: datetime | None
    done_at: datetime | None
    waited_s: float
    team: str | None = None
    position: int | None = None
    estimate_s: float | None = None
    opens_at: datetime | None = None
    payload: dict[str, Any] | None = None
    problem: str | None = None
    revealed: list[str] = Field(default_factory=list[str])


class HandoffDetail(HandoffRow):
    """One handoff whole. ``changes``: what happened to it. ``follow_ups``: promises of its conversation."""

    changes: list[dict[str, Any]]
    follow_ups: list[dict[str, Any]]


class StepBody(BaseModel):
    """Who takes the step. Only for the API's token, which is nobody's; an agent's key says it itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+][A-Za-z0-9 ._:@+-]{0,79}$")


class Queue:
    """What the endpoints read from; made once by the node."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        people: People,
        reasons: Reasons,
        poke: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database = database
        self.keys = keys
        self.people = people
        self.reasons = reasons
        self.poke = poke
        self.now = now
        self.conversations = Conversations(keys)
        self._looked: dict[tuple[str, str], None] = {}

    def first_look(self, who: str, what: str) -> bool:
        """Whether ``who`` has not had this in a list of this node's before: one entry is enough.

        ``what``: its id, with the kinds of values that were in it.
        """
        if (who, what) in self._looked:
            return False
        self._looked[who, what] = None
        if len(self._looked) > _LOOKS:
            del self._looked[next(iter(self._looked))]
        return True


def handoffs_router(queue: Queue, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """All endpoints under ``/api/handoffs``."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/handoffs", dependencies=[Depends(identify)], tags=["handoffs"])

    @router.get("")
    async def list_handoffs(
        who: Reads,
        status: Status | None = None,
        conversation: Annotated[str | None, Query(pattern="^cv_[0-9a-f]{32}$")] = None,
        skill: Annotated[str | None, Query(max_length=80)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        brief: bool = False,
    ) -> list[HandoffRow]:
        """Conversations given to a person, those that wait longest first, with their place in the queue.

        ``brief``: of each payload its summary alone, with tokens, for a page that looks every few seconds.
        """
        async with queue.database.transaction() as tx:
            rows = await handoffs.list(
                tx, status=status, conversation_id=conversation, skill=skill, limit=limit
            )
            standing = await _standing(queue, tx)
            return [await _row(queue, tx, row, who, standing, brief=brief) for row in rows]

    @router.get("/schema")
    async def payload_schema(who: Reads) -> dict[str, Any]:
        """The JSON schema of a payload, as ``payload`` above has it."""
        return payloads.schema()

    @router.get("/{handoff_id}")
    async def one_handoff(who: Reads, handoff_id: HandoffId) -> HandoffDetail:
        """One handoff with everything that happened to it and was promised with it."""
        async with queue.database.transaction() as tx:
            return await _detail(queue, tx, handoff_id, who)

    async def step(who: Reader, handoff_id: str, what: Step, body: StepBody | None) -> HandoffDetail:
        agent = acting(who, body)
        try:
            async with queue.database.transaction() as tx:
                supervises = who.role == "supervisor"
                await take_step(
                    tx, queue.keys, handoff_id, what, agent, answers=who.answers, supervises=supervises
                )
                detail = await _detail(queue, tx, handoff_id, who)
        except UnknownHandoff as error:
            raise _unknown(handoff_id) from error
        except SubjectErased as error:
            raise HTTPException(410, "what was said there was erased: there is nothing to take") from error
        except Taken as taken:
            raise HTTPException(
                409, {"problem": str(taken), "claimed_by": taken.holder, "status": taken.status}
            ) from taken
        queue.poke()
        return detail

    @router.post("/{handoff_id}/accept")
    async def accept(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> HandoffDetail:
        """Takes it. Of two at once one has it; the other is answered 409 with ``claimed_by``."""
        return await step(who, handoff_id, "accept", body)

    @router.post("/{handoff_id}/decline")
    async def decline(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> HandoffDetail:
        """Gives it back, or says that one does not take it; it keeps its place."""
        return await step(who, handoff_id, "decline", body)

    @router.post("/{handoff_id}/done")
    async def done(who: Reads, handoff_id: HandoffId, body: StepBody | None = None) -> HandoffDetail:
        """It is settled. Only who has it can say so."""
        return await step(who, handoff_id, "done", body)

    return router


def acting(who: Reader, body: StepBody | None) -> str:
    """Who takes a step.

    Raises:
        HTTPException: 422 the API's token names nobody; 403 a key names somebody else.
    """
    named = body.agent if body is not None else None
    if who.who == API:
        if named is None:
            raise HTTPException(422, 'the API\'s token is nobody\'s: name {"agent": "..."} in the body')
        return named
    if named not in (None, who.who):
        raise HTTPException(403, f"this key is {who.who}'s: leave `agent` out")
    return who.who


def _unknown(handoff_id: str) -> HTTPException:
    return HTTPException(404, f"no handoff {handoff_id}: see /api/handoffs")


async def _standing(queue: Queue, tx: Transaction) -> dict[str, dict[str, Any]]:
    """Team, position, estimate and opening of each one that waits."""
    now, people = queue.now(), queue.people
    waiting = [
        Waiting(row["id"], row["skill"], row["priority"], row["created_at"], row["live"])
        for row in await handoffs.waiting(tx)
    ]
    talking: dict[str | None, list[float]] = {}
    for row in await handoffs.under_way(tx):
        talking.setdefault(people.answering(now, row["skill"]), []).append(row["talked_s"])
    found = places(waiting, now, people.answering)
    times = {
        team: await handoffs.talk_times(tx, team) for team in {place.team for place in found.values()} if team
    }
    there = await presence.takes_callers(tx)
    standing: dict[str, dict[str, Any]] = {}
    for one in waiting:
        place = found[one.id]
        if place.team is None:
            opens = _opens(people, now, one.skill)
            standing[one.id] = {"team": None, "position": place.position, "opens_at": opens}
            continue
        wait_s = estimate(
            place.position - 1,
            times[place.team],
            people.staff(place.team, there),
            under_way=talking.get(place.team, []),
            typical_s=people.skills[place.team].talk_s,
        )
        standing[one.id] = {"team": place.team, "position": place.position, "estimate_s": wait_s}
    return standing


def _opens(people: People, now: datetime, skill: str) -> datetime | None:
    try:
        return people.opens(now, skill)
    except PeopleError:
        return None


async def _row(
    queue: Queue,
    tx: Transaction,
    row: dict[str, Any],
    who: Reader,
    standing: dict[str, dict[str, Any]],
    *,
    brief: bool = False,
) -> HandoffRow:
    holds = who.holds(row)
    view: dict[str, Any] = {}
    try:
        stored = (await handoffs.get(tx, queue.keys, row["id"]))["payload"]
        payload = payloads.read(stored, row["created_at"])
        if brief:
            view = {"payload": {"summary": payload.summary.model_dump()}}
        else:
            payload = await _heard(queue, tx, row, payload)
            values = await vault.values(tx, queue.keys, row["conversation_id"]) if holds else None
            seen = payload_view(payloads.plain(payload), values, queue.reasons.reveals)
            view = {"payload": seen.shown, "revealed": [*seen.kinds]}
    except (UnknownPayload, SubjectErased) as error:
        view = {"problem": str(error)}
    if not brief or queue.first_look(who.who, row["id"]):
        await audit.access(
            tx,
            actor=who.who,
            resource="handoff",
            purpose="queue" if brief else "handoff.held" if holds else "console",
            fields=["summary"] if brief else view.get("revealed", []),
            conversation_id=row["conversation_id"],
        )
    return _shown(queue, row, standing, **view)


def _shown(queue: Queue, row: dict[str, Any], standing: dict[str, dict[str, Any]], **view: Any) -> HandoffRow:
    waited_until = row["accepted_at"] or row["done_at"] or queue.now()
    return HandoffRow(
        **row,
        **view,
        **standing.get(row["id"], {}),
        reason=queue.reasons.reason(row["trigger"]),
        waited_s=round(max(0.0, (waited_until - row["created_at"]).total_seconds()), 1),
    )


async def _heard(queue: Queue, tx: Transaction, row: dict[str, Any], payload: Payload) -> Payload:
    unheard = {line.turn for line in payload.transcript if line.who == "bot" and not line.heard}
    turns = [await queue.conversations.turn(tx, row["conversation_id"], turn) for turn in sorted(unheard)]
    return as_heard(payload, [turn for turn in turns if turn is not None])


async def _detail(queue: Queue, tx: Transaction, handoff_id: str, who: Reader) -> HandoffDetail:
    try:
        bare = await handoffs.bare(tx, handoff_id)
    except UnknownHandoff as error:
        raise _unknown(handoff_id) from error
    row = await _row(queue, tx, bare, who, await _standing(queue, tx))
    promised = [
        await follow_ups.get(tx, queue.keys, one["id"])
        for one in await follow_ups.list(tx, conversation_id=row.conversation_id)
        if row.payload is not None
    ]
    kinds: set[str] = set()
    if promised:
        holds = who.holds(bare)
        snapshot = await queue.conversations.load(tx, row.conversation_id)
        values = await vault.values(tx, queue.keys, row.conversation_id) if holds else None
        for one in promised:
            view = promise_view(one["details"], snapshot.caller, values, queue.reasons.reveals)
            one["details"] = view.shown
            kinds |= {*view.kinds}
        await audit.access(
            tx,
            actor=who.who,
            resource="follow_up",
            purpose="handoff.held" if holds else "console",
            fields=sorted(kinds),
            conversation_id=row.conversation_id,
        )
    return HandoffDetail(
        **row.model_dump(exclude={"revealed"}),
        revealed=sorted({*row.revealed, *kinds}),
        changes=await handoffs.changes(tx, handoff_id),
        follow_ups=promised,
    )
