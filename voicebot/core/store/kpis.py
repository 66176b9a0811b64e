"""Counts and times over outcomes, by SQL over rows: what `voicebot.console.targets` makes figures of.

A unit is a conversation, or (by intent) one thing that was wanted in one. What belongs to the whole, such
as verdicts and satisfaction, counts by intent with the last thing it was about.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from voicebot.core.store.database import Transaction

By = Literal["day", "intent", "channel", "all"]

_SPAN = (
    "span AS (SELECT o.*, (o.began_at AT TIME ZONE %(zone)s)::date AS day FROM outcomes o"
    " WHERE o.began_at >= (%(first)s::date)::timestamp AT TIME ZONE %(zone)s"
    " AND o.began_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s)"
)
_KEYS: dict[By, str] = {"day": "s.day::text", "channel": "s.channel", "all": "''", "intent": "i.intent"}
_UNITS = (
    "units AS (SELECT s.conversation_id, {key} AS key, s.resolution, s.escalated, s.missed_sign,"
    " s.gaps, s.grounded, s.first_sign_at, true AS whole FROM span s)"
)
_UNITS_BY_INTENT = (
    "units AS (SELECT s.conversation_id, i.intent AS key, i.resolution,"
    " s.escalated AND i.intent = s.intent AS escalated,"
    " s.missed_sign AND i.resolution IN ('unresolved', 'abandoned') AS missed_sign,"
    " i.gaps, i.grounded, s.first_sign_at, i.intent = s.intent AS whole"
    " FROM span s JOIN outcome_intents i USING (conversation_id))"
)
_BESIDE = (
    "said AS (SELECT w.conversation_id,"
    " (array_agg(w.value ORDER BY w.id DESC) FILTER (WHERE w.kind = 'disposition'))[1] = 'solved' AS solved,"
    " count(*) FILTER (WHERE w.value = 'agree') AS agree,"
    " count(*) FILTER (WHERE w.value = 'disagree') AS disagree,"
    " bool_or(w.value = 'missed_escalation') AS missed"
    " FROM agent_words w JOIN span USING (conversation_id) WHERE w.replaced_at IS NULL GROUP BY 1),"
    " ways AS (SELECT h.conversation_id, coalesce(min(x.at) FILTER (WHERE x.what = 'bridged'),"
    " min(x.at) FILTER (WHERE x.what = 'accepted')) AS person_at"
    " FROM handoffs h JOIN span USING (conversation_id) JOIN handoff_changes x ON x.handoff_id = h.id"
    " GROUP BY 1)"
)
_COUNTS = (
    "SELECT key, count(*) AS conversations,"
    " count(*) FILTER (WHERE resolution <> 'unknown') AS wanted,"
    " count(*) FILTER (WHERE resolution = 'resolved') AS resolved,"
    " count(*) FILTER (WHERE resolution = 'unresolved') AS unresolved,"
    " count(*) FILTER (WHERE resolution = 'abandoned') AS abandoned,"
    " count(*) FILTER (WHERE resolution = 'handed_over') AS handed_over,"
    " count(*) FILTER (WHERE resolution = 'handed_over' AND whole AND solved) AS solved_by_person,"
    " count(*) FILTER (WHERE resolution = 'handed_over' OR escalated) AS escalated,"
    " count(*) FILTER (WHERE missed_sign OR (whole AND missed)) AS missed,"
    " coalesce(sum(gaps), 0)::int AS gaps, coalesce(sum(grounded), 0)::int AS grounded,"
    " coalesce(sum(agree) FILTER (WHERE whole), 0)::int AS agree,"
    " coalesce(sum(disagree) FILTER (WHERE whole), 0)::int AS disagree,"
    " count(score) FILTER (WHERE whole) AS rated,"
    " avg(score) FILTER (WHERE whole)::float8 AS csat,"
    " count(*) FILTER (WHERE escalated AND person_at IS NULL) AS nobody_came,"
    " count(*) FILTER (WHERE safe_s IS NOT NULL) AS reached,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY safe_s) AS safe_p50_s,"
    " percentile_cont(0.95) WITHIN GROUP (ORDER BY safe_s) AS safe_p95_s"
    " FROM (SELECT u.*, said.solved, said.agree, said.disagree, said.missed, ways.person_at, c.score,"
    " CASE WHEN u.escalated AND ways.person_at >= u.first_sign_at"
    " THEN extract(epoch FROM ways.person_at - u.first_sign_at)::float8 END AS safe_s"
    " FROM units u LEFT JOIN said USING (conversation_id) LEFT JOIN ways USING (conversation_id)"
    " LEFT JOIN csat c USING (conversation_id)) AS each GROUP BY key ORDER BY key"
)
_TIMES = (
    "SELECT {key} AS key, count(*) FILTER (WHERE NOT i.complex) AS simple,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM i.resolved_at - i.asked_at)::float8)"
    " FILTER (WHERE NOT i.complex) AS simple_p50_s, count(*) FILTER (WHERE i.complex) AS complex,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM i.resolved_at - i.asked_at)::float8)"
    " FILTER (WHERE i.complex) AS complex_p50_s"
    " FROM span s JOIN outcome_intents i USING (conversation_id) WHERE i.resolved_at IS NOT NULL GROUP BY 1"
)
_NO_TIMES = {"simple": 0, "simple_p50_s": None, "complex": 0, "complex_p50_s": None}


async def counts(tx: Transaction, *, first: date, last: date, zone: str, by: By) -> list[dict[str, Any]]:
    """Counts of the conversations that began from ``first`` to ``last``, both days whole in ``zone``.

    Returns:
        Dicts of ``key`` (a day, an intent, a channel; empty for all), ``conversations, wanted, resolved,
        unresolved, abandoned, handed_over, solved_by_person, escalated, missed, gaps, grounded, agree,
        disagree, rated, csat, nobody_came, reached, safe_p50_s, safe_p95_s, simple, simple_p50_s, complex,
        complex_p50_s``, ordered by key. Times are None where nothing was measured.
    """
    asked = {"first": first, "last": last, "zone": zone}
    units = _UNITS_BY_INTENT if by == "intent" else _UNITS.format(key=_KEYS[by])
    cursor = await tx.execute(f"WITH {_SPAN}, {units}, {_BESIDE} {_COUNTS}".encode(), asked)  # constants
    rows = await cursor.fetchall()
    timed = await tx.execute(f"WITH {_SPAN} {_TIMES.format(key=_KEYS[by])}".encode(), asked)  # constants
    times = {row["key"]: row for row in await timed.fetchall()}
    return [{**row, **(times.get(row["key"]) or {"key": row["key"], **_NO_TIMES})} for row in rows]


async def categories(tx: Transaction, *, first: date, last: date, zone: str) -> list[dict[str, Any]]:
    """Things that were wanted, by category: dicts of ``category, wanted, resolved``."""
    cursor = await tx.execute(
        f"WITH {_SPAN} SELECT i.category, count(*) AS wanted,"  # noqa: S608  # constants
        " count(*) FILTER (WHERE i.resolution = 'resolved') AS resolved"
        " FROM span JOIN outcome_intents i USING (conversation_id) GROUP BY 1 ORDER BY 1".encode(),
        {"first": first, "last": last, "zone": zone},
    )
    return await cursor.fetchall()
