"""What carries on from what was said before, and what is written of it: circles, offers, call backs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from chat_kit import chat_on
from dialogue_kit import Talk

from voicebot.core.conversation import Action, Channel
from voicebot.core.store import follow_ups
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

WEDNESDAY = datetime(2026, 11, 18, 18, 0, tzinfo=UTC)  # ten in the morning in Portland


async def chat(database: Database, keys: KeyRing) -> Talk:
    return await Talk.begin(database, keys, channel=Channel.CHAT, caller=None, now=lambda: WEDNESDAY)


async def gaps(database: Database) -> int:
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM knowledge_gaps")).fetchone()
    assert row is not None
    return row["n"]


async def test_the_same_question_instead_of_the_number_is_a_circle(shop_database: Database, keys: KeyRing):
    """A person is offered the second time, takes over the third; nothing is said to have failed to match."""
    talk = await chat(shop_database, keys)
    said = [await talk.turn("where is my order") for _ in range(3)]
    assert len(set(said)) == 3
    assert "Without the order number" in said[1]
    assert "Shall I connect you" in said[1]
    assert talk.last is not None
    assert talk.last.decision.trigger == "loop"
    assert not any("match" in words for words in said)


async def test_the_number_counts_though_a_person_was_offered(shop_database: Database, keys: KeyRing):
    talk = await chat(shop_database, keys)
    for words in ("where is my order", "where is my order"):
        await talk.turn(words)
    assert "post code" in await talk.turn("427103")
    assert "oak side table" in await talk.turn("94107")


async def test_digits_that_never_fit_are_not_called_a_mismatch(shop_database: Database, keys: KeyRing):
    """Four times too few: each question in other words, then a person, and why in true words."""
    talk = await chat(shop_database, keys)
    said = [await talk.turn("where is my order")]
    said += [await talk.turn(words) for words in ("four two", "seven one", "one two three", "nine")]
    assert len(set(said)) == 5
    assert "Without the order number" in said[-1]
    assert talk.last is not None
    assert talk.last.decision.trigger == "identity_not_verified"


async def test_another_language_is_no_gap_in_the_knowledge(shop_database: Database, keys: KeyRing):
    """A reason of its own; the near miss is a question that is really out of scope."""
    talk = await chat(shop_database, keys)
    assert "I only speak English" in await talk.turn("Wo ist meine Bestellung?")
    assert talk.last is not None
    assert "not English" in talk.last.decision.reasons
    assert await gaps(shop_database) == 0
    await talk.turn("no")
    await talk.turn("what is the capital of france")
    assert await gaps(shop_database) == 1


async def test_a_call_back_is_noted_with_the_time_that_was_asked_for(shop_database: Database, keys: KeyRing):
    talk = await chat(shop_database, keys)
    assert "What phone number" in await talk.turn("call me back please")
    assert "by tomorrow at noon" in await talk.turn("202 555 0175")
    assert "by tomorrow at three" in await talk.turn("rather tomorrow at 3")
    assert "noted" in await talk.turn("yes please")
    async with shop_database.transaction() as tx:
        (row,) = await follow_ups.list(tx, conversation_id=talk.id)
        kept = await follow_ups.get(tx, keys, row["id"])
    assert kept["due_at"] == datetime(2026, 11, 19, 23, 0, tzinfo=UTC)
    assert kept["details"]["contact"] == "[phone number 1]"
    assert kept["details"]["known"]["call_at_as_said"] == "tomorrow at 3"


async def test_other_wants_are_told_to_the_caller_and_to_the_colleague(
    shop_database: Database, keys: KeyRing
):
    talk = await chat(shop_database, keys)
    words = await talk.turn(
        "my lamp arrived broken and i want to know the opening hours and where is my order"
    )
    assert "you asked about the status of an order and our opening hours" in words
    handoff = await talk.handoff()
    assert handoff is not None
    assert handoff["payload"]["form"]["also"] == ["order_status", "opening_hours"]
    assert "Still open: where an order is and opening hours." in handoff["payload"]["summary"]["issue"]


async def test_one_small_word_is_no_complaint(shop_database: Database, keys: KeyRing):
    """Nobody is connected for "why?"; who complains in words is."""
    talk = await chat(shop_database, keys)
    await talk.turn("why?")
    assert talk.last is not None
    assert talk.last.decision.action is Action.CLARIFY
    await talk.turn("what is your return policy")
    assert "doesn't say why" in await talk.turn("why?")
    await talk.turn("i want to make a complaint")
    assert talk.last.decision.action is Action.ESCALATE


@pytest.mark.parametrize("left", ["who placed it and what is the address?", "I want to start a return"])
async def test_only_what_was_asked_is_brought_up_and_once(left: str, shop_database: Database, keys: KeyRing):
    """A guess is never recalled; what was left open is offered in one conversation, and not in the next."""
    said: list[str] = []
    for then in (left, "when do you open", "when do you open"):
        talk = chat_on(shop_database, keys)
        begun = await talk.say(None, "where is order 518264, post code 60614?", "+12025550100")
        answer = await talk.say(begun.conversation_id, then)
        said.append(" ".join([*begun.replies, *answer.replies]))
        await talk.close()
    offered = ["Shall I go on with that" in words for words in said]
    assert offered == [False, "return" in left, False]
    assert "also asked" not in " ".join(said)
