"""Words that nobody approves end with a person, though their process is gone and the customer is too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chat_kit import orchestrator_on
from deployment_kit import stored_handoffs
from dialogue_kit import Talk, with_policy

from voicebot.channels.chat.errors import ChatUnavailable
from voicebot.channels.chat.service import ChatService
from voicebot.core.conversation import Channel, Route, Timer, TurnInput
from voicebot.core.store import drafts, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.inbox import Inbox
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.failed import FailedCalls
from voicebot.runtime.overdue import OverdueDrafts, Step, step

DEPLOYMENT = with_policy(gift_card={"route": Route.DRAFT})
QUESTION = "do you have gift cards"
IN_TIME, TOO_LATE = 70.0, 80.0
"""Seconds after the question: due after 60, and a timer may be 15 late."""


async def nobody(conversation_id: str, given: TurnInput) -> None:
    raise AssertionError("no chat waits")


def sweeper(
    database: Database,
    keys: KeyRing,
    *,
    after_s: float = TOO_LATE,
    inbox: Inbox | None = None,
    turn: Any = nobody,
) -> OverdueDrafts:
    return OverdueDrafts(
        database,
        keys,
        (inbox or Inbox()).deliver,
        turn,
        FailedCalls(keys, stored_handoffs(keys), "p1").store,
        now=lambda: datetime.now(UTC) + timedelta(seconds=after_s),
    )


def chat_node(database: Database, keys: KeyRing) -> tuple[ChatService, Orchestrator]:
    orchestrator = orchestrator_on(database, keys, deployment=DEPLOYMENT)
    return ChatService(orchestrator, database, keys, DEPLOYMENT.phrases), orchestrator


async def stop(chat: ChatService, orchestrator: Orchestrator) -> None:
    await chat.close()
    await orchestrator.close()


async def of(database: Database, conversation_id: str) -> tuple[str, list[Mapping[str, Any]]]:
    """The draft's status, and the handoffs."""
    async with database.transaction() as tx:
        (draft,) = await drafts.list(tx, conversation_id=conversation_id)
        return draft["status"], await handoffs.list(tx, conversation_id=conversation_id)


@pytest.mark.parametrize(
    ("channel", "status", "erased", "expected"),
    [
        (Channel.CHAT, "live", False, Step.TURN),
        (Channel.PHONE, "live", False, Step.DELIVER),
        (Channel.BROWSER, "live", False, Step.DELIVER),
        (Channel.PHONE, "ended", False, Step.HAND_OVER),
        (Channel.CHAT, "ended", False, Step.HAND_OVER),
        (Channel.CHAT, "handoff", False, Step.CLOSE),
        (Channel.CHAT, "live", True, Step.CLOSE),
        (Channel.PHONE, "ended", True, Step.CLOSE),
    ],
)
def test_what_is_done_about_words_that_are_overdue(
    channel: Channel, status: str, erased: bool, expected: Step
) -> None:
    assert step(channel, status, erased=erased) is expected


async def test_a_chat_whose_process_died_goes_to_a_person_without_another_message(
    shop_database: Database, keys: KeyRing
) -> None:
    """And the customer is told so with the next reply, before anything else."""
    first = chat_node(shop_database, keys)
    asked = await first[0].say(None, QUESTION)
    await stop(*first)
    chat, orchestrator = chat_node(shop_database, keys)
    await sweeper(shop_database, keys, after_s=IN_TIME, turn=chat.late).sweep()
    assert await of(shop_database, asked.conversation_id) == ("waiting", [])
    await sweeper(shop_database, keys, turn=chat.late).sweep()
    status, (handoff,) = await of(shop_database, asked.conversation_id)
    assert (status, handoff["trigger"]) == ("expired", "draft_overdue")
    reply = await chat.say(asked.conversation_id, "Hello?")
    assert "connect you" in reply.replies[0]
    await stop(chat, orchestrator)


async def test_a_call_that_ended_meanwhile_is_found_in_the_queue_once(
    shop_database: Database, keys: KeyRing
) -> None:
    """Also when two nodes look at the same moment."""
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT)
    await talk.turn(QUESTION)
    async with shop_database.transaction() as tx:
        await talk.conversations.finish(tx, talk.id, reason="caller_hung_up")
    await asyncio.gather(*(sweeper(shop_database, keys).sweep() for _ in range(2)))
    status, (handoff,) = await of(shop_database, talk.id)
    assert (status, handoff["trigger"], handoff["status"]) == ("withdrawn", "draft_overdue", "waiting")
    assert {"handoff.requested", "draft.withdrawn"} <= {*await talk.events()}
    assert (await talk.audited()).count("draft.withdrawn") == 1
    await talk.close()


async def test_who_has_a_person_already_gets_no_second_one(shop_database: Database, keys: KeyRing) -> None:
    """The draft is withdrawn with the handoff; the state waits for it no more, its time means nothing."""
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT)
    await talk.turn(QUESTION)
    await talk.turn("a person please")
    await sweeper(shop_database, keys).sweep()
    status, found = await of(shop_database, talk.id)
    assert (status, [row["trigger"] for row in found]) == ("withdrawn", ["asked_for_person"])
    assert (await talk.state()).held == ()
    await talk.close()


async def test_what_was_erased_is_closed_and_read_by_nobody(shop_database: Database, keys: KeyRing) -> None:
    """Its words are gone, and so is whom they were for."""
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT)
    await talk.turn(QUESTION)
    async with shop_database.transaction() as tx:
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    await sweeper(shop_database, keys).sweep()
    assert await of(shop_database, talk.id) == ("withdrawn", [])
    await talk.close()


async def test_a_call_is_told_by_the_process_that_has_it_and_once(
    shop_database: Database, keys: KeyRing
) -> None:
    """Another leaves it alone; a sweep more does not ask again."""
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT)
    await talk.turn(QUESTION)
    inbox = Inbox()
    here = sweeper(shop_database, keys, inbox=inbox)
    await here.sweep()
    with inbox.open(talk.id) as box:
        await sweeper(shop_database, keys).sweep()
        for _ in range(2):
            await here.sweep()
        (held,) = (await talk.state()).held
        assert box.get_nowait() == Timer(about=held.draft)
        assert box.empty()
    assert (await of(shop_database, talk.id))[0] == "waiting"
    await talk.close()


async def test_a_chat_that_cannot_be_served_keeps_no_other_waiting(
    shop_database: Database, keys: KeyRing
) -> None:
    """It stays for the next sweep."""
    chat, orchestrator = chat_node(shop_database, keys)
    one, two = [(await chat.say(None, QUESTION)).conversation_id for _ in range(2)]

    async def turn(conversation_id: str, given: TurnInput) -> None:
        if conversation_id == one:
            raise ChatUnavailable("not now")
        await chat.late(conversation_id, given)

    await sweeper(shop_database, keys, turn=turn).sweep()
    assert (await of(shop_database, one))[0] == "waiting"
    assert (await of(shop_database, two))[0] == "expired"
    await sweeper(shop_database, keys, turn=chat.late).sweep()
    assert (await of(shop_database, one))[0] == "expired"
    await stop(chat, orchestrator)


async def test_words_that_the_state_does_not_hold_are_not_asked_for_again_and_again(
    shop_database: Database, keys: KeyRing
) -> None:
    """The row alone waits: one turn that says nothing, then it is closed."""
    chat, orchestrator = chat_node(shop_database, keys)
    asked = await chat.say(None, QUESTION)
    async with shop_database.transaction() as tx:
        conversations = Conversations(keys)
        snapshot = await conversations.load(tx, asked.conversation_id)
        await conversations.advance(tx, snapshot, turn=snapshot.turn, state={**snapshot.state, "held": []})
    await sweeper(shop_database, keys, turn=chat.late).sweep()
    assert (await of(shop_database, asked.conversation_id))[0] == "expired"
    await stop(chat, orchestrator)
