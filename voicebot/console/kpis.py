"""`GET /api/kpis`: how well it goes, by day, intent or channel, held against the targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.console.targets import Figure, Targets, figures
from voicebot.core.store import kpis, outcomes
from voicebot.core.store.database import Database
from voicebot.handoff.people import People

DAYS = 30
LONGEST = timedelta(days=400)


class KpiRow(BaseModel):
    """One day, intent or channel (``key``): counts, and the figures made of them."""

    model_config = ConfigDict(extra="forbid")

    key: str
    counts: dict[str, int]
    figures: dict[str, Figure]


class CategoryRow(BaseModel):
    """Things of a category that were wanted, and how many the bot settled."""

    model_config = ConfigDict(extra="forbid")

    category: str
    wanted: int
    resolved: int
    resolution: float


class Kpis(BaseModel):
    """``first`` to ``last``: days in ``zone``, both whole. ``overall``: None without a conversation."""

    model_config = ConfigDict(extra="forbid")

    first: date
    last: date
    zone: str
    by: Literal["day", "intent", "channel"]
    overall: KpiRow | None
    rows: list[KpiRow]
    categories: list[CategoryRow]


@dataclass
class Measures:
    """What the endpoints read from; made once by the node."""

    database: Database
    people: People
    targets: Targets
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


_COUNTS = (
    "conversations", "wanted", "resolved", "unresolved", "abandoned", "handed_over", "solved_by_person",
    "escalated", "nobody_came", "missed", "gaps", "grounded", "agree", "disagree", "rated",
)  # fmt: skip


def kpis_router(measures: Measures, guard: Callable[[HTTPConnection], object]) -> APIRouter:
    """Figures under ``/api/kpis``, and the outcome of one conversation."""
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)], tags=["after the call"])

    @router.get("/kpis")
    async def kpi(
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        by: Literal["day", "intent", "channel"] = "day",
    ) -> Kpis:
        """Figures of the conversations that began in these days; without days those of the last 30."""
        zone = measures.people.time_zone
        until = last or measures.now().astimezone(ZoneInfo(zone)).date()
        since = first or until - timedelta(days=DAYS - 1)
        if not timedelta(0) <= until - since <= LONGEST:
            raise HTTPException(422, f"`from` to `to` must be 1 to {LONGEST.days + 1} days")
        async with measures.database.transaction() as tx:
            whole = await kpis.counts(tx, first=since, last=until, zone=zone, by="all")
            rows = await kpis.counts(tx, first=since, last=until, zone=zone, by=by)
            grouped = await kpis.categories(tx, first=since, last=until, zone=zone)
        each = [_row(row, measures.targets) for row in rows]
        return Kpis(
            first=since,
            last=until,
            zone=zone,
            by=by,
            overall=_row(whole[0], measures.targets) if whole else None,
            rows=each,
            categories=[
                CategoryRow(**row, resolution=round(row["resolved"] / row["wanted"], 4)) for row in grouped
            ],
        )

    @router.get("/conversations/{conversation_id}/outcome")
    async def outcome(
        conversation_id: Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")],
    ) -> dict[str, Any]:
        """How a conversation ended, by intent; nothing personal. 404 until that is known."""
        async with measures.database.transaction() as tx:
            found = await outcomes.of(tx, conversation_id)
        if found is None:
            raise HTTPException(404, f"no outcome of {conversation_id} yet")
        return found

    return router


def _row(row: dict[str, Any], targets: Targets) -> KpiRow:
    return KpiRow(key=row["key"], counts={name: row[name] for name in _COUNTS}, figures=figures(row, targets))
