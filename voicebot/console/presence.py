"""REST over who is at the desk: the desk says it while a page of theirs is open, an agent that they pause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from voicebot.console.handoffs import Reads
from voicebot.console.readers import Reader
from voicebot.core.store import presence
from voicebot.core.store.database import Database
from voicebot.handoff.roster import Agents


class AtDesk(BaseModel):
    """One agent who is there. ``takes_callers``: and does not pause."""

    model_config = ConfigDict(extra="forbid")

    agent: str
    role: Literal["agent", "supervisor"]
    skills: list[str]
    since: datetime
    takes_callers: bool


class PresenceBody(BaseModel):
    """What an agent says of themselves. ``here``: False, they go. ``paused``: None, as before."""

    model_config = ConfigDict(extra="forbid", strict=True)

    here: bool = True
    paused: bool | None = None


def presence_router(
    database: Database, agents: Agents, reader: Callable[[HTTPConnection], Reader]
) -> APIRouter:
    """``/api/desk/presence``."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/desk", dependencies=[Depends(identify)], tags=["handoffs"])

    @router.get("/presence")
    async def present(who: Reads) -> list[AtDesk]:
        """Who is at the desk now, by id. Nobody may well be there who answers a phone."""
        del who
        async with database.transaction() as tx:
            rows = await presence.seen(tx)
        found: list[AtDesk] = []
        for row in rows:
            agent = agents.agent(row["agent"])
            if agent is not None:
                found.append(
                    AtDesk(
                        agent=agent.id,
                        role=agent.role,
                        skills=[*agent.skills],
                        since=row["since"],
                        takes_callers=not row["paused"],
                    )
                )
        return found

    @router.post("/presence")
    async def be(who: Reads, body: PresenceBody) -> list[AtDesk]:
        """An agent is there, pauses, is back, goes. Who is not heard of for half a minute is gone."""
        if who.role == "api":
            raise HTTPException(403, "only an agent is at the desk: use a key of theirs")
        async with database.transaction() as tx:
            if body.here:
                await presence.here(tx, who.who, paused=body.paused)
            else:
                await presence.gone(tx, who.who)
        return await present(who)

    return router
