"""REST for what an agent tells the bot of a live conversation, and what became of it.

A supervisor may whisper into any; an agent where they decided on a draft or have, or had, the hand-over.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.console.drafts import WrongWith, worded
from voicebot.console.handoffs import Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.core.conversation import Event, WhisperKind
from voicebot.core.store import agent_words, audit, drafts, handoffs, outbox, vault, whispers
from voicebot.core.store.conversations import UnknownConversation
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import SubjectErased
from voicebot.core.store.whispers import MOST_WAITING, NotLive, TooMany
from voicebot.dialogue import state as states
from voicebot.handoff.views import revealed

log = structlog.get_logger(__name__)

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
_NOT_LIVE = {"ended": "the caller has left", "handoff": "a person has the caller: tell that person"}


class WhisperBody(StepBody):
    """What the bot is told.

    ``say``: ``text`` is said at the next fitting moment, as it is. ``fact``: ``text`` belongs to the next
    answer about ``intent``, or to the next of all. ``steer``: ``intent`` is offered to the caller. ``avoid``:
    who asks for ``intent`` from now on goes to a person. ``hand_over``: the caller goes to a person.
    """

    what: WhisperKind
    intent: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,63}$")
    text: str | None = Field(default=None, min_length=1, max_length=2000)


class WhisperRow(BaseModel):
    """One whisper. ``status``: ``waiting``, ``taken`` up by ``taken_turn``, or ``dropped``."""

    model_config = ConfigDict(extra="forbid")

    id: str
    conversation_id: str
    kind: WhisperKind
    intent: str | None
    text: str | None
    who: str
    status: str
    taken_turn: int | None
    created_at: datetime
    changed_at: datetime


class WhisperTopics(BaseModel):
    """What can be named as ``intent``, in words."""

    model_config = ConfigDict(extra="forbid")

    intent: str
    means: str


def whispers_router(
    queue: Queue,
    reader: Callable[[HTTPConnection], Reader],
    *,
    topics: dict[str, str],
    wrong_with: WrongWith,
    wake: Callable[[str], None],
) -> APIRouter:
    """``/api/conversations/{id}/whisper`` and what became of them.

    Args:
        queue: what is read from.
        reader: says who asks, or refuses.
        topics: intents that callers ask about, and what each is about.
        wrong_with: the guard of words.
        wake: tells the nodes that a conversation has something to take up.
    """

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api", dependencies=[Depends(identify)], tags=["whispers"])

    @router.get("/whisper-topics")
    async def known_topics(who: Reads) -> list[WhisperTopics]:
        """What the bot can be steered to, or told to leave."""
        del who
        return [WhisperTopics(intent=intent, means=means) for intent, means in sorted(topics.items())]

    @router.post("/conversations/{conversation_id}/whisper", status_code=202)
    async def whisper(who: Reads, conversation_id: ConversationId, body: WhisperBody) -> list[WhisperRow]:
        """Tells the bot. 409: there is no bot there, or a card is being taken. 422: what is wrong."""
        agent = acting(who, body)
        text = _fits(body, topics)
        async with queue.database.transaction() as tx:
            await _may(tx, queue, conversation_id, who, agent)
        if text is not None and (reasons := await wrong_with(conversation_id, text)):
            async with queue.database.transaction() as tx:
                facts = {"what": body.what, "agent": agent, "reasons": [*reasons]}
                await _tell(tx, queue, conversation_id, "whisper.refused", facts, agent)
            queue.poke()
            raise HTTPException(422, {"problem": f"not to be said: {worded(reasons)}", "reasons": [*reasons]})
        try:
            async with queue.database.transaction() as tx:
                given = await whispers.give(
                    tx,
                    queue.keys,
                    conversation_id,
                    kind=body.what,
                    who=agent,
                    intent=body.intent,
                    text=text,
                )
                snapshot = await queue.conversations.load(tx, conversation_id)
                if body.what == "hand_over" and states.load(snapshot.state).paying is not None:
                    raise HTTPException(409, {"problem": "a card is being taken: ask again when it is over"})
                facts = {"whisper": given, "what": body.what, "intent": body.intent, "agent": agent}
                await _tell(tx, queue, conversation_id, "whisper.given", facts, agent)
                rows = await _shown(tx, queue, conversation_id, who)
        except NotLive as error:
            raise HTTPException(409, {"problem": _NOT_LIVE[error.status], "status": error.status}) from error
        except TooMany as error:
            problem = f"{MOST_WAITING} wait already: let the bot take them up, or take the call over"
            raise HTTPException(429, {"problem": problem}) from error
        queue.poke()
        wake(conversation_id)
        log.info("whisper.given", conversation=conversation_id, what=body.what)
        return rows

    @router.get("/conversations/{conversation_id}/whispers")
    async def given_before(who: Reads, conversation_id: ConversationId) -> list[WhisperRow]:
        """What the bot was told in this conversation, the newest first."""
        async with queue.database.transaction() as tx:
            await _may(tx, queue, conversation_id, who, who.who)
            return await _shown(tx, queue, conversation_id, who)

    return router


def _fits(body: WhisperBody, topics: dict[str, str]) -> str | None:
    """The text, if there is one.

    Raises:
        HTTPException: 422, the parts do not belong together.
    """
    text = body.text.strip() if body.text is not None else None
    worded_kind = body.what in ("say", "fact")
    if worded_kind != bool(text):
        raise HTTPException(422, {"problem": "`text` is given exactly with `say` and `fact`"})
    if body.what in ("steer", "avoid") and body.intent is None:
        raise HTTPException(422, {"problem": f"`{body.what}` needs an `intent`: see /api/whisper-topics"})
    if body.what in ("say", "hand_over") and body.intent is not None:
        raise HTTPException(422, {"problem": f"`{body.what}` names no `intent`"})
    if body.intent is not None and body.intent not in topics:
        raise HTTPException(422, {"problem": f"no topic {body.intent}: see /api/whisper-topics"})
    return text


async def _may(tx: Transaction, queue: Queue, conversation_id: str, who: Reader, agent: str) -> None:
    """Raises HTTPException: 403 an agent has nothing to do with it; 404 no such conversation; 410 erased."""
    try:
        await queue.conversations.load(tx, conversation_id)
    except UnknownConversation as error:
        raise HTTPException(404, f"no conversation {conversation_id}") from error
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased") from error
    if who.role != "agent":
        return
    decided = await drafts.list(tx, conversation_id=conversation_id)
    if any(row["decided_by"] == agent for row in decided):
        return
    for row in await handoffs.list(tx, conversation_id=conversation_id):
        if await agent_words.had(tx, row["id"], agent) or await agent_words.had(tx, row["id"], who.answers):
            return
    raise HTTPException(403, "only a supervisor whispers into a conversation that nobody handed to you")


async def _shown(tx: Transaction, queue: Queue, conversation_id: str, who: Reader) -> list[WhisperRow]:
    try:
        rows = await whispers.of(tx, queue.keys, conversation_id)
        values = await vault.values(tx, queue.keys, conversation_id)
    except SubjectErased as error:
        raise HTTPException(410, "what was said there was erased") from error
    view = revealed(
        [vault.tokens_for(values, row["text"]) for row in rows],
        values,
        queue.reasons.reveals if who.role != "api" else (),
    )
    # A page looks every two seconds: one entry of a reader, a whisper and what they see is enough.
    if [row for row in rows if queue.first_look(who.who, " ".join((row["id"], *view.kinds)))]:
        await audit.access(
            tx,
            actor=who.who,
            resource="whisper",
            purpose="console",
            fields=[*view.kinds],
            conversation_id=conversation_id,
        )
    return [
        WhisperRow.model_validate({**row, "text": text}) for row, text in zip(rows, view.shown, strict=True)
    ]


async def _tell(
    tx: Transaction, queue: Queue, conversation_id: str, kind: str, facts: dict[str, Any], by: str
) -> None:
    await audit.record(tx, action=kind, actor=by, facts=facts, conversation_id=conversation_id)
    snapshot = await queue.conversations.load(tx, conversation_id)
    event = Event(
        id=f"ev_{secrets.token_hex(16)}",
        type=kind,
        conversation_id=conversation_id,
        time=datetime.now(UTC),
        data=facts,
    )
    await outbox.append(tx, queue.keys, snapshot.subject_id, event)
