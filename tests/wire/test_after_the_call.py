"""What agents say after a call: by whom it may be said, the newest counts, text is sealed and logged.

What is wrong in their eyes is proposed as a correction, which counts for nothing until another reviewed it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
import yaml
from deployment_kit import LIBRARY, PEOPLE
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.agent_words import agent_words_router
from voicebot.console.corrections import corrections_router
from voicebot.console.handoffs import Queue
from voicebot.console.readers import agent_key, readers
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, drafts, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.evals.reading import read_set

TOKEN = SecretStr("token-of-the-test")
ASKED = {"kind": "utterance", "text": "my name is [name 1], can i send the lamp back"}
READ = {"intent": "return_policy", "sources": [{"article": "returns"}]}
SAID = "You have ten days."
WHY = "the return window was in the article, Ann Lee at 12 Elm Street only had to hear it"


class Desk:
    """The endpoints over a database, asked by agents."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        queue = Queue(database, keys, PEOPLE, LIBRARY.reasons)
        app = FastAPI()
        guard = bearer_guard(TOKEN, insecure_local=False)
        who = readers(guard, TOKEN, PEOPLE)
        app.include_router(agent_words_router(queue, who))
        app.include_router(corrections_router(queue, who))
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
                tx, self.conversation, turn=1, transaction_id="tx_1", input=ASKED, decision=READ, spoken=SAID
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


async def proposals(desk: Desk, status: str = "proposed") -> list[dict[str, Any]]:
    rows = await desk.ask(f"corrections?status={status}", "cleo")
    return [await desk.ask(f"corrections/{row['id']}", "cleo") for row in rows]


async def test_a_disagreement_proposes_a_golden_case_that_can_be_read_and_goes_with_a_change_of_mind(
    desk: Desk, tmp_path: Path
) -> None:
    path = f"handoffs/{desk.handoff}/verdict"
    await desk.ask(path, "ada", {"verdict": "disagree", "why": WHY})
    (one,) = await proposals(desk)
    assert (one["kind"], one["proposed_by"], one["why"]) == ("golden_case", "ada", WHY)
    (tmp_path / "set.yaml").write_text("today: 2026-11-18\nmost_words: 60\n")
    (tmp_path / "proposed.yaml").write_text(one["document"])
    (golden,) = read_set(tmp_path).conversations
    (turn,) = golden.conversation.turns
    assert turn.caller == ASKED["text"], "tokens, not values"
    assert turn.expect is not None
    assert turn.expect.handoff == "none"
    assert WHY not in one["document"], "an agent's own words may name somebody"
    await desk.ask(path, "ada", {"verdict": "agree"})
    assert await proposals(desk) == []


async def test_notes_propose_by_their_kind(desk: Desk) -> None:
    path = f"conversations/{desk.conversation}/notes"
    for note, kind, has in (
        ("wrong_answer", "article_change", {"should_say": "30 days", "said": SAID, "articles": ["returns"]}),
        ("wrong_intent", "training_row", {"text": ASKED["text"], "read_as": "return_policy"}),
        ("missed_escalation", "golden_case", {"tags": ["correction"]}),
    ):
        await desk.ask(path, "ben", {"turn": 1, "note": note, "text": "30 days"})
        (one,) = await proposals(desk)
        document = yaml.safe_load(one["document"])
        assert one["kind"] == kind
        assert document | has == document
    assert document["conversations"][0]["turns"][0]["expect"] == {"after": "hand_over"}
    await desk.ask(path, "ben", {"turn": 1, "note": "good"})
    assert await proposals(desk) == []


async def test_an_edited_draft_proposes_what_was_said_instead_once(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        draft = await drafts.save(
            tx, desk.keys, conversation_id=desk.conversation, turn=1, intent="return_policy",
            due_at=datetime(2026, 11, 21, tzinfo=UTC), words={"question": "q", "words": SAID, "sources": []},
        )  # fmt: skip
        assert await drafts.decide(tx, draft, verdict="edit", by="ada")
        given = {"kind": "agent_decision", "draft": draft, "verdict": "edit", "text": "You have 30 days."}
        await Conversations(desk.keys).save_turn(
            tx, desk.conversation, turn=2, transaction_id="tx_2", input=given, decision=READ, spoken=None
        )
    for _ in range(2):
        (one,) = await proposals(desk)
        document = yaml.safe_load(one["document"])
        assert (one["proposed_by"], document["should_say"]) == ("ada", "You have 30 days.")


async def test_corrections_are_for_supervisors_and_programs(desk: Desk) -> None:
    await desk.ask(f"handoffs/{desk.handoff}/verdict", "ada", {"verdict": "disagree", "why": WHY})
    (one,) = await desk.ask("corrections", None)
    await desk.ask("corrections", "ada", status=403)
    await desk.ask(f"corrections/{one['id']}", "ada", status=403)
    await desk.ask(f"corrections/{one['id']}", "cleo")


async def test_notes_are_for_who_may_read_the_conversation(desk: Desk) -> None:
    """What goes on with nobody asked for is a supervisor's; once it is over it is every agent's."""
    conversations = Conversations(desk.keys)
    async with desk.database.transaction() as tx:
        alone = await conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={}
        )
        await conversations.save_turn(
            tx, alone, turn=1, transaction_id="tx_3", input=ASKED, decision=READ, spoken=SAID
        )
    path, note = f"conversations/{alone}/notes", {"turn": 1, "note": "other", "text": "overheard"}
    await desk.ask(path, "cleo", note)
    await desk.ask(path, "ben", note, status=403)
    await desk.ask(path, "ben", status=403)
    async with desk.database.transaction() as tx:
        await tx.execute(
            "UPDATE conversations SET status = 'ended', end_reason = 'idle', ended_at = now() WHERE id = %s",
            (alone,),
        )
    assert [one["text"] for one in await desk.ask(path, "ben")] == ["overheard"]
    await desk.ask(f"conversations/cv_{'0' * 32}/notes", "cleo", status=404)


async def test_only_another_one_who_supervises_decides_and_once(desk: Desk) -> None:
    note = {"turn": 1, "note": "wrong_answer", "text": "30 days"}
    await desk.ask(f"conversations/{desk.conversation}/notes", "cleo", note)
    (one,) = await proposals(desk)
    path = f"corrections/{one['id']}"
    await desk.ask(f"{path}/accept", "ada", {}, status=403)
    await desk.ask(f"{path}/accept", "cleo", {}, status=403)
    await desk.ask(f"{path}/accept", None, {}, status=422)
    done = await desk.ask(f"{path}/accept", None, {"agent": "editor"})
    assert (done["status"], done["decided_by"], done["document"]) == ("accepted", "editor", one["document"])
    await desk.ask(f"{path}/accept", None, {"agent": "editor"})
    await desk.ask(f"{path}/reject", None, {"agent": "another"}, status=409)
    await desk.ask(f"corrections/co_{'0' * 32}/accept", None, {"agent": "editor"}, status=404)
    await desk.ask(f"conversations/{desk.conversation}/notes", "cleo", {**note, "text": "31 days"})
    assert await proposals(desk) == [], "what was decided is not opened again by the same note"
    async with desk.database.transaction() as tx:
        what = [row["what"] for row in await audit.records(tx, conversation_id=desk.conversation)]
        assert what.count("correction.accepted") == 1
        (row,) = await (await tx.execute("SELECT sealed FROM corrections")).fetchall()
        assert b"lamp" not in row["sealed"]
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    await desk.ask(path, "cleo", status=410)
