"""Calls that are over and what is known of each besides its words; which of them are worth listening to.

Nothing here is personal, and nothing is opened. Whether the files are there is for whoever has the disk.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from voicebot.core.store.database import Transaction

LOW_RATING = 2
"""Of 5."""
MANY_GAPS = 2
"""Questions of one call without an article."""

WORTH: Mapping[str, tuple[int, str]] = {
    "missed_person": (5, "coalesce(o.missed_sign, false) OR coalesce(w.missed, false)"),
    "disagreed": (4, "coalesce(w.disagreed, false)"),
    "wrong": (4, "coalesce(w.wrong, false)"),
    "low_rating": (4, f"k.score <= {LOW_RATING}"),
    "cut_off": (3, "o.cut_offs > 0"),
    "slow": (3, "longest.ms >= %(slow_ms)s"),
    "nobody_came": (3, "o.escalated AND NOT h.came"),
    "asked_again": (2, "o.asked_again OR o.is_repeat"),
    "left": (2, "o.resolution = 'abandoned'"),
    "no_answer": (1, f"o.gaps >= {MANY_GAPS}"),
}
"""Reasons to listen: how much each weighs, and when it holds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is of; None: everything. ``since`` and ``until``: when it began."""

    intent: str | None = None
    trigger: str | None = None
    resolution: str | None = None
    channel: str | None = None
    wait_ms: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    marked: bool | None = None
    worth: bool = False
    slow_ms: int = 3000
    before: tuple[datetime, str] | None = None
    """After this one of a page that was read: when it began, and its id."""


_RECORDED = "c.channel IN ('phone', 'browser') AND c.status = 'ended'"
_REASONS = ", ".join(f"CASE WHEN {holds} THEN '{name}' END" for name, (_, holds) in WORTH.items())
_WEIGHT = " + ".join(f"CASE WHEN {holds} THEN {weight} ELSE 0 END" for weight, holds in WORTH.values())
_FOUND = (
    "SELECT c.id, c.channel, c.turn AS turns, c.created_at, c.ended_at, c.end_reason,"  # noqa: S608  # constants
    " s.wrapped_key IS NULL AS erased, o.intent, o.resolution, o.disposition, o.trigger, o.cut_offs,"
    " longest.ms AS longest_wait_ms, k.score AS csat, w.notes AS marks,"
    f" array_remove(ARRAY[{_REASONS}], NULL) AS reasons, {_WEIGHT} AS weight"
    " FROM conversations c JOIN subjects s ON s.id = c.subject_id"
    " LEFT JOIN outcomes o ON o.conversation_id = c.id"
    " LEFT JOIN csat k ON k.conversation_id = c.id"
    " CROSS JOIN LATERAL (SELECT max(ms) AS ms FROM unnest(o.waited_ms) AS ms) AS longest"
    " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE kind = 'note')::int AS notes,"
    "  bool_or(value = 'missed_escalation') AS missed, bool_or(value = 'disagree') AS disagreed,"
    "  bool_or(value IN ('wrong_answer', 'missing_article', 'wrong_intent')) AS wrong"
    "  FROM agent_words a WHERE a.conversation_id = c.id AND a.replaced_at IS NULL) AS w"
    " CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM handoffs x"
    "  JOIN handoff_changes y ON y.handoff_id = x.id"
    "  WHERE x.conversation_id = c.id AND y.what IN ('accepted', 'bridged')) AS came) AS h"
    f" WHERE {_RECORDED}"
    " AND (%(since)s::timestamptz IS NULL OR c.created_at >= %(since)s)"
    " AND (%(until)s::timestamptz IS NULL OR c.created_at < %(until)s)"
    " AND (%(channel)s::text IS NULL OR c.channel = %(channel)s)"
    " AND (%(resolution)s::text IS NULL OR o.resolution = %(resolution)s)"
    " AND (%(trigger)s::text IS NULL OR o.trigger = %(trigger)s)"
    " AND (%(intent)s::text IS NULL OR EXISTS (SELECT 1 FROM outcome_intents i"
    "  WHERE i.conversation_id = c.id AND i.intent = %(intent)s))"
    " AND (%(wait_ms)s::int IS NULL OR longest.ms > %(wait_ms)s)"
    " AND (%(marked)s::boolean IS NULL OR (w.notes > 0) = %(marked)s)"
    " AND (%(before_at)s::timestamptz IS NULL OR (c.created_at, c.id) < (%(before_at)s, %(before_id)s))"
)


_ANY: Mapping[str, Any] = {one.name: None for one in fields(Wanted)} | {"before_at": None, "before_id": None}


async def list(
    tx: Transaction, wanted: Wanted, *, limit: int, skip: int = 0
) -> builtins.list[dict[str, Any]]:
    """The newest first; where only those are ``wanted`` that are worth listening to, what weighs most.

    Returns:
        Dicts of ``id, channel, turns, created_at, ended_at, end_reason, erased, intent, resolution,
        disposition, trigger, cut_offs, longest_wait_ms, csat, marks, reasons, weight``; what an outcome says
        is None until there is one. ``reasons``: names of `WORTH`.
    """
    asked = {one.name: getattr(wanted, one.name) for one in fields(wanted)}
    before = asked.pop("before")
    asked |= {
        "before_at": None if before is None else before[0],
        "before_id": None if before is None else before[1],
        "limit": limit,
        "skip": skip,
    }
    only = " WHERE weight > 0" if wanted.worth else ""
    first = "weight DESC, " if wanted.worth else ""
    cursor = await tx.execute(
        f"SELECT * FROM ({_FOUND}) AS found{only} ORDER BY {first}created_at DESC, id DESC"  # noqa: S608  # constants
        " LIMIT %(limit)s OFFSET %(skip)s".encode(),
        asked,
    )
    return await cursor.fetchall()


async def known(tx: Transaction, since: datetime) -> dict[str, builtins.list[str]]:
    """What can be chosen from: ``intents``, ``triggers`` and ``resolutions`` of calls since then."""
    cursor = await tx.execute(
        "SELECT coalesce(array_agg(DISTINCT i.intent) FILTER (WHERE i.intent <> ''), '{}') AS intents,"
        " coalesce(array_agg(DISTINCT o.trigger) FILTER (WHERE o.trigger IS NOT NULL), '{}') AS triggers,"
        " coalesce(array_agg(DISTINCT o.resolution) FILTER (WHERE o.resolution IS NOT NULL), '{}')"
        " AS resolutions FROM outcomes o LEFT JOIN outcome_intents i USING (conversation_id)"
        " WHERE o.channel IN ('phone', 'browser') AND o.began_at >= %s",
        (since,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return row


@dataclass(frozen=True, slots=True)
class Unheard:
    """What nobody has listened to. ``last``: when somebody last listened to any call, None: not in that time.

    ``calls``: how many ended since then and are worth it; ``oldest``: when the first of them ended.
    """

    last: datetime | None
    calls: int
    oldest: datetime | None


async def unheard(tx: Transaction, since: datetime, *, slow_ms: int) -> Unheard:
    """Calls since then that are worth listening to, and that ended after somebody last listened to one."""
    listened = "resource = 'recording' AND purpose = 'listening' AND at >= %(since)s"
    row = await (
        await tx.execute(
            "SELECT max(at) AS last FROM ("  # noqa: S608  # constants
            f" SELECT max(at) AS at FROM access_log WHERE {listened} UNION ALL"
            f" SELECT max(at) FROM audit_outbox WHERE {listened}) AS listenings".encode(),
            {"since": since},
        )
    ).fetchone()
    assert row is not None
    last: datetime | None = row["last"]
    cursor = await tx.execute(
        "SELECT count(*) AS calls, min(ended_at) AS oldest"  # noqa: S608  # constants
        f" FROM ({_FOUND}) AS found WHERE weight > 0 AND NOT erased AND ended_at > %(last)s".encode(),
        {**_ANY, "since": since, "slow_ms": slow_ms, "last": last or since},
    )
    found = await cursor.fetchone()
    assert found is not None
    return Unheard(last, found["calls"], found["oldest"])


async def facts(tx: Transaction, conversation_id: str, *, slow_ms: int) -> dict[str, Any] | None:
    """The row of one call, as `list` gives it; None: there is no such call, or it goes on."""
    cursor = await tx.execute(
        f"{_FOUND} AND c.id = %(id)s".encode(), {**_ANY, "slow_ms": slow_ms, "id": conversation_id}
    )
    return await cursor.fetchone()
