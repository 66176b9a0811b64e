"""Words and acts that wait for a person's approval. Sealed; their queue (age, due time) is in the clear.

The row is the last word on what was decided. `judge` writes a decision from whatever process the person uses;
the conversation's own next turn takes it up (`settle`), once. Until then it is `to_tell`.
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.vault import vault_cipher

_COLUMNS = (
    "d.id, d.conversation_id, d.turn, d.kind, d.intent, d.status, d.reason, d.due_at, d.decided_by,"
    " d.decided_at, d.told_turn, d.created_at"
)
Kind = Literal["words", "act"]
Verdict = Literal["approve", "edit", "reject"]
Status = Literal["waiting", "approve", "edit", "reject", "expired", "withdrawn"]
Reason = Literal["ended", "handoff", "erased"]
"""Why a draft was withdrawn: the caller has left, a person has them, nothing of it can be read any more."""


class UnknownDraft(LookupError):
    """There is no such draft."""


class DecidedAlready(Exception):  # a verdict
    """Somebody was first: ``by`` said ``verdict``."""

    def __init__(self, verdict: str, by: str) -> None:
        super().__init__(f"{by} has decided already: {verdict}")
        self.verdict = verdict
        self.by = by


class TooLate(Exception):  # a verdict
    """Nobody waits for a decision any more. ``why``: ``expired``, or a `Reason`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided on a draft. ``text``: their own words, of an edit."""

    draft: str
    conversation_id: str
    verdict: Verdict
    by: str
    text: str | None = field(default=None, repr=False)


def id_of(conversation_id: str, turn: int) -> str:
    """The id of the words that a turn holds back: known before they are stored."""
    return f"dr_{hashlib.sha256(f'draft:{conversation_id}:{turn}'.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts. ``oldest_s``: how long the oldest that waits has waited; ``day``: by kind and outcome."""

    waiting: int
    oldest_s: float
    day: dict[tuple[str, str], int]


async def save(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    intent: str,
    due_at: datetime,
    words: dict[str, Any],
    proposal_id: str | None = None,
) -> str:
    """Stores words that wait, once per turn. Returns their id, `id_of`.

    Args:
        tx: the transaction.
        keys: seals them.
        conversation_id: ``cv_...``.
        turn: the turn that would have said them.
        intent: what they answer.
        due_at: a person decides until then, or the conversation goes to one.
        words: ``{"question", "words", "sources"}``.
        proposal_id: what waits is this act, and ``words`` its read-back.
    """
    draft_id = id_of(conversation_id, turn)
    cipher = await keys.cipher_of(tx, conversation_id)
    await tx.execute(
        "INSERT INTO drafts (id, conversation_id, turn, kind, proposal_id, intent, due_at, sealed_words)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (
            draft_id,
            conversation_id,
            turn,
            "words" if proposal_id is None else "act",
            proposal_id,
            intent,
            due_at,
            cipher.seal_json(words, f"draft:{draft_id}"),
        ),
    )
    return draft_id


async def judge(
    tx: Transaction,
    keys: KeyRing,
    draft_id: str,
    *,
    verdict: Verdict,
    by: str,
    now: datetime,
    text: str | None = None,
) -> bool:
    """Writes a person's decision; the first one stays. The conversation's row is held meanwhile.

    Returns:
        Whether it is new: the same by the same person again changes nothing.

    Raises:
        UnknownDraft: there is none.
        DecidedAlready: somebody else was first, or this person said otherwise.
        TooLate: its time is over, the caller has left, or a person has them.
        SubjectErased: what it is about was erased.
    """
    cursor = await tx.execute(
        "SELECT c.id, c.status AS conversation FROM conversations c JOIN drafts d ON d.conversation_id = c.id"
        " WHERE d.id = %s FOR NO KEY UPDATE OF c",
        (draft_id,),
    )
    held = await cursor.fetchone()
    if held is None:
        raise UnknownDraft(f"no draft {draft_id}")
    row = await get(tx, keys, draft_id)
    if row["status"] in ("approve", "edit", "reject"):
        if (row["status"], row["decided_by"], row["text"]) == (verdict, by, text):
            return False
        raise DecidedAlready(row["status"], row["decided_by"])
    if row["status"] != "waiting":
        raise TooLate(row["reason"] or row["status"])
    if held["conversation"] != "live":
        raise TooLate(held["conversation"])
    if row["due_at"] <= now:
        raise TooLate("expired")
    sealed = None
    if text is not None:
        cipher = await keys.cipher_of(tx, row["conversation_id"])
        sealed = vault_cipher(cipher).seal(text.encode(), f"draft:text:{draft_id}")
    await tx.execute(
        "UPDATE drafts SET status = %s, decided_by = %s, decided_at = clock_timestamp(), sealed_text = %s"
        " WHERE id = %s",
        (verdict, by, sealed, draft_id),
    )
    return True


async def settle(tx: Transaction, draft_id: str, *, verdict: str, by: str, turn: int) -> bool:
    """A turn takes a decision up, once: one that stands in the row, or its own (a timer's: ``expired``).

    False: the row says something else, or another turn took it up.

    Raises:
        UnknownDraft: there is none.
    """
    cursor = await tx.execute(
        "UPDATE drafts SET status = %(verdict)s, decided_by = %(by)s, told_turn = %(turn)s,"
        " decided_at = coalesce(decided_at, clock_timestamp())"
        " WHERE id = %(id)s AND told_turn IS NULL"
        " AND (status = 'waiting' OR (status = %(verdict)s AND decided_by = %(by)s))",
        {"verdict": verdict, "by": by, "turn": turn, "id": draft_id},
    )
    if cursor.rowcount == 1:
        return True
    await _must_exist(tx, draft_id)
    return False


async def decide(
    tx: Transaction, draft_id: str, *, verdict: Literal["approve", "edit", "reject", "expired"], by: str
) -> bool:
    """Writes what was decided, with no turn to tell it. The first decision stays: False if there was one.

    Raises:
        UnknownDraft: there is none.
    """
    cursor = await tx.execute(
        "UPDATE drafts SET status = %s, decided_by = %s, decided_at = clock_timestamp(), told_turn = turn"
        " WHERE id = %s AND status = 'waiting'",
        (verdict, by, draft_id),
    )
    if cursor.rowcount == 1:
        return True
    await _must_exist(tx, draft_id)
    return False


async def withdraw(tx: Transaction, draft_id: str, *, reason: Reason) -> bool:
    """Nobody waits for it any more. False: it was decided or withdrawn before."""
    cursor = await tx.execute(
        "UPDATE drafts SET status = 'withdrawn', reason = %s, decided_at = clock_timestamp()"
        " WHERE id = %s AND status = 'waiting'",
        (reason, draft_id),
    )
    return cursor.rowcount == 1


async def to_tell(
    tx: Transaction, keys: KeyRing, conversation_ids: Collection[str]
) -> builtins.list[Decided]:
    """Decisions that no turn of these conversations has taken up yet, in the order they were made."""
    if not conversation_ids:
        return []
    cursor = await tx.execute(
        "SELECT d.id FROM drafts d JOIN conversations c ON c.id = d.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id AND s.wrapped_key IS NOT NULL"
        " WHERE d.conversation_id = ANY(%s) AND c.status = 'live' AND d.told_turn IS NULL"
        " AND d.status IN ('approve', 'edit', 'reject') ORDER BY d.decided_at, d.id",
        (builtins.list(conversation_ids),),
    )
    found = [await decision(tx, keys, row["id"]) for row in await cursor.fetchall()]
    return [one for one in found if one is not None]


async def unattended(
    tx: Transaction, mine: Collection[str], *, older_s: float, again_s: float
) -> builtins.list[str]:
    """Live chats of which a decision waits to be taken up, each claimed for ``again_s``.

    A chat belongs to no process: whoever claims it makes the turn. ``mine``: the customer's socket is here;
    others are left for ``older_s`` to where it may be.
    """
    cursor = await tx.execute(
        "UPDATE drafts SET offered_at = clock_timestamp() WHERE id IN (SELECT d.id FROM drafts d"
        " JOIN conversations c ON c.id = d.conversation_id WHERE d.told_turn IS NULL"
        " AND d.status IN ('approve', 'edit', 'reject') AND c.channel = 'chat' AND c.status = 'live'"
        " AND (c.id = ANY(%s) OR d.decided_at < clock_timestamp() - make_interval(secs => %s))"
        " AND (d.offered_at IS NULL OR d.offered_at < clock_timestamp() - make_interval(secs => %s))"
        " FOR UPDATE OF d SKIP LOCKED) RETURNING conversation_id",
        (builtins.list(mine), older_s, again_s),
    )
    return [row["conversation_id"] for row in await cursor.fetchall()]


async def decision(tx: Transaction, keys: KeyRing, draft_id: str) -> Decided | None:
    """What a person decided on a draft; None: nobody did, or there is no such draft."""
    try:
        row = await get(tx, keys, draft_id)
    except UnknownDraft:
        return None
    if row["status"] not in ("approve", "edit", "reject"):
        return None
    return Decided(draft_id, row["conversation_id"], row["status"], row["decided_by"], row["text"])


async def overdue(tx: Transaction, before: datetime, *, limit: int = 50) -> builtins.list[dict[str, Any]]:
    """Drafts that waited in vain since ``before``, or of conversations that wait no more; the oldest first.

    Returns:
        Dicts of ``id, conversation_id, channel, status`` (the conversation's) and ``erased``.
    """
    cursor = await tx.execute(
        "SELECT d.id, d.conversation_id, c.channel, c.status, s.wrapped_key IS NULL AS erased"
        " FROM drafts d JOIN conversations c ON c.id = d.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id"
        " WHERE d.status = 'waiting' AND (d.due_at < %s OR c.status <> 'live') ORDER BY d.due_at LIMIT %s",
        (before, limit),
    )
    return await cursor.fetchall()


async def figures(tx: Transaction) -> Figures:
    """What waits, and what became of the drafts of the last 24 hours."""
    cursor = await tx.execute(
        "SELECT count(*) AS waiting,"
        " coalesce(extract(epoch FROM clock_timestamp() - min(d.created_at)), 0)::float8 AS oldest_s"
        " FROM drafts d JOIN conversations c ON c.id = d.conversation_id"
        " WHERE d.status = 'waiting' AND c.status = 'live'"
    )
    now = await cursor.fetchone()
    assert now is not None
    cursor = await tx.execute(
        "SELECT kind, status, count(*) AS n FROM drafts WHERE status <> 'waiting'"
        " AND created_at > clock_timestamp() - interval '1 day' GROUP BY kind, status"
    )
    day = {(row["kind"], row["status"]): row["n"] for row in await cursor.fetchall()}
    return Figures(now["waiting"], now["oldest_s"], day)


async def list(
    tx: Transaction, *, status: str | None = None, conversation_id: str | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Drafts without their words, those that wait longest first.

    ``waiting`` are only those that somebody still waits for: their conversation is live.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, c.channel FROM drafts d JOIN conversations c ON c.id = d.conversation_id"  # noqa: S608  # constant
        " WHERE (%(status)s::text IS NULL OR d.status = %(status)s)"
        " AND (%(status)s::text IS DISTINCT FROM 'waiting' OR c.status = 'live')"
        " AND (%(conversation)s::text IS NULL OR d.conversation_id = %(conversation)s)"
        " ORDER BY d.created_at, d.id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, draft_id: str) -> dict[str, Any]:
    """One draft with its ``words`` opened, ``text`` (of an edit, else None), ``proposal_id`` and ``channel``.

    Raises:
        UnknownDraft: there is none.
        SubjectErased: what it is about was erased.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, d.proposal_id, d.sealed_words, d.sealed_text, c.channel, c.subject_id"  # noqa: S608  # constant
        " FROM drafts d JOIN conversations c ON c.id = d.conversation_id WHERE d.id = %s",
        (draft_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownDraft(f"no draft {draft_id}")
    subject_id, sealed = row.pop("subject_id"), row.pop("sealed_text")
    cipher = await keys.cipher(tx, subject_id)
    row["words"] = cipher.open_json(row.pop("sealed_words"), f"draft:{draft_id}")
    context = f"draft:text:{draft_id}"
    row["text"] = None if sealed is None else vault_cipher(cipher).open(sealed, context).decode()
    return row


async def _must_exist(tx: Transaction, draft_id: str) -> None:
    if await (await tx.execute("SELECT 1 FROM drafts WHERE id = %s", (draft_id,))).fetchone() is None:
        raise UnknownDraft(f"no draft {draft_id}")
