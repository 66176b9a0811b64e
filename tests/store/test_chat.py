"""Text chat is the same dialogue: nothing personal before the gate, nothing lost, always an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import structlog
from chat_kit import chat_on, orchestrator_on
from dialogue_kit import with_policy
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from voicebot.channels.chat import idle, waiting
from voicebot.channels.chat.errors import ChatCrowded, ChatOver, ChatUnavailable, MessageRefused, UnknownChat
from voicebot.channels.chat.reply import ClauseWritten, DecisionMade, TurnDone, TurnStarted
from voicebot.channels.chat.service import ChatService
from voicebot.channels.chat.turnstile import Turnstile
from voicebot.core.conversation import (
    AgentDecision,
    CallStarted,
    Channel,
    Clause,
    Heard,
    Route,
    Timer,
    TurnTimings,
    Utterance,
)
from voicebot.core.store import audit, handoffs, outbox, vault
from voicebot.core.store.conversations import ConversationEnded, Conversations
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.generation.written import written
from voicebot.dialogue.orchestrator import Committed, Orchestrator, Plan
from voicebot.dialogue.phrases import Phrases
from voicebot.safety.pii.finding import Shapes


async def turns_of(database: Database, keys: KeyRing, conversation_id: str) -> list[dict[str, Any]]:
    async with database.transaction() as tx:
        return await Conversations(keys).turns(tx, conversation_id)


async def event_types(database: Database, keys: KeyRing, conversation_id: str) -> list[str]:
    async with database.transaction() as tx:
        return [event.type for event in await outbox.events_of(tx, keys, conversation_id)]


async def test_a_chat_greets_once_in_its_own_words_and_answers(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    first = await chat.say(None, "When do you open on Saturday?")
    assert "This chat is stored" in first.replies[0]
    assert "How can I help" not in " ".join(first.replies)
    assert first.decision.intent == "opening_hours"
    assert first.decision.sources
    assert len(first.replies) == 2
    second = await chat.say(first.conversation_id, "How much is shipping?")
    assert (second.conversation_id, second.turn) == (first.conversation_id, first.turn + 1)
    assert len(second.replies) == 1
    stored = await turns_of(shop_database, keys, first.conversation_id)
    assert [row["heard"]["complete"] for row in stored] == [True, True, True]  # what was sent was read


async def test_an_order_is_told_only_behind_the_gate_and_a_number_is_no_identity(
    shop_database: Database, keys: KeyRing
):
    async with shop_database.transaction() as tx:
        row = await (await tx.execute(
            "SELECT c.phone, o.number, o.post_code FROM shop.orders o JOIN shop.customers c"
            " ON c.id = o.customer_id WHERE o.number = '427103'"
        )).fetchone()  # fmt: skip
    assert row is not None
    chat = chat_on(shop_database, keys)
    first = await chat.say(None, "Where is my order?", row["phone"])
    assert first.decision.tools == ()
    assert "order number" in first.replies[-1]
    async with shop_database.transaction() as tx:
        assert await audit.accesses(tx, first.conversation_id) == []
    await chat.say(first.conversation_id, "427103")
    last = await chat.say(first.conversation_id, "94107")
    assert "oak side table" in last.replies[0]
    assert [(use.tool, use.outcome) for use in last.decision.tools] == [("order_status", "shipped")]


async def test_the_stream_gives_the_same_as_events(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    events = [event async for event in chat.stream(None, "When do you open?")]
    kinds = [type(event) for event in events]
    assert kinds[0] is TurnStarted
    assert kinds.count(TurnStarted) == 2
    assert kinds.count(DecisionMade) == 1
    assert kinds[-1] is TurnDone
    done = events[-1]
    assert isinstance(done, TurnDone)
    clauses = [e.text for e in events if isinstance(e, ClauseWritten) and e.turn == done.turn]
    assert " ".join(clauses) == done.reply.replies[-1]


async def test_who_leaves_in_the_middle_has_heard_what_was_sent(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "hello")
    stream = chat.stream(begun.conversation_id, "What is your return policy?")
    sent = ""
    async for event in stream:
        if isinstance(event, ClauseWritten):
            sent = event.text
            break
    await stream.aclose()
    await chat.close()
    stored = (await turns_of(shop_database, keys, begun.conversation_id))[-1]
    assert stored["heard"] == {"text": sent, "complete": False}


async def test_a_person_gets_the_chat_and_what_is_written_later_is_kept_for_them(
    shop_database: Database, keys: KeyRing
):
    chat = chat_on(shop_database, keys)
    asked = await chat.say(None, "I want to talk to a person please")
    assert asked.handoff is not None
    assert (asked.handoff.status, asked.handoff.trigger) == ("waiting", "asked_for_person")
    assert asked.handoff.summary.startswith("Caller not verified")
    later = await chat.say(asked.conversation_id, "It is about my lamp")
    assert "nobody has picked it up yet" in later.replies[0]
    assert later.turn == asked.turn + 1
    assert later.handoff is not None
    assert later.handoff.id == asked.handoff.id
    again = await chat.say(asked.conversation_id, "Hello?")
    assert again.replies == ("I have added that too. Nobody has picked it up yet.",)
    stored = await turns_of(shop_database, keys, asked.conversation_id)
    assert [row["input"]["text"] for row in stored[-2:]] == ["It is about my lamp", "Hello?"]
    events = await event_types(shop_database, keys, asked.conversation_id)
    assert events[-2:] == ["turn.committed", "turn.heard"], "whoever watches sees the answer too"


async def test_once_somebody_has_it_the_chat_says_so(shop_database: Database, keys: KeyRing):
    """Not that nobody has picked it up; given back, that again."""
    chat = chat_on(shop_database, keys)
    asked = await chat.say(None, "I want to talk to a person please")
    assert asked.handoff is not None
    async with shop_database.transaction() as tx:
        assert await handoffs.claim(tx, asked.handoff.id, "ada")
    later = await chat.say(asked.conversation_id, "It is about my lamp")
    assert later.replies == ("A colleague has this now, and sees what you write here.",)
    async with shop_database.transaction() as tx:
        assert await handoffs.decline(tx, asked.handoff.id, "ada")
    again = await chat.say(asked.conversation_id, "Hello?")
    assert "Nobody has picked it up yet" in again.replies[0]


async def test_once_it_is_settled_the_bot_has_the_chat_again(shop_database: Database, keys: KeyRing):
    """Nobody reads it any more: what is written then is answered, and a person can be had again."""
    chat = chat_on(shop_database, keys)
    asked = await chat.say(None, "I want to talk to a person please")
    assert asked.handoff is not None
    async with shop_database.transaction() as tx:
        assert await handoffs.claim(tx, asked.handoff.id, "ada")
        assert await handoffs.finish(tx, asked.handoff.id, "ada")
    later = await chat.say(asked.conversation_id, "When do you open on Saturday?")
    assert "You're back with the automated assistant." in later.replies[0]
    assert "nine in the morning" in later.replies[-1]
    assert later.handoff is None
    again = await chat.say(asked.conversation_id, "I want to talk to a person please")
    assert again.handoff is not None
    assert again.handoff.id != asked.handoff.id


async def test_what_is_personal_in_a_message_for_the_person_is_masked(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    asked = await chat.say(None, "I want to talk to a person please")
    await chat.say(asked.conversation_id, "My card is 4242 4242 4242 4242")
    stored = await turns_of(shop_database, keys, asked.conversation_id)
    assert stored[-1]["input"]["text"] == "My card is [card 1]"
    async with shop_database.transaction() as tx:
        events = await outbox.events_of(tx, keys, asked.conversation_id)
        held = await vault.values(tx, keys, asked.conversation_id)
    assert "4242" not in str([event.data for event in events])
    assert "[card 1]" not in held, "a card is kept nowhere"


async def test_the_summary_says_that_it_was_written(shop_database: Database, keys: KeyRing):
    asked = await chat_on(shop_database, keys).say(None, "Please change my order")
    assert asked.handoff is not None
    assert "Wrote about changing an order" in asked.handoff.summary


async def test_a_goodbye_ends_the_chat_and_says_how_to_begin_another(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    bye = await chat.say(None, "goodbye")
    assert bye.decision.action == "end"
    assert (await event_types(shop_database, keys, bye.conversation_id))[-1] == "chat.ended"
    with pytest.raises(ChatOver, match="conversation_id null"):
        await chat.say(bye.conversation_id, "one more thing")


async def test_a_forgotten_chat_is_over_by_the_next_message_or_the_sweep(
    shop_database: Database, keys: KeyRing
):
    chat = chat_on(shop_database, keys)
    one, two, fresh = [await chat.say(None, "hello") for _ in range(3)]
    async with shop_database.transaction() as tx:
        await tx.execute(
            "UPDATE turns SET created_at = now() - interval '31 minutes' WHERE conversation_id = ANY(%s)",
            ([one.conversation_id, two.conversation_id],),
        )
    with pytest.raises(ChatOver):
        await chat.say(one.conversation_id, "hello again")
    sweeping = asyncio.create_task(chat.sweep())
    while await _status(shop_database, two.conversation_id) != "ended":
        await asyncio.sleep(0)
    sweeping.cancel()
    assert await _status(shop_database, fresh.conversation_id) == "live"


async def test_an_erased_chat_keeps_no_other_from_being_swept(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    erased, other = [(await chat.say(None, "hello")).conversation_id for _ in range(2)]
    async with shop_database.transaction() as tx:
        await tx.execute(
            "UPDATE subjects SET wrapped_key = NULL, erased_at = now()"
            " WHERE id = (SELECT subject_id FROM conversations WHERE id = %s)",
            (erased,),
        )
        await tx.execute(
            "UPDATE turns SET created_at = now() - interval '31 minutes' WHERE conversation_id = ANY(%s)",
            ([erased, other],),
        )
        await idle.sweep(tx, keys, 1800.0)
    assert await _status(shop_database, erased) == await _status(shop_database, other) == "ended"


async def _status(database: Database, conversation_id: str) -> str:
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT status FROM conversations WHERE id = %s", (conversation_id,))
        row = await cursor.fetchone()
    assert row is not None
    return row["status"]


async def test_only_chats_can_be_written_to(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    async with shop_database.transaction() as tx:
        call = await Conversations(keys).create(
            tx, channel=Channel.PHONE, call_sid=None, caller=None, called=None, state={}
        )
    for stranger in (call, "cv_" + "0" * 32, "", "cv_", "x' OR 1=1", "cv_" + "G" * 32):
        with pytest.raises(UnknownChat):
            await chat.say(stranger, "hello")


async def test_messages_at_the_same_moment_are_answered_one_after_the_other(
    shop_database: Database, keys: KeyRing
):
    """Two nodes, so that the lock of a process does not help: the version of the state decides."""
    one, two = chat_on(shop_database, keys), chat_on(shop_database, keys)
    begun = await one.say(None, "hello")
    texts = ["When do you open?", "How much is shipping?", "What is your return policy?"]
    chats = [one, two, one]
    replies = await asyncio.gather(
        *(chat.say(begun.conversation_id, text) for chat, text in zip(chats, texts, strict=True))
    )
    assert sorted(reply.turn for reply in replies) == [begun.turn + n for n in (1, 2, 3)]
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert sorted(row["input"]["text"] for row in stored[2:]) == sorted(texts)
    assert all(row["heard"]["complete"] for row in stored)


async def test_more_than_a_handful_at_once_is_refused():
    turnstile = Turnstile(max_waiting=2)
    release = asyncio.Event()

    async def one() -> None:
        async with turnstile.one("cv"):
            await release.wait()

    inside = [asyncio.create_task(one()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ChatCrowded):
        await one()
    release.set()
    await asyncio.gather(*inside)
    await one()  # and none is counted for ever


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\x00\x01", "\ud800", "\u200b\ufeff", "x" * 2001],
    ids=["empty", "blank", "control", "surrogate", "invisible", "enormous"],
)
async def test_what_holds_no_words_is_refused_and_begins_nothing(
    text: str, shop_database: Database, keys: KeyRing
):
    with pytest.raises(MessageRefused, match="text: "):
        await chat_on(shop_database, keys).say(None, text)
    async with shop_database.transaction() as tx:
        assert await Conversations(keys).list(tx) == []


STRANGE = "'; DROP TABLE turns; -- \x00 & | ! <-> :* {slot} {{}} %s \\ $1"
LANGUAGES = (
    "Wann öffnen Sie? ¿Cuándo abren? 何時に開きますか 언제 여나요 متى تفتحون Когда вы открываетесь कब खुलते हैं "
    "מתי אתם פותחים Πότε ανοίγετε เปิดกี่โมง 👩‍👩‍👧 🛋️"
)


@pytest.mark.parametrize("text", [STRANGE, LANGUAGES, "🤷", "a" * 2000, "? " * 900, "1" * 1500])
async def test_strange_text_is_answered_all_the_same(text: str, shop_database: Database, keys: KeyRing):
    reply = await chat_on(shop_database, keys).say(None, text)
    assert all(reply.replies)
    stored = await turns_of(shop_database, keys, reply.conversation_id)
    assert "\x00" not in stored[-1]["input"]["text"]


@pytest.mark.parametrize("phone", ["12025550100", "+1", "call me", "+1202555010012345678"])
async def test_a_number_that_is_none_is_refused(phone: str, shop_database: Database, keys: KeyRing):
    with pytest.raises(MessageRefused, match="country code"):
        await chat_on(shop_database, keys).say(None, "hello", phone)


async def test_a_number_is_kept_sealed_as_a_hint(shop_database: Database, keys: KeyRing):
    reply = await chat_on(shop_database, keys).say(None, "hello", "+1 (202) 555-0100")
    async with shop_database.transaction() as tx:
        assert (await Conversations(keys).load(tx, reply.conversation_id)).caller == "+12025550100"


async def test_words_that_could_not_be_sent_come_with_the_next_reply_on_any_node(
    shop_database: Database, keys: KeyRing
):
    chat = chat_on(shop_database, keys)
    async with shop_database.transaction() as tx:
        known = await Conversations(keys).create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state=states.new_state()
        )
    orchestrator = orchestrator_on(shop_database, keys)
    unseen = await orchestrator.commit(await orchestrator.plan(known, CallStarted()))
    await unseen.stream.cancel()
    reply = await chat.say(known, "When do you open?")
    assert "This chat is stored" in reply.replies[0]
    assert reply.turn == unseen.turn + 1
    stored = await turns_of(shop_database, keys, known)
    assert [row["heard"]["text"] for row in stored] == list(reply.replies)
    await orchestrator.close()


async def test_what_a_turn_waits_for_reaches_the_open_socket_and_else_the_next_reply(
    shop_database: Database, keys: KeyRing
):
    """Here a timer of nobody's and a late greeting stand for a colleague's approval."""
    chat, orchestrator = chat_and_orchestrator(shop_database, keys)
    begun = await chat.say(None, "hello")
    chat.attend(begun.conversation_id)
    with chat.watchers.one() as watcher:
        watcher.follow(begun.conversation_id)
        assert orchestrator.inbox.deliver(
            begun.conversation_id, Timer(about="nothing")
        )  # recorded, not spoken
        assert orchestrator.inbox.deliver(begun.conversation_id, CallStarted(resumed=True))
        got = [await watcher.events.get()]
        while not isinstance(got[-1], TurnDone):
            got.append(await watcher.events.get())
    assert [type(event) for event in got[:2]] == [TurnStarted, DecisionMade]
    sent = got[-1].reply.replies[0]
    assert orchestrator.inbox.deliver(begun.conversation_id, CallStarted(resumed=True))
    while len(await turns_of(shop_database, keys, begun.conversation_id)) < begun.turn + 3:
        await asyncio.sleep(0)
    reply = await chat.say(begun.conversation_id, "When do you open?")
    assert len(reply.replies) == 2
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert [row["heard"]["text"] for row in stored[-3:]] == [sent, *reply.replies]
    await chat.close()


@pytest.mark.parametrize("attended", [True, False])
async def test_an_answer_that_a_colleague_approves_comes_as_soon_as_it_can(
    attended: bool, shop_database: Database, keys: KeyRing
):
    deployment = with_policy(gift_card={"route": Route.DRAFT})
    orchestrator = orchestrator_on(shop_database, keys, deployment=deployment)
    chat = ChatService(orchestrator, shop_database, keys, deployment.phrases)
    asked = await chat.say(None, "Do you have gift cards?")
    assert asked.decision.action == "draft"
    assert "five hundred" not in " ".join(asked.replies)
    (waits,) = await held_words(shop_database, keys, asked.conversation_id)
    with chat.watchers.one() as watcher:
        if attended:
            watcher.follow(asked.conversation_id)
        approved = AgentDecision(draft=waits, verdict="approve", agent="ag_1")
        assert orchestrator.inbox.deliver(asked.conversation_id, approved)
        while await held_words(shop_database, keys, asked.conversation_id):
            await asyncio.sleep(0)
        if attended:
            got = [await watcher.events.get()]
            while not isinstance(got[-1], TurnDone):
                got.append(await watcher.events.get())
            assert "$500" in got[-1].reply.replies[0]
    reply = await chat.say(asked.conversation_id, "When do you open?")
    assert ("$500" in reply.replies[0]) == (not attended)
    assert len(reply.replies) == (1 if attended else 2)
    stored = await turns_of(shop_database, keys, asked.conversation_id)
    assert all(row["heard"]["complete"] for row in stored)
    await chat.close()
    await orchestrator.close()


async def test_an_approval_that_nobody_gave_in_time_is_told_before_the_person_is_named(
    shop_database: Database, keys: KeyRing
):
    deployment = with_policy(gift_card={"route": Route.DRAFT})
    orchestrator = orchestrator_on(shop_database, keys, deployment=deployment)
    chat = ChatService(orchestrator, shop_database, keys, deployment.phrases)
    asked = await chat.say(None, "Do you have gift cards?")
    (waits,) = await held_words(shop_database, keys, asked.conversation_id)
    assert orchestrator.inbox.deliver(asked.conversation_id, Timer(about=waits))
    while await held_words(shop_database, keys, asked.conversation_id):
        await asyncio.sleep(0)
    reply = await chat.say(asked.conversation_id, "Hello?")
    assert len(reply.replies) == 2
    assert "connect you" in reply.replies[0]
    assert "nobody has picked it up yet" in reply.replies[1].lower()
    assert reply.handoff is not None
    assert reply.handoff.trigger == "draft_overdue"
    await chat.close()
    await orchestrator.close()


async def test_what_a_turn_waits_for_is_listened_for_though_the_customer_left_at_once(
    shop_database: Database, keys: KeyRing
):
    deployment = with_policy(gift_card={"route": Route.DRAFT})
    orchestrator = orchestrator_on(shop_database, keys, deployment=deployment)
    chat = ChatService(orchestrator, shop_database, keys, deployment.phrases)
    begun = await chat.say(None, "hello")
    async with aclosing(chat.stream(begun.conversation_id, "Do you have gift cards?")) as events:
        await anext(events)
    assert await held_words(shop_database, keys, begun.conversation_id)
    assert orchestrator.inbox.deliver(begun.conversation_id, Timer(about="anything"))
    await chat.close()
    await orchestrator.close()


async def test_all_that_was_sent_while_the_database_was_away_is_written_and_not_sent_again(
    shop_database: Database, keys: KeyRing
):
    chat, orchestrator = unlucky_chat(shop_database, keys)
    orchestrator.lose = {"heard"}
    begun = await chat.say(None, "When do you open?")
    assert len(begun.replies) == 2
    orchestrator.lose = set()
    after = await chat.say(begun.conversation_id, "How much is shipping?")
    assert len(after.replies) == 1
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert [written(row["heard"]["text"]) for row in stored] == [*begun.replies, *after.replies]
    await orchestrator.close()


class Away(Database):
    """Does not answer."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        raise DatabaseDown("gone")
        yield  # pyright: ignore[reportUnreachable]

    reading = transaction


async def test_how_an_answer_was_written_survives_that_its_hearing_was_not_stored_at_first(
    shop_database: Database, keys: KeyRing
):
    chat, orchestrator = chat_and_orchestrator(shop_database, keys)
    begun = await chat.say(None, "hello")
    plan = await orchestrator.plan(begun.conversation_id, Utterance(text="When do you open?"))
    committed = await orchestrator.commit(plan)
    words = " ".join([clause.text async for clause in orchestrator.words(committed)])
    heard = Heard(text=words, complete=True)
    shop_database.__class__ = Away
    with pytest.raises(DatabaseDown):
        await orchestrator.heard(begun.conversation_id, committed.turn, heard, TurnTimings())
    shop_database.__class__ = Database
    await orchestrator.heard(begun.conversation_id, committed.turn, heard, TurnTimings())
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert stored[-1]["writing"]
    await orchestrator.close()


async def held_words(database: Database, keys: KeyRing, conversation_id: str) -> list[str]:
    async with database.transaction() as tx:
        snapshot = await Conversations(keys).load(tx, conversation_id)
    return [held.draft for held in states.load(snapshot.state).held]


class Unlucky(Orchestrator):
    """Loses the database at chosen steps; what was done before stands."""

    lose: set[str]

    async def commit(self, plan: Plan) -> Committed:
        committed = await super().commit(plan)
        if "commit" in self.lose:
            raise DatabaseDown("gone")
        return committed

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        if "heard" in self.lose:
            raise DatabaseDown("gone")
        await super().heard(conversation_id, turn, heard, timings)


def chat_and_orchestrator(database: Database, keys: KeyRing) -> tuple[ChatService, Orchestrator]:
    from dialogue_kit import DEPLOYMENT

    orchestrator = orchestrator_on(database, keys)
    return ChatService(orchestrator, database, keys, DEPLOYMENT.phrases), orchestrator


def unlucky_chat(database: Database, keys: KeyRing) -> tuple[ChatService, Unlucky]:
    from dialogue_kit import DEPLOYMENT

    orchestrator = orchestrator_on(database, keys)
    orchestrator.__class__ = Unlucky
    assert isinstance(orchestrator, Unlucky)
    orchestrator.lose = set()
    return ChatService(orchestrator, database, keys, DEPLOYMENT.phrases), orchestrator


async def test_a_commit_that_nobody_saw_is_not_a_second_turn_when_the_message_comes_again(
    shop_database: Database, keys: KeyRing
):
    chat, orchestrator = unlucky_chat(shop_database, keys)
    begun = await chat.say(None, "hello")
    orchestrator.lose = {"commit"}
    with pytest.raises(ChatUnavailable, match="send the message again"):
        await chat.say(begun.conversation_id, "When do you open?")
    orchestrator.lose = set()
    reply = await chat.say(begun.conversation_id, "When do you open?")
    assert reply.turn == begun.turn + 1
    assert reply.decision.intent == "opening_hours"
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert len(stored) == begun.turn + 1
    assert stored[-1]["heard"]["text"] == reply.replies[0]


async def test_what_was_sent_is_written_down_with_the_next_message_when_the_database_was_away(
    shop_database: Database, keys: KeyRing
):
    chat, orchestrator = unlucky_chat(shop_database, keys)
    begun = await chat.say(None, "hello")
    orchestrator.lose = {"heard"}
    reply = await chat.say(begun.conversation_id, "When do you open?")
    assert reply.replies  # the customer has his answer
    assert (await turns_of(shop_database, keys, begun.conversation_id))[-1]["heard"] is None
    orchestrator.lose = set()
    await chat.say(begun.conversation_id, "Thanks")
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert stored[reply.turn - 1]["heard"]["text"] == reply.replies[0]


async def test_without_a_database_it_says_so(shop_database: Database, keys: KeyRing):
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "hello")
    await shop_database.close()
    with pytest.raises(ChatUnavailable, match="in a few seconds"):
        await chat.say(begun.conversation_id, "hello?")


class Silent(Orchestrator):
    """Writes no word at all."""

    async def words(self, committed: Committed) -> AsyncIterator[Clause]:
        for clause in ():
            yield clause


async def test_each_message_is_counted_as_answered_once(shop_database: Database, keys: KeyRing):
    """Asked whole or read as events."""
    chat = chat_on(shop_database, keys)
    before = answered()
    begun = await chat.say(None, "hello")
    assert answered() == before + 1
    async with aclosing(chat.stream(begun.conversation_id, "When do you open?")) as events:
        async for _ in events:
            pass
    assert answered() == before + 2


def answered() -> float:
    return REGISTRY.get_sample_value("voicebot_chat_messages_total", {"outcome": "answered"}) or 0.0


async def test_every_turn_has_its_line_in_the_log_and_no_word_in_it(shop_database: Database, keys: KeyRing):
    """The greeting's, the answer's, the person's, and that of what is written while he is waited for."""
    chat = chat_on(shop_database, keys)
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        begun = await chat.say(None, "When do you open?")
        await chat.say(begun.conversation_id, "I smell gas please help me")
        await chat.say(begun.conversation_id, "My name is Ada Zephyr")
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    told = [line for line in lines if line["event"] == "turn.committed"]
    assert [(line["turn"], line["transaction"]) for line in told] == [
        (row["turn"], row["transaction_id"]) for row in stored
    ]
    for line, row in zip(told, stored, strict=True):
        decision = row["decision"]
        assert line["conversation"] == begun.conversation_id
        assert (line["intent"], line["action"], line["row"]) == (
            decision["intent"],
            decision["action"],
            decision["policy_row"],
        )
        assert 0 < line["ms"] < 60_000
        assert set(line) <= LOGGED
    (asked,) = [line for line in lines if line["event"] == "handoff.requested"]
    assert (asked["log_level"], asked["urgency"]) == ("warning", "critical")
    assert "zephyr" not in str(lines).lower()


LOGGED = {
    *("event", "log_level", "conversation", "transaction", "turn", "ms"),
    *("input", "intent", "action", "route", "row"),
}


async def test_a_chat_turn_says_when_it_was_planned_committed_and_written(
    shop_database: Database, keys: KeyRing
):
    """Milliseconds since the message's turn came, fixed lines included."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "where is my order")
    for row in await turns_of(shop_database, keys, begun.conversation_id):
        at = row["timings"]
        moments = [at[f"{name}_ms"] for name in ("turn_ended", "planned", "committed", "first_clause")]
        assert moments == sorted(moments), "in this order"
        assert moments[0] == 0
        assert at["finished_ms"] >= moments[-1]
        assert row["decision"]["route"] == "fixed"


async def test_timings_outlast_a_database_that_was_away(shop_database: Database, keys: KeyRing):
    chat, orchestrator = unlucky_chat(shop_database, keys)
    orchestrator.lose = {"heard"}
    begun = await chat.say(None, "hello")
    orchestrator.lose = set()
    await chat.say(begun.conversation_id, "When do you open?")
    stored = await turns_of(shop_database, keys, begun.conversation_id)
    assert all(row["timings"]["committed_ms"] is not None for row in stored)
    await orchestrator.close()


async def test_nothing_is_kept_for_a_person_after_the_end(shop_database: Database, keys: KeyRing):
    """A chat that a person had was closed while the message was on its way."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "a person please")
    async with shop_database.transaction() as tx:
        conversations = Conversations(keys)
        await conversations.finish(tx, begun.conversation_id, reason="erased")
        snapshot = await conversations.load(tx, begun.conversation_id)
        shapes = Shapes({}, frozenset())
        with pytest.raises(ConversationEnded):
            await waiting.keep(tx, keys, conversations, snapshot, "hello?", "...", "tx_1", shapes=shapes)


async def test_the_customer_is_never_left_without_a_word(
    shop_database: Database, keys: KeyRing, phrases: Phrases
):
    orchestrator = orchestrator_on(shop_database, keys)
    orchestrator.__class__ = Silent
    reply = await ChatService(orchestrator, shop_database, keys, phrases).say(None, "When do you open?")
    assert reply.replies[-1] == phrases.on(Channel.CHAT).text("fallback")


@pytest.fixture
def phrases() -> Phrases:
    from dialogue_kit import DEPLOYMENT

    return DEPLOYMENT.phrases
