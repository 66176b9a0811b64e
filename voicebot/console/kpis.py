"""`GET /api/kpis`: how well it goes, by day, intent, category, channel or segment, held against the targets.

Supervisors and programs see everything. An agent sees the plain figures of what was handed to their teams, by
day, and not the conversations behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.console.figures import MADE, Figure, Name, figures
from voicebot.console.readers import Reader
from voicebot.console.targets import Targets
from voicebot.core.store import kpi_units as units
from voicebot.core.store import kpis, outcomes
from voicebot.core.store.database import Database
from voicebot.core.store.kpi_days import Tally
from voicebot.core.store.kpi_units import PARTS
from voicebot.handoff.people import People

DAYS = 30
LONGEST = timedelta(days=400)
By = Literal["day", "intent", "category", "channel", "segment"]
Side = Literal["counted", "rest", "all"]

PLAIN: tuple[Name, ...] = (
    "resolution", "abandonment", "escalation_precision", "safe_escalation_p50_s", "safe_escalation_p95_s",
    "csat",
)  # fmt: skip
"""What agents see of their teams."""
_PLAIN_COUNTS = ("conversations", "wanted", "abandoned", "solved_by_person", "nobody_came", "rated")
_COUNTS = (*PARTS, "gaps", "grounded", "agree", "disagree")


class KpiRow(BaseModel):
    """One day, intent, category, channel or segment (``key``): counts, and the figures made of them."""

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
    """``first`` to ``last``: days in ``zone``, both whole. ``overall``: None without a conversation.

    ``least``: cases below which there is no alarm. ``teams``: whose hand-overs these are; None: everything.
    """

    model_config = ConfigDict(extra="forbid")

    first: date
    last: date
    zone: str
    by: By
    least: int
    teams: list[str] | None
    overall: KpiRow | None
    rows: list[KpiRow]
    categories: list[CategoryRow]


class Case(BaseModel):
    """A conversation behind a figure, or one thing that was wanted in it. ``value``: seconds or a rating."""

    model_config = ConfigDict(extra="forbid")

    conversation_id: str
    began_at: datetime
    channel: str
    segment: str
    intent: str
    resolution: str
    disposition: str
    value: float | None


class Cases(BaseModel):
    """Some of the ``total`` cases behind a figure."""

    model_config = ConfigDict(extra="forbid")

    first: date
    last: date
    zone: str
    total: int
    cases: list[Case]


class Topic(BaseModel):
    """What was asked without an answer: public words alone, none where all were held back."""

    model_config = ConfigDict(extra="forbid")

    keywords: list[str]
    intent: str
    reasons: list[str]
    count: int


@dataclass
class Measures:
    """What the endpoints read from; made once by the node."""

    database: Database
    people: People
    targets: Targets
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def span(self, first: date | None, last: date | None, days: int | None) -> tuple[date, date]:
        """The days that are meant: from ``first``, or else so many up to ``last`` or today.

        Raises:
            HTTPException: 422, the wrong way round or too many.
        """
        until = last or self.now().astimezone(ZoneInfo(self.people.time_zone)).date()
        since = first or until - timedelta(days=(days or DAYS) - 1)
        if not timedelta(0) <= until - since <= LONGEST:
            raise HTTPException(422, f"`from` to `to` must be 1 to {LONGEST.days + 1} days")
        return since, until

    def teams(self, reader: Reader) -> list[str] | None:
        """The teams whose hand-overs this reader may see; None: all there is."""
        if reader.role != "agent":
            return None
        agent = self.people.agent(reader.who)
        return [] if agent is None else [*agent.skills]


From = Annotated[date | None, Query(alias="from")]
To = Annotated[date | None, Query(alias="to")]
Days = Annotated[int | None, Query(ge=1, le=LONGEST.days + 1)]


def kpis_router(measures: Measures, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """Figures under ``/api/kpis``, and the outcome of one conversation."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    def who(request: Request) -> Reader:
        return request.state.reader

    def supervises(request: Request) -> None:
        if who(request).role == "agent":
            raise HTTPException(403, "for supervisors: agents see the plain figures of their teams, by day")

    router = APIRouter(prefix="/api", dependencies=[Depends(identify)], tags=["after the call"])
    targets, zone = measures.targets, measures.people.time_zone

    @router.get("/kpis")
    async def kpi(
        request: Request, first: From = None, last: To = None, days: Days = None, by: By = "day"
    ) -> Kpis:
        """Figures of the conversations that began in these days; without any those of the last 30.

        ``days``: so many up to ``to`` or today, where there is no ``from``.
        By intent or category a unit is one thing that was wanted, else a conversation.
        """
        since, until = measures.span(first, last, days)
        teams = measures.teams(who(request))
        if teams is not None and by != "day":
            supervises(request)
        span: dict[str, Any] = {"first": since, "last": until, "zone": zone, "teams": teams}
        asked = set[units.By]()
        if teams is None:
            asked.add("category")
        if by != "day":
            asked.add(by)
        async with measures.database.transaction() as tx:
            whole, by_day, each = await kpis.counted(tx, by=asked, **span)
        shown = _row if teams is None else _plain_row
        rows = by_day if by == "day" else each[by]

        def made() -> Kpis:
            return Kpis(
                first=since,
                last=until,
                zone=zone,
                by=by,
                least=targets.least,
                teams=teams,
                overall=shown("", whole, targets) if by_day else None,
                rows=[shown(key, tally, targets) for key, tally in rows.items()],
                categories=[_category(key, tally) for key, tally in each.get("category", {}).items()],
            )

        return await asyncio.to_thread(made)

    @router.get("/kpis/conversations", dependencies=[Depends(supervises)])
    async def cases(
        figure: Name,
        side: Side = "counted",
        first: From = None,
        last: To = None,
        days: Days = None,
        by: By = "day",
        key: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> Cases:
        """The conversations behind a figure: those that count, the rest, or all that it is a part of.

        Of a time or a rating the worst come first; else the newest. ``key``: of one day, intent ... only.
        """
        since, until = measures.span(first, last, days)
        if by == "day" and key is not None:
            since = until = _day(key)
        chosen: dict[str, Any] = {"by": "all", "key": None} if by == "day" else {"by": by, "key": key}
        made = MADE[figure]
        counted = made.part is not None and side == "counted"
        async with measures.database.transaction() as tx:
            total, rows = await kpis.behind(
                tx,
                first=since,
                last=until,
                zone=zone,
                **chosen,
                part=made.part if counted and made.part is not None else made.whole,
                without=made.part if side == "rest" else None,
                value=made.shown,
                order="newest" if made.shown is None else made.worst,
                limit=limit,
                skip=skip,
            )
        return Cases(
            first=since, last=until, zone=zone, total=total, cases=[Case.model_validate(row) for row in rows]
        )

    @router.get("/kpis/gaps", dependencies=[Depends(supervises)])
    async def gaps(
        first: From = None,
        last: To = None,
        days: Days = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> list[Topic]:
        """What was asked most without an answer in these days: keywords without names, numbers, addresses."""
        since, until = measures.span(first, last, days)
        async with measures.database.transaction() as tx:
            found = await kpis.gap_topics(tx, first=since, last=until, zone=zone, limit=limit)
        return [Topic.model_validate(one) for one in found]

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

    _ = (kpi, cases, gaps, outcome)  # used by the router
    return router


def _day(key: str) -> date:
    try:
        return date.fromisoformat(key)
    except ValueError as error:
        raise HTTPException(422, "the key of a day is written 2026-11-21") from error


def _row(key: str, tally: Tally, targets: Targets) -> KpiRow:
    counts = {name: tally.counts.get(name, 0) for name in _COUNTS}
    return KpiRow(key=key, counts=counts, figures=figures(tally, targets))


def _plain_row(key: str, tally: Tally, targets: Targets) -> KpiRow:
    made = figures(tally, targets)
    return KpiRow(
        key=key,
        counts={name: tally.counts.get(name, 0) for name in _PLAIN_COUNTS},
        figures={name: made[name] for name in PLAIN},
    )


def _category(key: str, tally: Tally) -> CategoryRow:
    wanted, resolved = tally.counts["wanted"], tally.counts["resolved"]
    rate = round(resolved / wanted, 4) if wanted else 0.0
    return CategoryRow(category=key, wanted=wanted, resolved=resolved, resolution=rate)
