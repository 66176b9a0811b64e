"""What agents say after a call: by whom it may be said, the newest counts, text is sealed and logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.agent_words import agent_words_router
from voicebot.console.handoffs import Queue
from voicebot.console.readers import agent_key, readers
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.handoff.people import People
from voicebot.handoff.reasons import Library

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = SecretStr("token-of-the-test")
WHY = "the return window was in the article, Ann Lee at 12 Elm Street only had to hear it"


class Desk:
    """The endpoints over a database, asked by agents."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        people = People.read(ROOT)
        queue = Queue(database, keys, people, Library.read(ROOT).reasons)
        app = FastAPI()
        guard = bearer_guard(TOKEN, insecure_local=False)
        app.include_router(agent_words_router(queue, readers(guard, TOKEN, people)))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")
        self.conversation = self.handoff = ""

    async def begin(self) -> None:
        """A conversation of one turn that ada accepted."""
        conversations = Conversations(self.keys)
        async with self.database.transaction() as tx:
            self.conversation = await conversations.create(
                tx, channel=Channel.PHONE, call_sid=None, caller=None, called=None, state={}
            )
            await conversations.save_turn(
                tx, self.conversation, turn=1, transaction_id="tx_1", input={}, decision={}, spoken=None
            )
            self.handoff = await handoffs.save(
                tx, self.keys, conversation_id=self.conversation, turn=1, trigger="asked_for_person",
                urgency="normal", payload={"version": 3},
            )  # fmt: skip
            assert await handoffs.claim(tx, self.handoff, "ada")

    async def ask(self, path: str, who: str | None, body: Any = None, *, status: int = 200) -> Any:
        key = TOKEN.get_secret_value() if who is None else agent_key(TOKEN, who)
        answer = await self.http.request(
            "GET" if body is None else "POST",
            f"/api/{path}",
            headers={"Authorization": f"Bearer {key}"},
            json=body,
        )
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest_asyncio.fixture
async def desk(database: Database, keys: KeyRing) -> AsyncIterator[Desk]:
    made = Desk(database, keys)
    await made.begin()
    yield made
    await made.http.aclose()


async def test_who_had_it_and_supervisors_may_judge_others_may_not(desk: Desk) -> None:
    path = f"handoffs/{desk.handoff}/verdict"
    for who, body, status in (
        ("ada", {"verdict": "agree"}, 200),
        ("cleo", {"verdict": "disagree", "why": WHY}, 200),
        ("ben", {"verdict": "agree"}, 403),
        (None, {"verdict": "agree"}, 422),
        (None, {"verdict": "agree", "agent": "ben"}, 403),
        ("ada", {"verdict": "disagree"}, 422),
        ("ada", {"verdict": "perhaps"}, 422),
    ):
        await desk.ask(path, who, body, status=status)
    said = await desk.ask(f"handoffs/{desk.handoff}/words", "ben")
    assert [(one["who"], one["value"], one["text"]) for one in said] == [
        ("ada", "agree", None),
        ("cleo", "disagree", WHY),
    ]
    await desk.ask(f"handoffs/ho_{'0' * 32}/verdict", "ada", {"verdict": "agree"}, status=404)


async def test_the_newest_counts_the_same_again_is_nothing_and_history_stays(desk: Desk) -> None:
    path = f"handoffs/{desk.handoff}/disposition"
    for word in ("not_solved", "not_solved", "solved"):
        now = await desk.ask(path, "ada", {"disposition": word})
    assert [one["value"] for one in now] == ["solved"]
    past = await desk.ask(f"handoffs/{desk.handoff}/words?history=true", "ada")
    assert [(one["value"], one["replaced_at"] is None) for one in past] == [
        ("not_solved", False),
        ("solved", True),
    ]


async def test_a_note_is_on_a_turn_that_there_is(desk: Desk) -> None:
    path = f"conversations/{desk.conversation}/notes"
    await desk.ask(path, "ben", {"turn": 2, "note": "good"}, status=404)
    await desk.ask(path, "ben", {"turn": 1, "note": "wrong_answer", "text": WHY})
    notes = await desk.ask(path, None, {"turn": 1, "note": "good", "agent": "crm:7"})
    assert [(one["who"], one["turn"], one["value"]) for one in notes] == [
        ("ben", 1, "wrong_answer"),
        ("crm:7", 1, "good"),
    ]


async def test_a_card_number_is_not_taken_down(desk: Desk) -> None:
    """One digit off, it is no card's."""
    path = f"conversations/{desk.conversation}/notes"
    note = {"turn": 1, "note": "other", "text": "paid with 4242 4242-4242 4242 today"}
    await desk.ask(path, "ben", note, status=422)
    await desk.ask(path, "ben", {**note, "text": "parcel 4242 4242-4242 4243 today"})


async def test_text_is_sealed_its_reads_are_logged_and_erased_is_gone(desk: Desk) -> None:
    path = f"conversations/{desk.conversation}/notes"
    await desk.ask(path, "ben", {"turn": 1, "note": "other", "text": WHY})
    async with desk.database.transaction() as tx:
        (row,) = await (await tx.execute("SELECT * FROM agent_words")).fetchall()
        assert b"Elm" not in row["sealed_text"]
        done = await audit.records(tx, conversation_id=desk.conversation)
        reads = await audit.accesses(tx, desk.conversation)
        assert [(one["what"], one["actor"]) for one in done] == [("agent.note", "ben")]
        assert "Elm" not in repr(done)
        assert [(one["actor"], one["resource"], one["fields"]) for one in reads] == [
            ("ben", "agent_words", ["text"])
        ]
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    await desk.ask(path, "ben", status=410)
    await desk.ask(path, "ben", {"turn": 1, "note": "good"}, status=410)
