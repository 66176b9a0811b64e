"""Who has a chat writes in it, once, to that customer and nobody else; who cannot is told why.

What is written reaches the customer wherever they are, also after a reload; the transcript has it masked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from chat_kit import orchestrator_on
from deployment_kit import LIBRARY, PEOPLE
from dialogue_kit import DEPLOYMENT
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.channels.chat.colleague import Colleague
from voicebot.channels.chat.errors import ChatOver, UnknownChat
from voicebot.channels.chat.idle import sweep
from voicebot.channels.chat.reply import ColleagueTypes, ColleagueWrote
from voicebot.channels.chat.service import ChatService
from voicebot.channels.chat.watchers import Watcher
from voicebot.console.access import bearer_guard
from voicebot.console.chats import chats_router
from voicebot.console.handoffs import Queue, handoffs_router
from voicebot.console.readers import agent_key, readers
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, chat_lines, handoffs, outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import LEG_LINE

TOKEN = SecretStr("token-of-the-test")
WORDS = "Your order 635192 is here.\nCall us on 202 555 0117."


class Desk:
    """The endpoints, and two nodes with a customer's sockets."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        self.orchestrator = orchestrator = orchestrator_on(database, keys)
        self.here, self.there = (
            ChatService(orchestrator, database, keys, DEPLOYMENT.phrases) for _ in range(2)
        )
        queue = Queue(database, keys, PEOPLE, LIBRARY.reasons)
        who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, PEOPLE)
        colleague = Colleague(keys, orchestrator.shapes)
        self.woken: list[str] = []
        app = FastAPI()
        app.include_router(handoffs_router(queue, who))
        app.include_router(
            chats_router(queue, colleague, who, wake=self.woken.append, types=self.there.bringing.types)
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")
        self.conversation = self.handoff = ""

    async def begin(self, *, accepted: bool = True) -> None:
        self.conversation = (await self.here.say(None, "I want to talk to a person")).conversation_id
        async with self.database.transaction() as tx:
            (row,) = await handoffs.list(tx, conversation_id=self.conversation)
        self.handoff = row["id"]
        if accepted:
            await self.ask("accept", "ada", {})

    async def ask(self, path: str, who: str | None, body: Any = None, *, status: int = 200) -> Any:
        key = TOKEN.get_secret_value() if who is None else agent_key(TOKEN, who)
        answer = await self.http.request(
            "GET" if body is None else "POST",
            f"/api/handoffs/{self.handoff}/{path}",
            headers={"Authorization": f"Bearer {key}"},
            json=body,
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def write(self, text: str, who: str | None = "ada", *, key: str = "", status: int = 200) -> Any:
        body = {"text": text, "key": key or f"key-{abs(hash(text)):x}".ljust(12, "0")}
        return await self.ask("lines", who, body, status=status)

    async def status(self) -> str:
        async with self.database.transaction() as tx:
            return (await handoffs.bare(tx, self.handoff))["status"]

    async def read(self, chat: ChatService, watcher: Watcher) -> list[str]:
        """What the socket gets after a look, as the router sends it."""
        await chat.bringing.look()
        got: list[str] = []
        while not watcher.events.empty():
            event = watcher.events.get_nowait()
            if isinstance(event, ColleagueWrote):
                await chat.bringing.got(event)
                got.append(event.line.text)
        return got

    async def takes_back(self, chat: ChatService) -> None:
        await chat.bringing.look()
        await chat.bringing.settled()

    async def in_transcript(self) -> list[str]:
        async with self.database.transaction() as tx:
            events = await outbox.events_of(tx, self.keys, self.conversation)
        return [event.data["text"] for event in events if event.type == LEG_LINE]


@pytest_asyncio.fixture
async def desk(shop_database: Database, keys: KeyRing) -> AsyncIterator[Desk]:
    made = Desk(shop_database, keys)
    await made.begin()
    yield made
    await made.http.aclose()


async def test_what_is_written_reaches_the_customer_on_every_node_and_is_masked_elsewhere(desk: Desk):
    with desk.here.watchers.one() as near, desk.there.watchers.one() as far:
        near.follow(desk.conversation)
        far.follow(desk.conversation, 0)
        desk.there.bringing.types(desk.conversation)
        assert isinstance(far.events.get_nowait(), ColleagueTypes)
        row = await desk.write(WORDS)
        assert row["told_at"] is None
        assert desk.woken == [desk.conversation]
        assert await desk.read(desk.here, near) == [WORDS]
        assert await desk.read(desk.there, far) == [WORDS], "another window of the same customer"
        assert await desk.read(desk.here, near) == [], "nothing twice"
    (stored,) = await desk.in_transcript()
    assert "635192" not in stored
    assert "555 0117" not in stored
    assert "[order number 1]" in stored
    (line,) = await desk.ask("lines", "ben")
    assert line["told_at"] is not None
    assert await desk.status() == "bridged"
    async with desk.database.transaction() as tx:
        (written,) = [one for one in await audit.records(tx) if one["what"] == "chat.written"]
    assert written["actor"] == "ada"
    assert "635192" not in str(written)


async def test_without_a_socket_it_comes_with_the_next_reply_once_and_nobody_else_answers(desk: Desk):
    await desk.write("One moment please.")
    reply = await desk.there.say(desk.conversation, "are you there")
    assert [line.text for line in reply.colleague] == ["One moment please."]
    assert reply.replies == (), "the bot does not talk in between"
    assert (await desk.here.say(desk.conversation, "hello?")).colleague == ()


async def test_the_same_key_is_the_same_line_and_other_words_under_it_are_refused(desk: Desk):
    again = await asyncio.gather(*(desk.write("I look it up.", key="k" * 12) for _ in range(4)))
    assert len({row["line"] for row in again}) == 1
    assert await desk.in_transcript() == ["I look it up."]
    refused = await desk.write("Something else.", key="k" * 12, status=409)
    assert refused["detail"]["why"] == "other_words"
    await desk.ask("done", "ada", {})
    assert (await desk.write("I look it up.", key="k" * 12))["line"] == again[0]["line"], "a late retry"


async def test_a_page_that_was_loaded_again_has_everything(desk: Desk):
    await desk.write(WORDS)
    await desk.here.say(desk.conversation, "my order is 427103")
    chat = await desk.there.so_far(desk.conversation, 0)
    assert chat.has_it == "colleague"
    assert [line.who for line in chat.lines][-2:] == ["colleague", "customer"]
    assert chat.lines[-2].text == WORDS
    assert "427103" not in chat.lines[-1].text, "a customer's own values are not given to who has the id"
    with desk.there.watchers.one() as page:
        page.follow(desk.conversation, chat.lines[-1].line)
        assert await desk.read(desk.there, page) == []
        await desk.write("And on Monday, too.")
        assert await desk.read(desk.there, page) == ["And on Monday, too."]
    with pytest.raises(UnknownChat):
        await desk.there.so_far("cv_nonsense", 0)
    with pytest.raises(ChatOver):
        await desk.there.so_far("cv_" + "0" * 32, 0)


@pytest.mark.parametrize("between", ["since", "events_of"])
async def test_what_is_written_while_a_page_is_loaded_comes_whole(
    desk: Desk, between: str, monkeypatch: pytest.MonkeyPatch
):
    """Behind either of the two reads that a page is made of."""
    await desk.write("One moment please.")
    module = chat_lines if between == "since" else outbox
    read, written = getattr(module, between), list[str]()

    async def and_then(*given: Any, **named: Any) -> Any:
        found = await read(*given, **named)
        if not written:
            written.append(WORDS)
            await desk.write(WORDS)
        return found

    with monkeypatch.context() as slow:
        slow.setattr(module, between, and_then)
        first = await desk.there.so_far(desk.conversation, 0)
    last = first.lines[-1].line
    second = await desk.there.so_far(desk.conversation, last)
    texts = [line.text for line in (*first.lines, *second.lines) if line.who == "colleague"]
    assert texts == ["One moment please.", WORDS]


async def test_who_cannot_write_is_told_why(desk: Desk):
    assert (await desk.write("Hello", "ben", status=409))["detail"]["claimed_by"] == "ada"
    assert (await desk.write("Hello", "cleo", status=409))["detail"]["claimed_by"] == "ada"
    await desk.write("Hello", None, status=422)  # the API's token is nobody's
    for text in ("my card is 4242 4242 4242 4242", "x" * 2001, " \n "):
        await desk.write(text, status=422)
    await desk.ask("typing", "ben", {}, status=409)
    await desk.ask("hand-back", "ben", {}, status=409)
    await desk.ask("decline", "ada", {})
    assert (await desk.write("Hello", status=409))["detail"]["claimed_by"] is None
    await desk.ask("accept", "ben", {})
    await desk.ask("done", "ben", {})
    assert (await desk.write("Hello", "ben", status=409))["detail"]["why"] == "settled"
    assert await desk.in_transcript() == []


async def test_a_chat_that_is_gone_or_none_is_said(desk: Desk):
    async with desk.database.transaction() as tx:
        await Conversations(desk.keys).finish(tx, desk.conversation, reason="idle")
    assert (await desk.write("Hello", status=409))["detail"]["why"] == "ended"
    async with desk.database.transaction() as tx:
        call = await Conversations(desk.keys).create(
            tx, channel=Channel.PHONE, call_sid="CA" + "1" * 32, caller=None, called=None, state={}
        )
        desk.handoff = await handoffs.save(
            tx, desk.keys, conversation_id=call, turn=1, trigger="asked_for_person", urgency="low", payload={}
        )
    await desk.ask("accept", "ada", {})
    for path, body in (("lines", {"text": "Hello", "key": "k" * 12}), ("hand-back", {})):
        assert (await desk.ask(path, "ada", body, status=409))["detail"]["why"] == "no_chat"
    desk.handoff = "ho_" + "0" * 32
    await desk.write("Hello", status=404)


async def test_handed_back_the_bot_goes_on_by_itself_once(desk: Desk):
    with desk.here.watchers.one() as near, desk.there.watchers.one() as far:
        for one in (near, far):
            one.follow(desk.conversation, 0)
        await desk.ask("hand-back", "ada", {})
        assert (await desk.ask("hand-back", "ada", {}))["status"] == "done"
        await asyncio.gather(desk.takes_back(desk.here), desk.takes_back(desk.there))
        told = [one.events.qsize() for one in (near, far)]
        assert sorted(map(bool, told)) == [False, True], "said once, by one of them"
    reply = await desk.there.say(desk.conversation, "when do you open on saturday")
    assert reply.decision.intent == "opening_hours"
    assert len(reply.replies) == 1


@pytest.mark.parametrize("step", ["plan", "commit"])
async def test_what_goes_wrong_while_it_is_taken_back_is_tried_again(
    desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch
):
    async def down(*_: Any) -> None:
        raise DatabaseDown("gone")

    with desk.here.watchers.one() as page:
        page.follow(desk.conversation, 0)
        await desk.ask("hand-back", "ada", {})
        with monkeypatch.context() as broken:
            broken.setattr(desk.orchestrator, step, down)
            await desk.takes_back(desk.here)
        assert page.events.empty()
        await desk.takes_back(desk.here)
        assert not page.events.empty()


async def test_a_slow_turn_of_one_chat_keeps_no_look_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    slow = asyncio.Event()

    async def plan(*_: Any) -> None:
        await slow.wait()
        raise DatabaseDown("gone")

    with desk.here.watchers.one() as page:
        page.follow(desk.conversation, 0)
        await desk.ask("hand-back", "ada", {})
        with monkeypatch.context() as broken:
            broken.setattr(desk.orchestrator, "plan", plan)
            async with asyncio.timeout(20):
                await desk.here.bringing.look()
                await desk.here.bringing.look()
            slow.set()
            await desk.here.bringing.settled()
        await desk.takes_back(desk.here)
        assert not page.events.empty()


async def test_a_settled_chat_in_which_nobody_writes_ends_as_any_other(desk: Desk):
    await desk.write("Bye.")
    async with desk.database.transaction() as tx:
        assert await sweep(tx, desk.keys, 0.0) == 0, "a person has it"
    await desk.ask("done", "ada", {})
    async with desk.database.transaction() as tx:
        assert await sweep(tx, desk.keys, 3600.0) == 0
        assert await sweep(tx, desk.keys, 0.0) == 1
    assert [line.text for line in (await desk.here.so_far(desk.conversation, 0)).lines][-1] == "Bye."
    with pytest.raises(ChatOver):
        await desk.here.so_far(desk.conversation, 0)
