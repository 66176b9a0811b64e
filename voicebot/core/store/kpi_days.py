"""Days and their counts: kept ready, and exact all the same.

A day that was counted is used as it is until something of it changes; triggers of the tables note that in
``kpi_touched`` in the transaction that changes it. What was touched since, or was never counted, is counted
from the rows by whoever looks. `keep` counts such days and keeps them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from voicebot.core.store.database import Transaction
from voicebot.core.store.kpi_units import EVERY_BY, RULES, TIMES, By, counting

_SLICE = 40
"""Rows between two looks at the event loop: 40 cost about 1 ms."""
_COLUMNS = f"counts, {', '.join(TIMES)}"


def _no_times() -> dict[str, list[bytes]]:
    return {name: [] for name in TIMES}


@dataclass
class Tally:
    """Counts of some days together. ``times``: milliseconds as they are stored, in pieces."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    times: dict[str, list[bytes]] = field(default_factory=_no_times)

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row of `counting`."""
        for name, n in row["counts"].items():
            self.counts[name] = self.counts.get(name, 0) + n
        for name in TIMES:
            if row[name]:
                self.times[name].append(row[name])

    def measured(self, name: str) -> int:
        """How many times of this kind there are."""
        return sum(map(len, self.times[name])) // 4

    def seconds(self, name: str, share: float) -> float | None:
        """A percentile, between two cases as it lies between them; None without a case."""
        packed = b"".join(self.times[name])
        if not packed:
            return None
        return float(np.percentile(np.frombuffer(packed, dtype=">i4"), share * 100)) / 1000


def bounds(days: Iterable[date], zone: str) -> dict[str, Any]:
    """Where each of these days begins and ends, as the queries want it."""
    here, each = ZoneInfo(zone), [*days]
    midnights = [datetime.combine(day, time(), here) for day in each]
    ends = [datetime.combine(day + timedelta(days=1), time(), here) for day in each]
    return {"days": each, "from": midnights, "until": ends}


def days_of(first: date, last: date) -> list[date]:
    """Every day from ``first`` to ``last``."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


async def tallies(
    tx: Transaction,
    *,
    first: date,
    last: date,
    zone: str,
    by: Collection[By],
    teams: Sequence[str] | None = None,
) -> dict[By, dict[tuple[date, str], Tally]]:
    """What was counted of each day and key, by each of ``by``.

    ``teams``: only of conversations that one of them was asked for; that is always counted from the rows.
    """
    found: dict[By, dict[tuple[date, str], Tally]] = {one: {} for one in by}
    wanted = days_of(first, last)
    fresh = set[date]() if teams is not None else await _fresh(tx, wanted, zone)
    if fresh:
        cursor = await tx.execute(
            f"SELECT by, day, key, {_COLUMNS} FROM kpi_days WHERE zone = %s AND by = ANY(%s)"  # noqa: S608  # constant
            " AND day BETWEEN %s AND %s".encode(),
            (zone, [*by], first, last),
            binary=True,
        )
        async for row in _in_slices(cursor):
            if row["day"] in fresh:
                found[row["by"]].setdefault((row["day"], row["key"]), Tally()).add(row)
    others = [day for day in wanted if day not in fresh]
    if others:
        asked = {**bounds(others, zone), "teams": None if teams is None else [*teams]}
        for one in by:
            cursor = await tx.execute(counting(one).encode(), asked, binary=True)
            async for row in _in_slices(cursor):
                found[one].setdefault((row["day"], row["key"]), Tally()).add(row)
    return found


async def _in_slices(cursor: AsyncCursor[DictRow]) -> AsyncGenerator[dict[str, Any]]:
    """Rows, some at a time: reading a month's at once would hold up the calls of a node."""
    while rows := await cursor.fetchmany(_SLICE):
        for row in rows:
            yield row
        await asyncio.sleep(0)


async def keep(tx: Transaction, zone: str, *, but: Collection[date] = ()) -> date | None:
    """Counts the newest day of which something changed, or that was counted by other rules or never.

    One transaction at a time may do so. ``but``: days that are left as they are.

    Returns:
        That day; None: every other day is kept.
    """
    other_rules = await _by_other_rules(tx, zone)
    day = max((other_rules | await _touched(tx, zone)) - {*but}, default=None)
    if day is None:
        return None
    asked = {**bounds([day], zone), "teams": None, "zone": zone, "rules": RULES}
    await tx.execute(
        "DELETE FROM kpi_touched USING unnest(%(from)s::timestamptz[], %(until)s::timestamptz[])"
        " AS d (since, until) WHERE began_at >= d.since AND began_at < d.until",
        asked,
    )
    await tx.execute("DELETE FROM kpi_days_made WHERE zone <> %(zone)s", asked)  # they would not hear of it
    await tx.execute(
        "DELETE FROM kpi_days WHERE zone <> %(zone)s OR (zone = %(zone)s AND day = ANY(%(days)s))", asked
    )
    for by in EVERY_BY:
        await tx.execute(
            f"INSERT INTO kpi_days (zone, by, day, key, {_COLUMNS})"  # noqa: S608  # constants
            f" SELECT %(zone)s, '{by}', day, key, {_COLUMNS} FROM ({counting(by)}) AS counted".encode(),
            asked,
        )
    await tx.execute(
        "INSERT INTO kpi_days_made (zone, day, rules) SELECT %(zone)s, day, %(rules)s"
        " FROM unnest(%(days)s::date[]) AS day ON CONFLICT (zone, day) DO UPDATE SET rules = excluded.rules",
        asked,
    )
    return day


async def _touched(tx: Transaction, zone: str) -> set[date]:
    """Days of which something changed since they were counted."""
    cursor = await tx.execute(
        "SELECT DISTINCT (began_at AT TIME ZONE %s)::date AS day FROM kpi_touched", (zone,)
    )
    return {row["day"] for row in await cursor.fetchall()}


async def _fresh(tx: Transaction, days: Sequence[date], zone: str) -> set[date]:
    """Those of these days that were counted, by these rules, since anything of them changed."""
    cursor = await tx.execute(
        "SELECT day FROM kpi_days_made WHERE zone = %s AND rules = %s AND day = ANY(%s)",
        (zone, RULES, [*days]),
    )
    made = {row["day"] for row in await cursor.fetchall()}
    return made - await _touched(tx, zone)


async def _by_other_rules(tx: Transaction, zone: str) -> set[date]:
    """Days that were counted by other rules. Where none was counted yet in this zone, all are touched."""
    cursor = await tx.execute("SELECT day, rules FROM kpi_days_made WHERE zone = %s", (zone,))
    made = await cursor.fetchall()
    if not made:
        await tx.execute(
            "INSERT INTO kpi_touched (began_at) SELECT min(began_at) FROM outcomes"
            " GROUP BY (began_at AT TIME ZONE %s)::date",
            (zone,),
        )
    return {row["day"] for row in made if row["rules"] != RULES}
