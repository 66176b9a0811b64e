"""What is counted, as SQL: days, their units, and the parts of them that figures are made of.

A unit is a conversation, or (by intent or category) one thing that was wanted in one. What belongs to the
whole, such as verdicts and satisfaction, counts by intent with the last thing it was about.
"""

from __future__ import annotations

import hashlib
from typing import Literal

By = Literal["all", "channel", "segment", "intent", "category"]
"""What units are by: of intents and categories they are things that were wanted, else conversations."""
EVERY_BY: tuple[By, ...] = ("all", "channel", "segment", "intent", "category")
_BY_WANT = frozenset({"intent", "category"})

SATISFIED = 4
"""Who gives so much of 5 is satisfied."""

_KEYS: dict[By, str] = {
    "all": "''",
    "channel": "s.channel",
    "segment": "s.segment",
    "intent": "i.intent",
    "category": "i.category",
}
_SPAN = (
    "span AS MATERIALIZED (SELECT d.day, o.* FROM unnest(%(days)s::date[], %(from)s::timestamptz[],"
    " %(until)s::timestamptz[]) AS d (day, since, until)"
    " JOIN outcomes o ON o.began_at >= d.since AND o.began_at < d.until"
    " WHERE %(teams)s::text[] IS NULL OR EXISTS (SELECT 1 FROM handoffs h"
    " WHERE h.conversation_id = o.conversation_id AND h.skill = ANY(%(teams)s)))"
)
_UNITS = (
    "units AS (SELECT s.day, {key} AS key, s.conversation_id, s.began_at, s.channel, s.segment, s.intent,"
    " s.disposition, s.resolution, s.escalated, s.missed_sign, s.gaps, s.grounded, s.first_sign_at,"
    " s.told_apart, s.ours, s.asked_again, s.is_repeat, s.first_useful_s, s.waited_ms, true AS whole"
    " FROM span s)"
)
_UNITS_BY_WANT = (
    "units AS (SELECT s.day, {key} AS key, s.conversation_id, s.began_at, s.channel, s.segment, i.intent,"
    " s.disposition, i.resolution, s.escalated AND i.intent = s.intent AS escalated,"
    " s.missed_sign AND i.resolution IN ('unresolved', 'abandoned') AS missed_sign,"
    " i.gaps, i.grounded, s.first_sign_at, s.told_apart, s.ours, i.repeated_by IS NOT NULL AS asked_again,"
    " i.repeats IS NOT NULL AS is_repeat, i.first_useful_s, s.waited_ms, i.intent = s.intent AS whole"
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
    " FROM handoffs h JOIN span USING (conversation_id)"
    " JOIN handoff_changes x ON x.handoff_id = h.id AND x.what IN ('bridged', 'accepted') GROUP BY 1)"
)
_EACH = (
    "each AS (SELECT u.*, said.solved, said.agree, said.disagree, said.missed, ways.person_at, c.score,"
    " CASE WHEN u.escalated AND ways.person_at >= u.first_sign_at"
    " THEN extract(epoch FROM ways.person_at - u.first_sign_at)::float8 END AS safe_s"
    " FROM units u LEFT JOIN said USING (conversation_id) LEFT JOIN ways USING (conversation_id)"
    " LEFT JOIN csat c USING (conversation_id))"
)
_SETTLED = (
    "settled AS (SELECT s.day, {key} AS key, s.conversation_id, s.began_at, s.channel, s.segment, i.intent,"
    " s.disposition, i.resolution, i.complex,"
    " extract(epoch FROM i.resolved_at - i.asked_at)::float8 AS took_s"
    " FROM span s JOIN outcome_intents i USING (conversation_id) WHERE i.resolved_at IS NOT NULL)"
)

_WANTED = "resolution <> 'unknown'"
_CONTAINED = "resolution IN ('resolved', 'unresolved')"
_SOLVED = "resolution = 'handed_over' AND whole AND solved AND NOT asked_again"
_FIRST = f"{_WANTED} AND told_apart AND NOT is_repeat AND NOT ours"
PARTS: dict[str, str] = {
    "conversations": "true",
    "wanted": _WANTED,
    "resolved": "resolution = 'resolved'",
    "unresolved": "resolution = 'unresolved'",
    "abandoned": "resolution = 'abandoned'",
    "handed_over": "resolution = 'handed_over'",
    "contained": _CONTAINED,
    "solved_by_person": _SOLVED,
    "settled": f"resolution = 'resolved' OR ({_SOLVED})",
    "escalated": f"{_WANTED} AND (resolution = 'handed_over' OR escalated)",
    "nobody_came": f"{_WANTED} AND escalated AND person_at IS NULL",
    "missed": f"{_WANTED} AND (missed_sign OR (whole AND missed))",
    "first_contacts": _FIRST,
    "first_resolved": f"{_FIRST} AND resolution = 'resolved'",
    "first_settled": f"{_FIRST} AND (resolution = 'resolved' OR ({_SOLVED}))",
    "told_apart": f"{_WANTED} AND told_apart",
    "asked_again": f"{_WANTED} AND told_apart AND asked_again",
    "rated": "whole AND score IS NOT NULL",
    "rated_contained": f"whole AND score IS NOT NULL AND {_CONTAINED}",
    "satisfied": f"whole AND score >= {SATISFIED} AND {_CONTAINED}",
}
"""Conditions on a unit; each is a count by its name."""
SUMS: dict[str, str] = {
    "gaps": "coalesce(sum(gaps), 0)",
    "grounded": "coalesce(sum(grounded), 0)",
    "agree": "coalesce(sum(agree) FILTER (WHERE whole), 0)",
    "disagree": "coalesce(sum(disagree) FILTER (WHERE whole), 0)",
    "score": "coalesce(sum(score) FILTER (WHERE whole), 0)",
}
"""What is added up over units."""
BEHIND: dict[str, str] = {
    **PARTS,
    "gaps": "gaps > 0",
    "asked": "gaps > 0 OR grounded > 0",
    "agreed": "whole AND agree > 0",
    "judged": "whole AND agree + disagree > 0",
    "came": "safe_s IS NOT NULL",
    "answered": "first_useful_s IS NOT NULL",
    "timed": "whole AND cardinality(waited_ms) > 0",
    "simple": "NOT complex",
    "complex": "complex",
}
"""Conditions for lists: also those that stand behind sums and times. The last two are of ``settled``."""
_OF_SETTLED = frozenset({"simple", "complex"})
TIMES = ("safe_ms", "first_useful_ms", "simple_ms", "complex_ms", "waited_ms")
"""Measured times of a day, each four bytes."""


def _bytes_of(ms: str, where: str) -> str:
    packed = f"string_agg(int4send(least({ms}, 2147483647)::int), '') FILTER (WHERE {where})"
    return f"coalesce({packed}, '')"


_COUNTED = ", ".join(
    [f"'{name}', count(*) FILTER (WHERE {condition})" for name, condition in PARTS.items()]
    + [f"'{name}', {total}" for name, total in SUMS.items()]
)
_DAYS = (
    " SELECT e.day, e.key, e.counts, e.safe_ms, e.first_useful_ms, coalesce(t.simple_ms, '') AS simple_ms,"  # noqa: S608  # constants
    " coalesce(t.complex_ms, '') AS complex_ms, coalesce(w.waited_ms, '') AS waited_ms"
    f" FROM (SELECT day, key, jsonb_build_object({_COUNTED}) AS counts,"
    f" {_bytes_of('round(safe_s * 1000)', 'safe_s IS NOT NULL')} AS safe_ms,"
    f" {_bytes_of('round(first_useful_s * 1000)', 'first_useful_s IS NOT NULL')} AS first_useful_ms"
    " FROM each GROUP BY day, key) AS e LEFT JOIN (SELECT day, key,"
    f" {_bytes_of('round(took_s * 1000)', 'NOT complex')} AS simple_ms,"
    f" {_bytes_of('round(took_s * 1000)', 'complex')} AS complex_ms"
    " FROM settled GROUP BY day, key) AS t USING (day, key) LEFT JOIN (SELECT day, key,"
    f" {_bytes_of('ms', 'true')} AS waited_ms"
    " FROM units, unnest(waited_ms) AS ms WHERE whole GROUP BY day, key) AS w USING (day, key)"
)


def _ctes(by: By) -> str:
    units = (_UNITS_BY_WANT if by in _BY_WANT else _UNITS).format(key=_KEYS[by])
    return f"WITH {_SPAN}, {units}, {_BESIDE}, {_EACH}, {_SETTLED.format(key=_KEYS[by])}"


def counting(by: By) -> str:
    """A query of days by their keys: ``day, key, counts`` (of `PARTS` and `SUMS`), and `TIMES`.

    Its parameters are ``days``, ``from`` and ``until`` (where each day begins and ends), and ``teams``: only
    conversations that one of these was asked for, None: all.
    """
    return _ctes(by) + _DAYS


def listing(by: By, part: str, without: str | None) -> str:
    """The beginning of a query of units: of its CTEs ``found`` has those of ``part`` but not of ``without``.

    Both are names of `BEHIND`. Its parameters are those of `counting`, and ``key``, None: every key.
    """
    rows = "settled" if part in _OF_SETTLED else "each"
    holds = f"({BEHIND[part]})" + ("" if without is None else f" AND ({BEHIND[without]}) IS NOT TRUE")
    return (
        f"{_ctes(by)}, found AS (SELECT * FROM {rows}"  # noqa: S608  # constants
        f" WHERE {holds} AND (%(key)s::text IS NULL OR key = %(key)s))"
    )


RULES = hashlib.sha256("".join(counting(by) for by in EVERY_BY).encode()).hexdigest()[:16]
"""Of what the days were counted by: days that were counted by others are counted again."""
