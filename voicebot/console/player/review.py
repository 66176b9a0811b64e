"""Whether somebody looks through the calls that are worth it, every week, and through articles when due."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict

from voicebot.console.handoffs import Reads
from voicebot.console.player.opening import Player
from voicebot.core.store import articles, recordings

EVERY = timedelta(days=7)
LOOKS_BACK = timedelta(days=28)


class Review(BaseModel):
    """What is waiting to be looked at.

    ``last``: when somebody last listened to a call, None: not in four weeks. ``calls``: how many ended since
    that are worth it, ``oldest``: when the first of them did. ``overdue``: that was more than a week ago.
    ``articles``: how many are past the day on which their owner has to review them.
    """

    model_config = ConfigDict(extra="forbid")

    last: datetime | None
    calls: int
    oldest: datetime | None
    overdue: bool
    articles: int


def add_review(router: APIRouter, player: Player) -> None:
    """What is waiting to be looked at."""

    @router.get("/review")
    async def review(who: Reads) -> Review:
        """Calls that nobody has listened to, and overdue articles; for supervisors and programs."""
        if who.role == "agent":
            raise HTTPException(403, "supervisors look through what is worth listening to")
        now = player.now()
        async with player.database.reading() as tx:
            found = await recordings.unheard(tx, now - LOOKS_BACK, slow_ms=player.slow_ms)
            due = await articles.overdue(tx)
        return Review(
            last=found.last,
            calls=found.calls,
            oldest=found.oldest,
            overdue=found.oldest is not None and now - found.oldest >= EVERY,
            articles=due,
        )

    _ = review  # used by the router
