"""REST and a stream of what is suggested to the person who speaks with a caller, and of what they made of it.

Who has the handoff sees it with values, supervisors (and a program with the API's token) with tokens; other
agents see nothing. Nothing here reaches the bot: no route of it writes a turn, a line or an input.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import HTTPConnection

from voicebot.console.agent_words import without_card
from voicebot.console.assisting import Assisting, Look
from voicebot.console.handoffs import Queue, Reads, StepBody, acting
from voicebot.console.readers import API, Reader
from voicebot.console.sse import KEEP_ALIVE_S, Events, EventStream, Readers, event
from voicebot.core import metrics
from voicebot.core.conversation import Urgency
from voicebot.core.store import (
    assist,
    audit,
    corrections,
    follow_up_claims,
    follow_ups,
    handoffs,
    outbox,
    vault,
)
from voicebot.core.store.assist import Offer, UnknownSuggestion
from voicebot.core.store.database import DatabaseDown, Transaction
from voicebot.core.store.handoffs import HELD
from voicebot.core.store.keys import SubjectErased
from voicebot.core.transcript import told
from voicebot.core.when import parse_when
from voicebot.dialogue.flow.due import due
from voicebot.handoff.assist.suggestion import Board, Mark, Suggestion
from voicebot.handoff.claims import tell
from voicebot.handoff.views import revealed

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
SuggestionId = Annotated[str, Path(pattern="^as_[0-9a-f]{16}$")]
DAYS = 30
LONGEST = timedelta(days=400)
FARTHEST = timedelta(days=60)
"""A promise is booked for no later day."""


_SUGGESTIONS = TypeAdapter(list[Suggestion])


class Assist(BaseModel):
    """What is suggested now. ``active``: a person has the handoff; else there is nothing.

    ``revealed``: kinds of values that stand in it for this reader.
    """

    model_config = ConfigDict(extra="forbid")

    conversation_id: str
    active: bool
    as_of: int
    topic: str | None = None
    suggestions: list[Suggestion] = Field(default_factory=list[Suggestion])
    revealed: list[str] = Field(default_factory=list[str])


class MarkBody(StepBody):
    """What a suggestion was worth. ``should_say``: what would have been right, for a correction."""

    mark: Mark
    should_say: str | None = Field(default=None, min_length=1, max_length=2000)


class BookBody(StepBody):
    """A promise is put down. ``at``: by when; without it as it was said, else by the next working day."""

    at: AwareDatetime | None = Field(default=None, strict=False)


class Booked(BaseModel):
    """What was put down: see ``/api/follow-ups``."""

    model_config = ConfigDict(extra="forbid")

    follow_up: str
    kind: Literal["callback", "request"]
    due_at: datetime
    claimed_by: str | None


class AssistCount(BaseModel):
    """Suggestions of a kind that were shown, and what became of them."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    offered: int
    used: int
    not_useful: int


class AssistSide(BaseModel):
    """Handoffs in which a suggestion was used (``assisted``), or none was.

    ``solution``: ``solved`` of those ``judged``, None without any. ``settled_p50_s``: from accepted to done.
    """

    model_config = ConfigDict(extra="forbid")

    assisted: bool
    handoffs: int
    judged: int
    solved: int
    solution: float | None
    settled: int
    settled_p50_s: float | None
    reopened: int
    rated: int
    csat: float | None


class AssistKpis(BaseModel):
    """``first`` to ``last``: days in ``zone``, both whole, on which conversations began."""

    model_config = ConfigDict(extra="forbid")

    first: date
    last: date
    zone: str
    kinds: list[AssistCount]
    sides: list[AssistSide]


def assist_router(
    queue: Queue,
    assisting: Assisting,
    reader: Callable[[HTTPConnection], Reader],
    *,
    reveals: Collection[str] = (),
    readers: Readers | None = None,
) -> APIRouter:
    """Everything under ``/api/conversations/{id}/assist``, and ``/api/kpis/assist``.

    Args:
        queue: the endpoints' database, keys, people and clock.
        assisting: the node's.
        reader: says who asks, or refuses.
        reveals: kinds of values that who has the handoff sees instead of tokens.
        readers: places for streams; made here when not given.
    """
    places = readers or Readers()

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api", dependencies=[Depends(identify)], tags=["assist"])

    @router.get("/conversations/{conversation_id}/assist")
    async def current(who: Reads, conversation_id: ConversationId) -> Assist:
        """What is suggested now; the same on every node."""
        look = await _look(assisting, conversation_id)
        _may(who, look)
        return await _View(queue, who, conversation_id, reveals).of(look)

    @router.get(
        "/conversations/{conversation_id}/assist/stream",
        response_class=Events,
        responses={200: {"model": Assist, "description": "server-sent events, each a whole board"}},
    )
    async def stream(who: Reads, conversation_id: ConversationId) -> Response:
        """The same as it changes, as server-sent events named ``assist``: each has the whole board.

        The stream ends when the conversation is over, or when the reader has the handoff no more.
        """
        look = await _look(assisting, conversation_id)
        _may(who, look)
        view = _View(queue, who, conversation_id, reveals)
        boards = _as_events(_boards(assisting, view, look, who))
        return EventStream(boards, conversation_id, places, "assist")

    @router.post("/conversations/{conversation_id}/assist/{suggestion}")
    async def mark(
        who: Reads, conversation_id: ConversationId, suggestion: SuggestionId, body: MarkBody
    ) -> Assist:
        """It was used, or it is not useful and goes; with ``should_say`` that is proposed as a correction."""
        agent = acting(who, body)
        without_card(body.should_say)
        async with queue.database.transaction() as tx:
            row = await _theirs(tx, conversation_id, who, agent)
            offered = await _offered(queue, tx, conversation_id, suggestion)
            await _marked(queue, tx, conversation_id, offered, body.mark, agent, row["id"])
            await _corrected(queue, tx, conversation_id, offered, body, agent)
        queue.poke()
        look = await _look(assisting, conversation_id)
        return await _View(queue, who, conversation_id, reveals).of(look)

    @router.post("/conversations/{conversation_id}/assist/{suggestion}/book")
    async def book(
        who: Reads, conversation_id: ConversationId, suggestion: SuggestionId, body: BookBody | None = None
    ) -> Booked:
        """Puts down what the agent has promised, as theirs to keep; the same again gives the same."""
        agent = acting(who, body)
        async with queue.database.transaction() as tx:
            row = await _theirs(tx, conversation_id, who, agent)
            offered = await _offered(queue, tx, conversation_id, suggestion)
            booked = await _booked(queue, tx, row, offered, agent, body.at if body else None)
            await _marked(queue, tx, conversation_id, offered, "used", agent, row["id"])
        queue.poke()
        return booked

    @router.get("/kpis/assist")
    async def effect(
        who: Reads,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> AssistKpis:
        """Suggestions by kind, and handoffs with something used beside those without."""
        del who
        zone = queue.people.time_zone
        until = last or queue.now().astimezone(ZoneInfo(zone)).date()
        since = first or until - timedelta(days=DAYS - 1)
        if not timedelta(0) <= until - since <= LONGEST:
            raise HTTPException(422, f"`from` to `to` must be 1 to {LONGEST.days + 1} days")
        async with queue.database.transaction() as tx:
            kinds = await assist.counts(tx, first=since, last=until, zone=zone)
            sides = await assist.effect(tx, first=since, last=until, zone=zone)
        return AssistKpis(
            first=since,
            last=until,
            zone=zone,
            kinds=[AssistCount(**row) for row in kinds],
            sides=[
                AssistSide(**row, solution=round(row["solved"] / row["judged"], 4) if row["judged"] else None)
                for row in sides
            ],
        )

    return router


class _View:
    """What one reader sees of a board; every kind of value that is shown is logged once."""

    def __init__(self, queue: Queue, who: Reader, conversation_id: str, reveals: Collection[str]) -> None:
        self._queue = queue
        self._who = who
        self._id = self.conversation_id = conversation_id
        self._reveals = reveals
        self._logged: set[str] | None = None

    async def of(self, look: Look) -> Assist:
        """The board, masked for the reader."""
        board = look.board if look.held else Board(as_of=look.board.as_of)
        holds = any(self._who.holds(row) for row in look.rows)
        async with self._queue.database.transaction() as tx:
            values = await vault.values(tx, self._queue.keys, self._id) if holds else {}
            view = revealed(
                board.model_dump(mode="json")["suggestions"], values, self._reveals if holds else ()
            )
            if self._logged is None or set(view.kinds) - self._logged:
                await audit.access(
                    tx,
                    actor=self._who.who,
                    resource="conversation",
                    fields=["assist", *view.kinds],
                    purpose="handoff.held" if holds else "assist",
                    conversation_id=self._id,
                )
                self._logged = (self._logged or set()) | set(view.kinds)
        return Assist(
            conversation_id=self._id,
            active=look.held,
            as_of=board.as_of,
            topic=board.topic,
            suggestions=_SUGGESTIONS.validate_json(json.dumps(view.shown)),
            revealed=[*view.kinds],
        )


async def _as_events(boards: AsyncGenerator[Assist | None]) -> AsyncGenerator[str | None]:
    async with aclosing(boards):
        async for board in boards:
            yield None if board is None else event("assist", board.model_dump_json())


async def _boards(
    assisting: Assisting, view: _View, first: Look, who: Reader
) -> AsyncGenerator[Assist | None]:
    """Whole boards as they change; None now and then."""
    clock = asyncio.get_running_loop().time
    shown: Assist | None = None
    owed = True
    last_s = clock()
    latest: Look = first
    try:
        async with aclosing(_from(assisting, view.conversation_id, first)) as looks:
            async for look in looks:
                latest = look or latest
                if not _sees(who, latest.rows):
                    return
                owed, board = owed or look is not None, shown
                if owed:
                    with suppress(DatabaseDown):  # then it is told with the next look
                        board, owed = await view.of(latest), False
                if board == shown and clock() - last_s < KEEP_ALIVE_S:
                    continue
                yield None if board == shown else board
                shown, last_s = board, clock()
    except (LookupError, SubjectErased):
        return  # who comes back is told why


async def _from(assisting: Assisting, conversation_id: str, first: Look) -> AsyncGenerator[Look | None]:
    yield first
    async with aclosing(assisting.looks(conversation_id, first)) as looks:
        async for look in looks:
            yield look


async def _look(assisting: Assisting, conversation_id: str) -> Look:
    try:
        return await assisting.look(conversation_id)
    except LookupError as error:
        raise HTTPException(404, f"no conversation {conversation_id}: see /api/conversations") from error
    except SubjectErased as error:
        raise HTTPException(410, f"what was said in {conversation_id} was erased") from error
    except DatabaseDown as error:
        raise HTTPException(503, "the database is away: try again", {"Retry-After": "2"}) from error


def _sees(who: Reader, rows: Collection[Mapping[str, Any]]) -> bool:
    return who.role != "agent" or any(who.holds(row) for row in rows)


def _may(who: Reader, look: Look) -> None:
    if not _sees(who, look.rows):
        raise HTTPException(403, "suggestions are for who has the handoff, and for supervisors")


async def _theirs(tx: Transaction, conversation_id: str, who: Reader, agent: str) -> Mapping[str, Any]:
    """The handoff in which the agent works; a supervisor works in anybody's.

    Raises:
        HTTPException: 403, it is not theirs.
    """
    held = [row for row in await handoffs.list(tx, conversation_id=conversation_id) if row["status"] in HELD]
    for row in reversed(held):
        if who.role == "supervisor" or who.holds(row) or (who.who == API and row["claimed_by"] == agent):
            return row
    raise HTTPException(403, "only who has the handoff, or a supervisor, can say that")


async def _offered(queue: Queue, tx: Transaction, conversation_id: str, suggestion: str) -> Offer:
    try:
        return await assist.offered(tx, queue.keys, conversation_id, suggestion)
    except UnknownSuggestion as error:
        raise HTTPException(404, f"{suggestion} was never suggested in this conversation") from error
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased") from error


async def _marked(
    queue: Queue,
    tx: Transaction,
    conversation_id: str,
    offered: Offer,
    mark: Mark,
    agent: str,
    handoff_id: str,
) -> None:
    # The conversation before what hangs on it, as a turn's commit locks them.
    await tx.execute("SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conversation_id,))
    if not await assist.mark(tx, conversation_id, offered.id, mark, who=agent, handoff_id=handoff_id):
        return
    what = "assist.used" if mark == "used" else "assist.rejected"
    facts = {"suggestion": offered.id, "kind": offered.kind, "about": offered.about, "handoff": handoff_id}
    event_id = f"ev_{conversation_id[3:]}_{offered.id}_{secrets.token_hex(4)}"
    await tell(tx, queue.keys, conversation_id, event_id, what, facts)
    await audit.record(tx, action=what, actor=agent, facts=facts, conversation_id=conversation_id)
    metrics.assist_marks.labels(offered.kind, mark).inc()


async def _corrected(
    queue: Queue, tx: Transaction, conversation_id: str, offered: Offer, body: MarkBody, agent: str
) -> None:
    """Words that would have been right are proposed; a suggestion that is used after all proposes nothing."""
    source = f"assist:{conversation_id}:{offered.id}:{agent}"
    if body.mark == "used":
        await corrections.withdraw(tx, source)
        return
    if body.should_say is None:
        return
    if offered.kind not in ("article", "reply"):
        raise HTTPException(422, "only articles and replies are corrected: leave `should_say` out")
    document = {
        "asked": await _said(queue, tx, conversation_id, offered.line),
        "said": offered.words["text"],
        "articles": offered.words["articles"],
        "should_say": body.should_say,
    }
    await corrections.propose(
        tx,
        queue.keys,
        source=source,
        kind="article_change",
        conversation_id=conversation_id,
        turn=None,
        proposed_by=agent,
        content={"document": document, "why": body.should_say},
    )


async def _booked(
    queue: Queue,
    tx: Transaction,
    row: Mapping[str, Any],
    offered: Offer,
    agent: str,
    at: datetime | None,
) -> Booked:
    kind = offered.words["books"]
    if kind is None:
        raise HTTPException(422, "this is no promise that can be booked")
    now = queue.now().astimezone(ZoneInfo(queue.people.time_zone))
    said = await _said(queue, tx, row["conversation_id"], offered.line)
    due_at = at or _as_said(said, now) or due(now, Urgency.NORMAL)
    if not now < due_at <= now + FARTHEST:
        raise HTTPException(422, f"`at` must lie ahead, within {FARTHEST.days} days")
    snapshot = await queue.conversations.load(tx, row["conversation_id"])
    follow_up = await follow_ups.save(
        tx,
        queue.keys,
        conversation_id=snapshot.id,
        turn=snapshot.turn,
        origin=offered.id,
        kind=kind,
        intent=offered.words["intent"] or "",
        owner=row["skill"],
        urgency=row["urgency"],
        due_at=due_at.astimezone(UTC),
        details={"question": said, "contact": snapshot.caller, "known": {}},
    )
    await follow_up_claims.claim(tx, follow_up, agent)
    standing = await follow_up_claims.standing(tx, follow_up)
    stored = next(
        one
        for one in await follow_ups.list(tx, conversation_id=snapshot.id, limit=500)
        if one["id"] == follow_up
    )
    facts = {"follow_up": follow_up, "kind": kind, "handoff": row["id"]}
    await audit.record(tx, action="assist.booked", actor=agent, facts=facts, conversation_id=snapshot.id)
    await tell(tx, queue.keys, snapshot.id, f"ev_{snapshot.id[3:]}_{follow_up}", "assist.booked", facts)
    return Booked(follow_up=follow_up, kind=kind, due_at=stored["due_at"], claimed_by=standing["claimed_by"])


async def _said(queue: Queue, tx: Transaction, conversation_id: str, line: int) -> str:
    """The words of a line, as they are masked by now."""
    found = await outbox.events_of(tx, queue.keys, conversation_id, after_seq=line - 1, limit=1)
    entry = told(found[0]) if found and found[0].seq == line else None
    return entry.text if entry is not None else ""


def _as_said(words: str, now: datetime) -> datetime | None:
    """The time that was named with a promise, if it was named without a doubt and lies ahead."""
    when = parse_when(words, now)
    if when is None or when.doubt is not None or not now < when.until <= now + FARTHEST:
        return None
    return when.until
