"""Calls that are over, found by what came of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from voicebot.console.handoffs import Reads
from voicebot.console.player.opening import Player
from voicebot.console.player.shelf import Kept
from voicebot.console.readers import Reader
from voicebot.core.store import recordings

CHOICES_OF = timedelta(days=90)


class RecordingRow(BaseModel):
    """One call that is over; nothing personal. What an outcome says is None until there is one.

    ``kept``: whether its files are here. ``marks``: notes on its turns. For agents ``csat`` and ``cut_offs``
    are None and ``reasons`` (why it is worth listening to: `player.worth`) empty.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    channel: str
    turns: int
    created_at: datetime
    ended_at: datetime
    end_reason: str
    intent: str | None
    resolution: str | None
    disposition: str | None
    trigger: str | None
    longest_wait_ms: int | None
    cut_offs: int | None
    csat: int | None
    marks: int
    reasons: list[str]
    kept: Kept


class Choices(BaseModel):
    """What a list can be filtered by, of the last 90 days."""

    model_config = ConfigDict(extra="forbid")

    intents: list[str]
    triggers: list[str]
    resolutions: list[str]


def add_list(router: APIRouter, player: Player) -> None:
    """The list, and what it can be filtered by."""

    @router.get("")
    async def listed(
        who: Reads,
        intent: Annotated[str | None, Query(max_length=80)] = None,
        trigger: Annotated[str | None, Query(max_length=80)] = None,
        resolution: Annotated[str | None, Query(max_length=40)] = None,
        channel: Literal["phone", "browser"] | None = None,
        over_ms: Annotated[int | None, Query(ge=0, le=600_000)] = None,
        day: date | None = None,
        marked: bool | None = None,
        worth: bool = False,
        before: Annotated[str | None, Query(pattern=r"^[0-9T:.+Z-]{19,40},cv_[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> list[RecordingRow]:
        """Calls that are over, the newest first; ``before=CREATED_AT,ID`` pages back from a row.

        ``over_ms``: those in which somebody waited longer for an answer. ``worth``: those that are worth
        listening to, what weighs most first (``skip`` pages), for supervisors and programs.
        """
        if worth and who.role == "agent":
            raise HTTPException(403, "supervisors look through what is worth listening to")
        since, until = (None, None) if day is None else _midnights(day, player.zone)
        wanted = recordings.Wanted(
            intent=intent,
            trigger=trigger,
            resolution=resolution,
            channel=channel,
            wait_ms=over_ms,
            since=since,
            until=until,
            marked=marked,
            worth=worth,
            slow_ms=player.slow_ms,
            before=_after(before),
        )
        async with player.database.transaction() as tx:
            rows = await recordings.list(tx, wanted, limit=limit, skip=skip)
        names = await asyncio.to_thread(lambda: [bool(player.shelf.names(row["id"])) for row in rows])
        return [RecordingRow(**shown(row, here, who)) for row, here in zip(rows, names, strict=True)]

    @router.get("/choices")
    async def choices(who: Reads) -> Choices:
        """Intents, triggers and resolutions that there are."""
        async with player.database.transaction() as tx:
            return Choices(**await recordings.known(tx, player.now() - CHOICES_OF))

    _ = (listed, choices)  # used by the router


def shown(row: dict[str, Any], here: bool, who: Reader) -> dict[str, Any]:
    """The fields of a `RecordingRow` as its reader may see them. ``here``: its files are on this machine."""
    fields = {name: row[name] for name in RecordingRow.model_fields if name != "kept"}
    fields["kept"] = "erased" if row["erased"] else "here" if here else "gone"
    if who.role == "agent":
        fields |= {"csat": None, "cut_offs": None, "reasons": []}
    return fields


def _midnights(day: date, zone: str) -> tuple[datetime, datetime]:
    """Raises HTTPException: 422, the calendar ends there."""
    here = ZoneInfo(zone)
    try:
        since, until = (datetime.combine(one, time(), here) for one in (day, day + timedelta(days=1)))
        return since.astimezone(UTC), until.astimezone(UTC)
    except OverflowError as error:
        raise HTTPException(422, "there are no calls of such a day") from error


def _after(before: str | None) -> tuple[datetime, str] | None:
    if before is None:
        return None
    at, _, conversation_id = before.rpartition(",")
    try:
        return datetime.fromisoformat(at), conversation_id
    except ValueError as error:
        raise HTTPException(422, "before is CREATED_AT,ID of a row") from error
