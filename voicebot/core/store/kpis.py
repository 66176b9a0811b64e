"""Figures' raw material: counts and times of a span of days, and the conversations behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.kpi_days import Tally, bounds, days_of, tallies
from voicebot.core.store.kpi_units import By, listing

Order = Literal["newest", "most", "least"]
_ORDERS: dict[Order, str] = {"newest": "", "most": "value DESC, ", "least": "value, "}
_VALUES: dict[str | None, str] = {
    None: "NULL",
    "safe_s": "safe_s",
    "first_useful_s": "first_useful_s",
    "took_s": "took_s",
    "score": "score",
    "longest_wait_s": "(SELECT max(ms) / 1000.0 FROM unnest(waited_ms) AS ms)",
}


async def counted(
    tx: Transaction,
    *,
    first: date,
    last: date,
    zone: str,
    by: Collection[By],
    teams: Sequence[str] | None = None,
) -> tuple[Tally, dict[str, Tally], dict[By, dict[str, Tally]]]:
    """Counts of the conversations that began from ``first`` to ``last``, both days whole in ``zone``.

    ``teams``: only of those that one of them was asked for.

    Returns:
        All together, by day (ISO), and by each of ``by`` and its keys; keys are in order.
    """
    found = await tallies(tx, first=first, last=last, zone=zone, by=[*{*by, "all"}], teams=teams)
    days = {day.isoformat(): tally for (day, _), tally in sorted(found["all"].items())}
    rows: dict[By, dict[str, Tally]] = {}
    for one in by:
        rows[one] = await asyncio.to_thread(_together, found[one])
    whole = await asyncio.to_thread(_together, found["all"])
    return whole.get("", Tally()), days, rows


def _together(parts: dict[tuple[date, str], Tally]) -> dict[str, Tally]:
    """By key, over all days."""
    whole: dict[str, Tally] = {key: Tally() for key in sorted({key for _, key in parts})}
    for (_, key), part in parts.items():
        whole[key].add({"counts": part.counts, **{name: b"".join(ms) for name, ms in part.times.items()}})
    return whole


async def behind(
    tx: Transaction,
    *,
    first: date,
    last: date,
    zone: str,
    by: By,
    key: str | None,
    part: str,
    without: str | None = None,
    value: str | None = None,
    order: Order = "newest",
    limit: int,
    skip: int = 0,
) -> tuple[int, list[dict[str, Any]]]:
    """The units of ``part`` that are not also of ``without``: names of `kpi_units.BEHIND`. Of one key or all.

    ``value``: what to show of each and to order by.

    Returns:
        How many there are, and from ``skip`` on up to ``limit`` dicts of ``conversation_id, began_at,
        channel, segment, intent, resolution, disposition, value``.
    """
    asked = {**bounds(days_of(first, last), zone), "teams": None, "key": key, "limit": limit, "skip": skip}
    found = listing(by, part, without)
    cursor = await tx.execute(f"{found} SELECT count(*) AS n FROM found".encode(), asked)  # noqa: S608  # constants
    row = await cursor.fetchone()
    assert row is not None
    columns = "conversation_id, began_at, channel, segment, intent, resolution, disposition"
    cursor = await tx.execute(
        f"{found} SELECT {columns}, ({_VALUES[value]})::float8 AS value FROM found"  # noqa: S608  # constants
        f" ORDER BY {_ORDERS[order]}began_at DESC, conversation_id, intent"
        " LIMIT %(limit)s OFFSET %(skip)s".encode(),
        asked,
    )
    return row["n"], await cursor.fetchall()


async def gap_topics(
    tx: Transaction, *, first: date, last: date, zone: str, limit: int = 20
) -> list[dict[str, Any]]:
    """What was asked most without an answer: dicts of ``keywords, intent, reasons, count``, the most first.

    Keywords are public words alone (`voicebot.dialogue.knowledge.gaps`). Counted by whole hours: where a zone
    is off by half an hour, so are the borders of the span.
    """
    edges = bounds([first, last], zone)
    cursor = await tx.execute(
        "SELECT keywords, intent, array_agg(DISTINCT reason ORDER BY reason) AS reasons,"
        " sum(count)::int AS count FROM knowledge_gap_hours WHERE hour >= %s AND hour < %s"
        " GROUP BY keywords, intent ORDER BY sum(count) DESC, keywords, intent LIMIT %s",
        (edges["from"][0], edges["until"][1], limit),
    )
    return await cursor.fetchall()
