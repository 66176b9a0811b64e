"""A chat yesterday is known on the phone today: behind the gate only, and only if the customer likes it."""

from __future__ import annotations

import pytest
from chat_kit import chat_on
from dialogue_kit import Talk

from voicebot.core.conversation import CallStarted, Channel
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing


async def chat_about(database: Database, keys: KeyRing, number: str, post_code: str, *then: str) -> str:
    """A chat of yesterday in which the customer was verified, and asked more."""
    chat = chat_on(database, keys)
    begun = await chat.say(None, "Where is my order?", "+12025550100")
    for text in (number, post_code, *then):
        await chat.say(begun.conversation_id, text)
    await chat.close()
    async with database.transaction() as tx:
        await tx.execute("UPDATE memories SET changed_at = changed_at - interval '1 day'")
    return begun.conversation_id


async def call(database: Database, keys: KeyRing, number: str, post_code: str) -> tuple[Talk, str]:
    """A phone call, up to the answer behind the gate."""
    talk = await Talk.begin(database, keys)
    await talk.turn("where is my order")
    await talk.turn(number)
    return talk, await talk.turn(post_code)


async def test_who_asks_the_same_again_hears_that_we_know(shop_database: Database, keys: KeyRing):
    await chat_about(shop_database, keys, "427103", "94107")
    talk, answer = await call(
        shop_database, keys, "four two seven one zero three", "nine four one zero seven"
    )
    assert "I see you asked about this earlier today." in answer
    assert "oak side table" in answer
    assert "asked about this" not in await talk.turn("where is my order")  # once is enough


async def test_what_was_left_open_is_offered_and_a_yes_takes_it_up(shop_database: Database, keys: KeyRing):
    await chat_about(shop_database, keys, "518264", "60614", "I want to start a return")
    talk, answer = await call(shop_database, keys, "518264", "60614")
    assert "I see you asked about starting a return" in answer, answer
    assert "Shall I go on with that?" in answer
    await talk.turn("yes please")
    assert talk.last is not None
    assert talk.last.decision.intent == "start_return"


async def test_nothing_is_said_or_read_before_the_gate_whatever_the_number(
    shop_database: Database, keys: KeyRing
):
    await chat_about(shop_database, keys, "427103", "94107", "I want to start a return")
    talk = await Talk.begin(shop_database, keys, greeted=False)  # from the very same number
    said = [
        await talk.turn(given) for given in (CallStarted(), "hello", "where is my order", "427103", "00000")
    ]
    assert not any("I see you asked" in words for words in said)
    assert {resource for resource, _ in await talk.accesses()} <= {"identity"}


async def test_another_customer_hears_nothing_of_it(shop_database: Database, keys: KeyRing):
    await chat_about(shop_database, keys, "427103", "94107")
    _, answer = await call(shop_database, keys, "284917", "30305")
    assert "I see you asked" not in answer


async def test_who_does_not_want_to_be_remembered_is_not(shop_database: Database, keys: KeyRing):
    await chat_about(shop_database, keys, "951738", "98109")
    _, answer = await call(shop_database, keys, "951738", "98109")
    assert "out for delivery" in answer
    assert "I see you asked" not in answer
    async with shop_database.transaction() as tx:
        kept = await (await tx.execute("SELECT count(*) AS n FROM memories")).fetchone()
        links = await (await tx.execute("SELECT count(*) AS n FROM customer_links")).fetchone()
    assert (kept, links) == ({"n": 0}, {"n": 2})


@pytest.mark.parametrize("committed", [True, False])
async def test_what_a_plan_read_is_logged_whether_it_is_committed_or_not(
    committed: bool, shop_database: Database, keys: KeyRing
):
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("where is my order")
    await talk.turn("427103")
    plan = await talk.plan("94107")
    if committed:
        done = await talk.commit(plan)
        await talk.hear(done.turn, await talk.words(done))
    else:
        await talk.orchestrator.discard(plan)
    logged = await talk.accesses()
    assert {("customer.profile", not committed), ("customer.memory", not committed)} <= set(logged)
    async with shop_database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM customers")).fetchone()
    assert row == {"n": 1 if committed else 0}


async def test_a_number_given_in_one_conversation_is_not_asked_for_in_the_next(
    shop_database: Database, keys: KeyRing
):
    async with shop_database.transaction() as tx:  # nothing is known of warranties, so a call back is offered
        await tx.execute(
            "DELETE FROM chunks WHERE article_id IN (SELECT id FROM articles WHERE 'warranty' = ANY(intents))"
        )
    first = await verified_in_chat(shop_database, keys)
    assert "phone number" in await wants_to_know(first)
    assert "call you back" in await first.turn("2025550123")
    await first.turn("yes")
    words = await wants_to_know(await verified_in_chat(shop_database, keys))
    assert "call you back by" in words
    assert "phone number" not in words
    stranger = await Talk.begin(shop_database, keys, channel=Channel.CHAT, caller=None)
    assert "phone number" in await wants_to_know(stranger)  # who is not verified is asked like anybody


async def verified_in_chat(database: Database, keys: KeyRing) -> Talk:
    """A chat without a phone number, past the gate."""
    talk = await Talk.begin(database, keys, channel=Channel.CHAT, caller=None)
    for text in ("where is my order", "427103", "94107"):
        await talk.turn(text)
    return talk


async def wants_to_know(talk: Talk) -> str:
    """A question that nobody here can answer, up to the offer of a call back."""
    words = await talk.turn("how long is the warranty")
    for _ in range(3):
        if "Shall I connect you" in words:
            break
        words = await talk.turn("no")
    return await talk.turn("no thank you")
