"""REST over what waits for a person's approval: words before they are said, acts before they are read back.

Of two who decide the first counts and the other is told who it was. The decision stands in the database when
the answer goes out; the conversation takes it up wherever it is, see `runtime.waking`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from voicebot.console.handoffs import Queue, Reads, StepBody, acting
from voicebot.console.readers import Reader
from voicebot.core.conversation import Event
from voicebot.core.store import audit, drafts, outbox, vault
from voicebot.core.store.database import Transaction
from voicebot.core.store.drafts import DecidedAlready, Kind, Status, TooLate, UnknownDraft, Verdict
from voicebot.core.store.keys import SubjectErased
from voicebot.handoff.views import revealed

log = structlog.get_logger(__name__)

DraftId = Annotated[str, Path(pattern="^dr_[0-9a-f]{32}$")]
WrongWith = Callable[[str, str], Awaitable[tuple[str, ...]]]
"""Why words may not be said in a conversation (`Orchestrator.wrong_with`): conversation, words -> reasons."""
_TOO_LATE = {
    "expired": "its time is over: the caller has been given to a person",
    "ended": "the caller has left",
    "handoff": "a person has the caller now",
    "erased": "what was said there was erased",
}


class DraftRow(BaseModel):
    """What waits, or waited. ``kind``: ``words`` to be said, or an ``act`` to be read back to the caller.

    ``question``: what the caller asked; ``words``: what the bot would say. Values stand in them as tokens,
    save in a draft that is opened by itself by who may decide; ``revealed``: of which kinds. ``left_s``:
    seconds until a person takes over, while it waits. ``text``: the words that were said instead.
    ``told_turn``: the turn that took the decision up. ``reason``: why it was withdrawn.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    kind: Kind
    conversation_id: str
    channel: str
    turn: int
    intent: str
    status: Status
    reason: str | None
    created_at: datetime
    due_at: datetime
    left_s: float | None
    decided_by: str | None
    decided_at: datetime | None
    told_turn: int | None
    question: str
    words: str
    text: str | None = None
    problem: str | None = None
    revealed: list[str] = Field(default_factory=list[str])


class DraftDetail(DraftRow):
    """One with why it waits: the policy's ``row`` and ``reasons``, and the ``articles`` of the words."""

    row: str
    reasons: list[str]
    articles: list[str]


class EditBody(StepBody):
    """The words to be said instead, as they are."""

    text: str = Field(min_length=1, max_length=2000)


def drafts_router(
    queue: Queue,
    reader: Callable[[HTTPConnection], Reader],
    *,
    wrong_with: WrongWith,
    wake: Callable[[str], None],
) -> APIRouter:
    """All endpoints under ``/api/drafts``.

    Args:
        queue: what is read from.
        reader: says who asks, or refuses.
        wrong_with: the guard of words.
        wake: tells the nodes that a conversation has something to take up.
    """

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/drafts", dependencies=[Depends(identify)], tags=["drafts"])

    @router.get("")
    async def list_drafts(
        who: Reads,
        status: Status | None = None,
        conversation: Annotated[str | None, Query(pattern="^cv_[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> list[DraftRow]:
        """Those that wait longest first. ``waiting``: only those whose caller is still there."""
        async with queue.database.transaction() as tx:
            rows = await drafts.list(tx, status=status, conversation_id=conversation, limit=limit)
            return [await _row(queue, tx, row, who) for row in rows]

    @router.get("/{draft_id}")
    async def one_draft(who: Reads, draft_id: DraftId) -> DraftDetail:
        """One with its values, for an agent who is about to decide, and for supervisors also afterwards; that
        they looked is logged.
        """
        async with queue.database.transaction() as tx:
            return await _detail(queue, tx, draft_id, who)

    async def judge(
        who: Reader, draft_id: str, verdict: Verdict, body: StepBody | None, text: str | None = None
    ) -> DraftDetail:
        by = acting(who, body)
        try:
            async with queue.database.transaction() as tx:
                new = await drafts.judge(
                    tx, queue.keys, draft_id, verdict=verdict, by=by, now=queue.now(), text=text
                )
                detail = await _detail(queue, tx, draft_id, who)
                if new:
                    facts = {"draft": draft_id, "kind": detail.kind, "verdict": verdict, "agent": by}
                    await _tell(queue, tx, detail, "draft.judged", facts, by)
        except UnknownDraft as error:
            raise _unknown(draft_id) from error
        except SubjectErased as error:
            raise HTTPException(410, {"problem": _TOO_LATE["erased"], "why": "erased"}) from error
        except DecidedAlready as first:
            told = {"problem": str(first), "decided_by": first.by, "verdict": first.verdict}
            raise HTTPException(409, told) from first
        except TooLate as late:
            raise HTTPException(410, {"problem": _TOO_LATE[late.why], "why": late.why}) from late
        queue.poke()
        wake(detail.conversation_id)
        if new:
            log.info("draft.judged", conversation=detail.conversation_id, draft=draft_id, verdict=verdict)
        return detail

    @router.post("/{draft_id}/approve")
    async def approve(who: Reads, draft_id: DraftId, body: StepBody | None = None) -> DraftDetail:
        """The words are said as they are; an act is read back to the caller, whose yes it still needs.

        409 with ``decided_by``: somebody was first. 410: nobody waits for it any more.
        """
        return await judge(who, draft_id, "approve", body)

    @router.post("/{draft_id}/edit")
    async def edit(who: Reads, draft_id: DraftId, body: EditBody) -> DraftDetail:
        """Other words are said instead, exactly these. 422 with ``reasons``: they may not be said."""
        async with queue.database.transaction() as tx:
            before = await _detail(queue, tx, draft_id, who)
        if before.kind == "act":
            problem = "an act is approved or rejected as it stands: its terms come from the records"
            raise HTTPException(422, {"problem": problem, "reasons": ["act"]})
        text = body.text.strip()
        by = acting(who, body)
        reasons = await wrong_with(before.conversation_id, text)
        if reasons:
            async with queue.database.transaction() as tx:
                facts = {"draft": draft_id, "agent": by, "reasons": [*reasons]}
                await _tell(queue, tx, before, "draft.edit_refused", facts, by)
            queue.poke()
            raise HTTPException(422, {"problem": f"not to be said: {worded(reasons)}", "reasons": [*reasons]})
        return await judge(who, draft_id, "edit", body, text)

    @router.post("/{draft_id}/reject")
    async def reject(who: Reads, draft_id: DraftId, body: StepBody | None = None) -> DraftDetail:
        """It is neither said nor done; the caller goes to a person."""
        return await judge(who, draft_id, "reject", body)

    return router


_REASONS = {
    "card_number": "there is a card's number in it",
    "secret_number": "there is a code or a card's details in it",
    "placeholder": "a token such as [name 1] stands in it: write the value, or leave it out",
    "other_customer": "it names another customer's data",
    "promise": "it promises something in the bot's name",
    "claims_human": "it says that the bot is a person",
    "itself": "it speaks of how the bot works",
    "prompt_leak": "it holds the bot's instructions",
    "tone": "it is rude, or asks for what is never asked for",
    "no_source": "a value in it cannot be read for certain: write it more plainly",
    "too_long": "it is longer than 600 characters",
    "unprintable": "there are characters in it that cannot be spoken",
    "empty": "there are no words in it",
}


def worded(reasons: tuple[str, ...]) -> str:
    """Reasons of the guard, for a person."""
    return "; ".join(_REASONS.get(reason, reason.replace("_", " ")) for reason in reasons)


def _unknown(draft_id: str) -> HTTPException:
    return HTTPException(404, f"no draft {draft_id}: see /api/drafts")


async def _row(queue: Queue, tx: Transaction, row: dict[str, Any], who: Reader) -> DraftRow:
    """With tokens: a list is no place for values."""
    shown: dict[str, Any] = {"question": "", "words": ""}
    try:
        opened = await drafts.get(tx, queue.keys, row["id"])
        values = await vault.values(tx, queue.keys, row["conversation_id"])
        text = vault.tokens_for(values, opened["text"]) if opened["text"] is not None else None
        shown = {"question": opened["words"]["question"], "words": opened["words"]["words"], "text": text}
    except SubjectErased as error:
        shown["problem"] = str(error)
    if queue.first_look(who.who, row["id"]):
        await audit.access(
            tx,
            actor=who.who,
            resource="draft",
            purpose="queue",
            fields=["words"],
            conversation_id=row["conversation_id"],
        )
    return DraftRow(**row, **shown, left_s=_left_s(queue, row))


def _left_s(queue: Queue, row: dict[str, Any]) -> float | None:
    if row["status"] != "waiting":
        return None
    return round(max(0.0, (row["due_at"] - queue.now()).total_seconds()), 1)


async def _sees_values(queue: Queue, tx: Transaction, row: dict[str, Any], who: Reader) -> bool:
    """Who may decide sees on what: agents while somebody waits for it, supervisors always."""
    if who.role != "agent":
        return who.role == "supervisor"
    if row["status"] != "waiting" or row["due_at"] <= queue.now():
        return False
    return (await queue.conversations.load(tx, row["conversation_id"])).status == "live"


async def _detail(queue: Queue, tx: Transaction, draft_id: str, who: Reader) -> DraftDetail:
    """With values for who may decide now and for supervisors, else with tokens."""
    try:
        row = await drafts.get(tx, queue.keys, draft_id)
    except UnknownDraft as error:
        raise _unknown(draft_id) from error
    except SubjectErased as error:
        raise HTTPException(410, {"problem": _TOO_LATE["erased"], "why": "erased"}) from error
    conversation_id = row["conversation_id"]
    values = await vault.values(tx, queue.keys, conversation_id)
    words, text = row.pop("words"), row.pop("text")
    row.pop("proposal_id")
    stored = {
        "question": words["question"],
        "words": words["words"],
        "text": None if text is None else vault.tokens_for(values, text),
    }
    sees = await _sees_values(queue, tx, row, who)
    view = revealed(stored, values, queue.reasons.reveals if sees else ())
    turn = await queue.conversations.turn(tx, conversation_id, row["turn"])
    decision = turn["decision"] if turn is not None else {}
    await audit.access(
        tx,
        actor=who.who,
        resource="draft",
        purpose="draft",
        fields=["words", *view.kinds],
        conversation_id=conversation_id,
        turn=row["turn"],
    )
    return DraftDetail(
        **row,
        **view.shown,
        left_s=_left_s(queue, row),
        revealed=[*view.kinds],
        row=decision.get("policy_row", ""),
        reasons=decision.get("reasons", []),
        articles=[one["title"] for one in decision.get("sources", [])],
    )


async def _tell(
    queue: Queue, tx: Transaction, draft: DraftRow, kind: str, facts: dict[str, Any], by: str
) -> None:
    """Audit and event of a step; no words in them."""
    await audit.record(
        tx,
        action=kind,
        actor=by,
        facts=facts,
        conversation_id=draft.conversation_id,
        turn=draft.turn,
    )
    snapshot = await queue.conversations.load(tx, draft.conversation_id)
    event = Event(
        id=f"ev_{secrets.token_hex(16)}",
        type=kind,
        conversation_id=draft.conversation_id,
        turn=draft.turn,
        time=datetime.now(UTC),
        data=facts,
    )
    await outbox.append(tx, queue.keys, snapshot.subject_id, event)
