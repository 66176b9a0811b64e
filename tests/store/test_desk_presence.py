"""Who is at the desk counts: seen while they are, gone when they go; waits are reckoned with who is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.presence import presence_router
from voicebot.console.readers import agent_key, readers
from voicebot.core.store import presence
from voicebot.core.store.database import Database
from voicebot.handoff.people import People

TOKEN = SecretStr("token-of-the-test")
PEOPLE = People.read(Path(__file__).resolve().parents[2])


class Desk:
    def __init__(self, database: Database) -> None:
        self.database = database
        app = FastAPI()
        who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, PEOPLE)
        app.include_router(presence_router(database, PEOPLE, who))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")

    async def says(self, agent: str | None, status: int = 200, **body: Any) -> Any:
        key = TOKEN.get_secret_value() if agent is None else agent_key(TOKEN, agent)
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.http.post("/api/desk/presence", headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def pass_time(self, span: timedelta) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(
                "UPDATE desk_presence SET seen_at = seen_at - %s, since = since - %s", (span, span)
            )

    async def takes_callers(self) -> set[str]:
        async with self.database.transaction() as tx:
            return {*await presence.takes_callers(tx)}


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    desk = Desk(database)
    yield desk
    await desk.http.aclose()


async def test_who_comes_is_there_and_who_goes_is_not(desk: Desk) -> None:
    await desk.says("cleo")
    shown = await desk.says("ada")
    assert [(one["agent"], one["role"]) for one in shown] == [("ada", "agent"), ("cleo", "supervisor")]
    assert [one["agent"] for one in await desk.says("ada", here=False)] == ["cleo"]


async def test_a_pause_lasts_until_it_is_ended(desk: Desk) -> None:
    await desk.says("ada", paused=True)
    (shown,) = await desk.says("ada")
    assert shown["takes_callers"] is False
    assert await desk.takes_callers() == set()
    await desk.says("ada", paused=False)
    assert await desk.takes_callers() == {"ada"}


async def test_who_is_not_heard_of_is_gone_and_a_pause_does_not_outlive_the_shift(desk: Desk) -> None:
    await desk.says("ada", paused=True)
    await desk.pass_time(presence.GONE_AFTER)
    assert await desk.says("ben") != []
    assert await desk.takes_callers() == {"ben"}
    (ada, _) = await desk.says("ada")
    assert ada["takes_callers"] is False, "a line that dropped for a minute ends no pause"
    await desk.pass_time(presence.ANEW_AFTER)
    (ada,) = await desk.says("ada")
    assert ada["takes_callers"] is True


async def test_a_program_is_at_no_desk(desk: Desk) -> None:
    await desk.says(None, status=403)


@pytest.mark.parametrize(
    ("there", "people"),
    [((), 3), (("ada",), 1), (("ada", "ben"), 2), (("ben", "nobody"), 1), (("nobody",), 3)],
)
def test_waits_are_reckoned_with_who_is_there_and_as_listed_where_nobody_is_seen(
    there: tuple[str, ...], people: int
) -> None:
    assert PEOPLE.staff("general", there) == people
