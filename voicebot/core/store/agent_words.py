"""What agents say of a handoff (disposition, verdict) or of a turn (note). Text is sealed.

Of an agent and a thing the newest counts; saying it again in other words leaves the earlier ones as history.
"""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Kind = Literal["disposition", "verdict", "note"]
DispositionWord = Literal["solved", "not_solved", "passed_on", "not_reached"]
"""``passed_on``: to somebody else; ``not_reached``: the caller could not be spoken to."""
VerdictWord = Literal["agree", "disagree"]
"""Whether a person was needed."""
NoteWord = Literal["wrong_answer", "missing_article", "wrong_intent", "missed_escalation", "good", "other"]


async def say(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    kind: Kind,
    value: str,
    who: str,
    text: str | None,
    handoff_id: str | None = None,
    turn: int | None = None,
) -> tuple[int, bool]:
    """Writes it; what ``who`` had said of the same thing is history then.

    Args:
        tx: the transaction.
        keys: seals ``text``.
        conversation_id: ``cv_...``.
        kind: a note is about ``turn``, the others about ``handoff_id``.
        value: of the kind's closed set.
        who: an agent's id.
        text: in their words, None: nothing.
        handoff_id: ``ho_...``.
        turn: number of the turn.

    Returns:
        Its number, and whether it is new: the same words again are the same row.

    Raises:
        LookupError: there is no such conversation.
        SubjectErased: what was said there was erased.
    """
    locked = await tx.execute(
        "SELECT subject_id FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conversation_id,)
    )
    row = await locked.fetchone()
    if row is None:
        raise LookupError(f"no conversation {conversation_id}")
    cipher = await keys.cipher(tx, row["subject_id"])
    context = f"agent_words:{conversation_id}:{kind}:{handoff_id or turn}:{who}"
    cursor = await tx.execute(
        "SELECT id, value, sealed_text FROM agent_words WHERE conversation_id = %s AND kind = %s AND who = %s"
        " AND handoff_id IS NOT DISTINCT FROM %s AND turn IS NOT DISTINCT FROM %s AND replaced_at IS NULL",
        (conversation_id, kind, who, handoff_id, turn),
    )
    before = await cursor.fetchone()
    if before is not None:
        sealed = before["sealed_text"]
        said = None if sealed is None else cipher.open(sealed, context).decode()
        if (before["value"], said) == (value, text):
            return before["id"], False
        await tx.execute(
            "UPDATE agent_words SET replaced_at = clock_timestamp() WHERE id = %s", (before["id"],)
        )
    cursor = await tx.execute(
        "INSERT INTO agent_words (conversation_id, handoff_id, turn, kind, value, who, sealed_text)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            conversation_id,
            handoff_id,
            turn,
            kind,
            value,
            who,
            None if text is None else cipher.seal(text.encode(), context),
        ),
    )
    made = await cursor.fetchone()
    assert made is not None
    return made["id"], True


async def of(
    tx: Transaction,
    keys: KeyRing,
    conversation_id: str,
    *,
    handoff_id: str | None = None,
    history: bool = False,
) -> builtins.list[dict[str, Any]]:
    """All of a conversation (or of one handoff), oldest first; ``history``: what was replaced too.

    Returns:
        Dicts of ``id, kind, value, who, handoff_id, turn, text, at, replaced_at``.

    Raises:
        LookupError: there is no such conversation.
        SubjectErased: it was erased.
    """
    cipher = await keys.cipher_of(tx, conversation_id)
    cursor = await tx.execute(
        "SELECT id, kind, value, who, handoff_id, turn, sealed_text, at, replaced_at FROM agent_words"
        " WHERE conversation_id = %(cv)s AND (%(history)s OR replaced_at IS NULL)"
        " AND (%(handoff)s::text IS NULL OR handoff_id = %(handoff)s) ORDER BY id",
        {"cv": conversation_id, "history": history, "handoff": handoff_id},
    )
    words: builtins.list[dict[str, Any]] = []
    for row in await cursor.fetchall():
        sealed: bytes | None = row.pop("sealed_text")
        thing = row["handoff_id"] or row["turn"]
        context = f"agent_words:{conversation_id}:{row['kind']}:{thing}:{row['who']}"
        row["text"] = None if sealed is None else cipher.open(sealed, context).decode()
        words.append(row)
    return words


async def had(tx: Transaction, handoff_id: str, who: str | None) -> datetime | None:
    """When ``who`` (an agent, a destination) accepted the handoff first; None: never."""
    cursor = await tx.execute(
        "SELECT min(at) AS at FROM handoff_changes WHERE handoff_id = %s AND what = 'accepted' AND who = %s",
        (handoff_id, who),
    )
    row = await cursor.fetchone()
    return None if row is None else row["at"]
