"""Who may read a conversation: agents what is over or was handed over, supervisors and programs everything.

Every look is logged under the reader's own name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from voicebot.console.access import bearer_guard
from voicebot.console.api import Console, api_router
from voicebot.console.readers import Reader, agent_key, readers
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.handoff.people import People
from voicebot.handoff.roster import LOOK_S, Roster

TOKEN = SecretStr("token-of-the-test")
PEOPLE = People.read(Path(__file__).resolve().parents[2])


class Api:
    """The endpoints over a database with a conversation that goes on."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        self.conversations = Conversations(keys)
        app = FastAPI()
        who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, PEOPLE)
        app.include_router(api_router(Console(database, keys, Bus()), who))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")

    async def begin(self) -> str:
        async with self.database.transaction() as tx:
            return await self.conversations.create(
                tx, channel=Channel.PHONE, call_sid=None, caller=None, called=None, state={}
            )

    async def hand_over(self, conversation: str) -> None:
        async with self.database.transaction() as tx:
            await handoffs.save(
                tx,
                self.keys,
                conversation_id=conversation,
                turn=1,
                trigger="asked_for_person",
                urgency="normal",
                payload={},
            )

    async def end(self, conversation: str) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(
                "UPDATE conversations SET status = 'ended', ended_at = %s, end_reason = 'goodbye'"
                " WHERE id = %s",
                (datetime.now(UTC), conversation),
            )

    async def get(self, path: str, who: str | None) -> httpx.Response:
        key = TOKEN.get_secret_value() if who is None else agent_key(TOKEN, who)
        return await self.http.get(f"/api/{path}", headers={"Authorization": f"Bearer {key}"})

    async def status(self, conversation: str, who: str | None) -> int:
        return (await self.get(f"conversations/{conversation}", who)).status_code


@pytest_asyncio.fixture
async def api(database: Database, keys: KeyRing) -> AsyncIterator[Api]:
    api = Api(database, keys)
    yield api
    await api.http.aclose()


async def test_what_goes_on_without_a_person_is_for_supervisors(api: Api) -> None:
    conversation = await api.begin()
    refused = await api.get(f"conversations/{conversation}", "ada")
    assert (refused.status_code, "supervisors" in refused.json()["detail"]) == (403, True)
    assert await api.status(conversation, "cleo") == 200
    assert await api.status(conversation, None) == 200
    await api.hand_over(conversation)
    assert await api.status(conversation, "ada") == 200


async def test_what_is_over_every_agent_reads_and_it_is_logged_who(api: Api) -> None:
    conversation = await api.begin()
    await api.end(conversation)
    assert await api.status(conversation, "ben") == 200
    async with api.database.transaction() as tx:
        looks = await audit.accesses(tx, conversation_id=conversation)
    assert [look["actor"] for look in looks] == ["ben"]


async def test_what_goes_on_is_listed_alone(api: Api) -> None:
    goes_on, over = await api.begin(), await api.begin()
    await api.end(over)
    rows: list[dict[str, Any]] = (await api.get("conversations?going_on=true", "cleo")).json()
    assert [row["id"] for row in rows] == [goes_on]
    assert len((await api.get("conversations", "cleo")).json()) == 2


def asks(key: str) -> HTTPConnection:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    return HTTPConnection({"type": "http", "headers": headers, "client": ("10.0.0.1", 1), "path": "/"})


def test_who_is_taken_off_the_list_has_a_key_that_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "business" / "people.yaml"
    file.parent.mkdir()
    file.write_text("agents: [{id: ada, skills: [general]}, {id: ben, skills: [general]}]", encoding="utf-8")
    now_s = 0.0
    roster = Roster(tmp_path, People.read(tmp_path), lambda: now_s)
    who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, roster)
    key = agent_key(TOKEN, "ben")
    assert who(asks(key)) == Reader("agent", "ben")
    file.write_text("agents: [{id: ada, skills: [general]}]", encoding="utf-8")
    now_s = LOOK_S
    with pytest.raises(Exception, match="401"):
        who(asks(key))
