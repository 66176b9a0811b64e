"""A conversation whose answers wait for a person, the REST where people decide, and a node that is woken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from deployment_kit import LIBRARY, PEOPLE
from dialogue_kit import DEPLOYMENT, Talk, with_policy
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.drafts import drafts_router
from voicebot.console.handoffs import Queue
from voicebot.console.readers import agent_key, readers
from voicebot.console.whispers import whispers_router
from voicebot.core.conversation import Route, TurnInput
from voicebot.core.store import audit, drafts, handoffs, outbox
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.deployment import Deployment
from voicebot.runtime.waking import Waking

TOKEN = SecretStr("token-of-the-test")
DRAFTED = with_policy(gift_card={"route": Route.DRAFT}, opening_hours={"route": Route.DRAFT})
QUESTION = "do you have gift cards"
ANSWER = "ten to five hundred dollars"


async def no_chat(conversation_id: str, given: TurnInput) -> None:
    raise AssertionError("no chat waits")


class Desk:
    """The endpoints over a database, asked by people, and the node that has the conversation."""

    def __init__(self, talk: Talk, *, chat: Any = no_chat) -> None:
        self.talk = talk
        self.database, self.keys = talk.database, talk.keys
        self.late_s = 0.0
        self.woken: list[str] = []
        self.waking = Waking(self.database, self.keys, talk.orchestrator.inbox, chat)
        queue = Queue(
            self.database,
            self.keys,
            PEOPLE,
            LIBRARY.reasons,
            now=lambda: datetime.now(UTC) + timedelta(seconds=self.late_s),
        )
        who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, PEOPLE)
        app = FastAPI()
        guard = talk.orchestrator.wrong_with
        app.include_router(drafts_router(queue, who, wrong_with=guard, wake=self.woken.append))
        app.include_router(
            whispers_router(
                queue, who, topics=DEPLOYMENT.intents.topics, wrong_with=guard, wake=self.woken.append
            )
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")

    async def ask(self, path: str, who: str | None, body: Any = None, *, status: int = 200) -> Any:
        """As an agent (None: with the API's token); with a body it is posted."""
        key = TOKEN.get_secret_value() if who is None else agent_key(TOKEN, who)
        headers = {"Authorization": f"Bearer {key}"}
        method = "GET" if body is None else "POST"
        answer = await self.http.request(method, f"/api/{path}", headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def whisper(self, who: str | None, status: int = 202, /, **body: Any) -> Any:
        return await self.ask(f"conversations/{self.talk.id}/whisper", who, body, status=status)

    async def woke(self) -> list[str]:
        """What the conversation says once its node has looked, turn by turn; silent turns are empty."""
        said: list[str] = []
        with self.talk.orchestrator.inbox.open(self.talk.id) as box:
            await self.waking.look()
            while not box.empty():
                said.append(await self.talk.turn(box.get_nowait()))
        return said

    async def row(self, draft: str) -> dict[str, Any]:
        async with self.database.transaction() as tx:
            return await drafts.get(tx, self.keys, draft)

    async def held(self) -> list[str]:
        return [one.draft for one in (await self.talk.state()).held]

    async def handoffs(self) -> list[str]:
        async with self.database.transaction() as tx:
            return [row["trigger"] for row in await handoffs.list(tx, conversation_id=self.talk.id)]

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Data of the conversation's events of a type."""
        async with self.database.transaction() as tx:
            events = await outbox.events_of(tx, self.keys, self.talk.id)
        return [event.data for event in events if event.type == kind]

    async def looked(self, who: str) -> list[str]:
        """Which kinds of values somebody has seen."""
        async with self.database.transaction() as tx:
            rows = await audit.accesses(tx, self.talk.id)
        return sorted({kind for row in rows if row["actor"] == who for kind in row["fields"] or ()})


async def desk_with(
    database: Database, keys: KeyRing, *questions: str, deployment: Deployment = DRAFTED, **more: Any
) -> Desk:
    """A greeted caller who has asked these."""
    talk = await Talk.begin(database, keys, deployment=deployment, **more)
    for question in questions:
        await talk.turn(question)
    return Desk(talk)
