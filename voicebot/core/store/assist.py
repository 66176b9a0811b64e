"""What was suggested to the person who speaks with a caller, and what they made of it.

Every suggestion that was shown is kept once for each conversation, its words sealed, so that any node knows
what is marked. Handoffs are counted with and without (`effect`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Mark = Literal["used", "not_useful"]


class UnknownSuggestion(LookupError):
    """Nothing of this id was suggested in the conversation."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What was suggested. ``about``: an id of ours; ``words``: its text and the like, to be sealed."""

    id: str
    kind: str
    about: str
    line: int
    words: dict[str, Any]


async def offer(tx: Transaction, keys: KeyRing, conversation_id: str, offers: Sequence[Offer]) -> None:
    """Keeps what is shown; what was shown before stays as it was.

    Raises:
        LookupError: there is no such conversation.
        SubjectErased: its key was deleted.
    """
    if not offers:
        return
    cipher = await keys.cipher_of(tx, conversation_id)
    for one in sorted(offers, key=lambda one: one.id):  # two nodes at once lock in one order
        await tx.execute(
            "INSERT INTO assist_offers (conversation_id, suggestion, kind, about, line, sealed)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                conversation_id,
                one.id,
                one.kind,
                one.about,
                one.line,
                cipher.seal_json(one.words, _at(conversation_id, one.id)),
            ),
        )


async def offered(tx: Transaction, keys: KeyRing, conversation_id: str, suggestion: str) -> Offer:
    """What was suggested under an id.

    Raises:
        UnknownSuggestion: nothing.
        SubjectErased: its key was deleted.
    """
    cursor = await tx.execute(
        "SELECT kind, about, line, sealed FROM assist_offers WHERE conversation_id = %s AND suggestion = %s",
        (conversation_id, suggestion),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownSuggestion(f"nothing was suggested as {suggestion}")
    cipher = await keys.cipher_of(tx, conversation_id)
    words = cipher.open_json(row["sealed"], _at(conversation_id, suggestion))
    return Offer(suggestion, row["kind"], row["about"], row["line"], words)


async def mark(
    tx: Transaction, conversation_id: str, suggestion: str, mark: Mark, *, who: str, handoff_id: str | None
) -> bool:
    """Says what it was worth to ``who``; False: they had said so before.

    Raises:
        UnknownSuggestion: nothing of this id was suggested.
    """
    known = await tx.execute(
        "SELECT 1 FROM assist_offers WHERE conversation_id = %s AND suggestion = %s",
        (conversation_id, suggestion),
    )
    if await known.fetchone() is None:
        raise UnknownSuggestion(f"nothing was suggested as {suggestion}")
    cursor = await tx.execute(
        "INSERT INTO assist_marks AS m (conversation_id, suggestion, who, mark, handoff_id)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (conversation_id, suggestion, who) DO UPDATE"
        " SET mark = excluded.mark, handoff_id = excluded.handoff_id, at = clock_timestamp()"
        " WHERE m.mark <> excluded.mark",
        (conversation_id, suggestion, who, mark, handoff_id),
    )
    return cursor.rowcount == 1


async def marks(tx: Transaction, conversation_id: str) -> dict[str, Mark]:
    """What was made of the suggestions of a conversation, by id; of several agents the newest word."""
    cursor = await tx.execute(
        "SELECT suggestion, mark FROM assist_marks WHERE conversation_id = %s ORDER BY at", (conversation_id,)
    )
    return {row["suggestion"]: row["mark"] for row in await cursor.fetchall()}


async def counts(tx: Transaction, *, first: date, last: date, zone: str) -> list[dict[str, Any]]:
    """By kind: how many were ``offered, used, not_useful``, of conversations that began in these days."""
    cursor = await tx.execute(
        "SELECT o.kind, count(*) AS offered, count(*) FILTER (WHERE m.used) AS used,"  # noqa: S608  # constants
        " count(*) FILTER (WHERE m.not_useful) AS not_useful"
        " FROM assist_offers o JOIN conversations c ON c.id = o.conversation_id"
        " LEFT JOIN LATERAL (SELECT bool_or(mark = 'used') AS used,"
        " bool_or(mark = 'not_useful') AS not_useful FROM assist_marks m"
        " WHERE m.conversation_id = o.conversation_id AND m.suggestion = o.suggestion) m ON true"
        f" WHERE {_DAYS} GROUP BY 1 ORDER BY 1".encode(),
        {"first": first, "last": last, "zone": zone},
    )
    return await cursor.fetchall()


async def effect(tx: Transaction, *, first: date, last: date, zone: str) -> list[dict[str, Any]]:
    """Handoffs that somebody took, with something used and without; of conversations begun in these days.

    Returns:
        Up to two dicts of ``assisted, handoffs, judged, solved, settled, settled_p50_s, reopened, rated,
        csat``. ``judged``: with a disposition; ``settled_p50_s``: median seconds from accepted to done;
        ``reopened``: the same person asked the same again within the time of an outcome.
    """
    cursor = await tx.execute(
        "SELECT assisted, count(*) AS handoffs, count(value) AS judged,"  # noqa: S608  # constants
        " count(*) FILTER (WHERE value = 'solved') AS solved, count(settled_s) AS settled,"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY settled_s) AS settled_p50_s,"
        " count(*) FILTER (WHERE again) AS reopened, count(score) AS rated, avg(score)::float8 AS csat"
        " FROM (SELECT EXISTS (SELECT 1 FROM assist_marks m WHERE m.handoff_id = h.id AND m.mark = 'used')"
        " AS assisted, w.value, extract(epoch FROM h.done_at - h.accepted_at)::float8 AS settled_s,"
        " EXISTS (SELECT 1 FROM outcome_intents i WHERE i.conversation_id = h.conversation_id"
        " AND i.repeated_by IS NOT NULL) AS again, s.score"
        " FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        " LEFT JOIN csat s ON s.conversation_id = h.conversation_id"
        " LEFT JOIN LATERAL (SELECT value FROM agent_words w WHERE w.handoff_id = h.id"
        " AND w.kind = 'disposition' AND w.replaced_at IS NULL ORDER BY w.id DESC LIMIT 1) w ON true"
        f" WHERE h.accepted_at IS NOT NULL AND {_DAYS}) AS each"
        " GROUP BY assisted ORDER BY assisted DESC".encode(),
        {"first": first, "last": last, "zone": zone},
    )
    return await cursor.fetchall()


_DAYS = (
    "c.created_at >= (%(first)s::date)::timestamp AT TIME ZONE %(zone)s"
    " AND c.created_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s"
)


def _at(conversation_id: str, suggestion: str) -> str:
    return f"assist:{conversation_id}:{suggestion}"
