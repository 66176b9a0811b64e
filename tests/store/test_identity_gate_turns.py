"""The gate in conversations: tries count over calls and nodes, a code once; nobody learns what was wrong."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dialogue_kit import Talk, node, with_policy

from voicebot.channels.twilio.texts import TextSender
from voicebot.core.conversation import Channel, Keys, Silence
from voicebot.core.store import text_messages
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.deployment import Deployment
from voicebot.safety.policy import Policy

KEYS = KeyRing(bytes(range(32)))
WANT = "where is my order"
ORDER, POST_CODE, WRONG = "four two seven one oh three", "nine four one oh seven", "one one one one one"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


def level_two() -> Deployment:
    """As if the status of an order needed level 2."""
    made = with_policy()
    table = made.policy.table
    identity = table.identity.model_copy(update={"demands": {"order_status": 2}})

    return replace(made, policy=Policy(table.model_copy(update={"identity": identity})))


async def begin(database: Database, **more: Any) -> Talk:
    return await Talk.begin(database, KEYS, **more)


async def fail(talk: Talk, times: int) -> str:
    words = await talk.turn(WANT)
    for _ in range(times):
        await talk.turn(ORDER)
        words = await talk.turn(WRONG)
    return words


async def passed(talk: Talk) -> bool:
    return (await talk.state()).gate.match is not None


async def code_of(talk: Talk) -> str:
    """The code in the newest message that waits to be sent."""
    async with talk.database.transaction() as tx:
        [message] = await text_messages.claim(tx, talk.keys)
        await tx.execute("UPDATE text_messages SET status = 'queued'")
    found = re.search(r"\b\d{6}\b", message.words)
    assert found is not None
    assert message.to == "+12025550000"
    return found[0]


async def test_three_tries_over_two_calls_lock_the_order(database: Database) -> None:
    """Two fail in one call, the third in another from another number: then not even the right facts help."""
    await fail(await begin(database), 2)
    second = await begin(database, caller="+12025550177")
    words = await fail(second, 1)
    assert "can't check any more details" in words
    assert second.last is not None
    assert second.last.after == "hand_over"
    third = await begin(database, caller="+12025550188")
    await third.turn(WANT)
    await third.turn(ORDER)
    words = await third.turn(POST_CODE)
    assert "can't check any more details" in words
    assert not await passed(third)
    handoff = await third.handoff()
    assert handoff is not None
    assert handoff["payload"]["identity"]["locked"] is True
    assert "identity.refused" in await third.audited()


async def test_a_lock_of_one_order_leaves_others_open(database: Database) -> None:
    """The near miss: another order, another caller."""
    await fail(await begin(database), 3)
    other = await begin(database, caller="+12025550188")
    await other.turn(WANT)
    await other.turn("five one eight two six four")
    await other.turn("six oh six one four")
    assert await passed(other)


async def test_a_caller_is_locked_out_over_orders_too(database: Database) -> None:
    """Six failed tries of one number, each about another order."""
    for first in range(6):
        talk = await begin(database)
        await talk.turn(WANT)
        await talk.turn(Keys(digits=f"{first + 1}11111"))
        await talk.turn(WRONG)
    talk = await begin(database)
    await talk.turn(WANT)
    await talk.turn(ORDER)
    assert "can't check any more details" in await talk.turn(POST_CODE)


async def test_the_lock_ends_with_its_window_and_no_clock_of_a_node_moves_it(database: Database) -> None:
    """A node whose clock jumps a day ahead lets nobody in; when the window is over, anybody who knows."""
    await fail(await begin(database), 3)
    ahead = await begin(database, caller="+12025550188", now=lambda: datetime.now(UTC) + timedelta(days=1))
    await ahead.turn(WANT)
    await ahead.turn(ORDER)
    assert "can't check any more details" in await ahead.turn(POST_CODE)
    async with database.transaction() as tx:
        await tx.execute("UPDATE failed_tries SET at = at - interval '61 minutes'")
    later = await begin(database, caller="+12025550188")
    await later.turn(WANT)
    await later.turn(ORDER)
    await later.turn(POST_CODE)
    assert await passed(later)


async def test_two_nodes_at_once_get_no_fourth_try(database: Database) -> None:
    """Both have planned a right answer before either failed: after the third failure both are refused."""
    talks = [await begin(database, caller=f"+1202555018{nth}") for nth in range(4)]
    plans: list[Any] = []
    for nth, talk in enumerate(talks):
        talk.orchestrator = node(database, KEYS)
        await talk.turn(WANT)
        await talk.turn(ORDER)
        plans.append(await talk.plan(WRONG if nth < 3 else POST_CODE))
    await asyncio.gather(*[talk.commit(plan) for talk, plan in zip(talks[:3], plans[:3], strict=True)])
    words = await talks[3].words(await talks[3].commit(plans[3]))
    assert "can't check any more details" in words
    assert not await passed(talks[3])
    again = await talks[3].commit(plans[3])  # a commit that is repeated says the same
    assert again.after == "hand_over"
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM failed_tries")).fetchone()
        assert row is not None
        assert row["n"] == 6  # three about the order, one of each caller


async def test_the_right_facts_forget_the_wrong_ones(database: Database) -> None:
    """Who mistypes twice and then knows it does not lock himself out."""
    for _ in range(2):
        talk = await begin(database)
        await fail(talk, 2)
        await talk.turn(ORDER)
        await talk.turn(POST_CODE)
        assert await passed(talk)


async def test_a_refused_fact_is_replaced_by_others(database: Database) -> None:
    """Name and birthday instead of the post code, all three heard as people say them."""
    talk = await begin(database)
    await talk.turn(WANT)
    await talk.turn(ORDER)
    assert "full name" in await talk.turn("I'd rather not give you my post code")
    async with database.transaction() as tx:
        row = await (
            await tx.execute("SELECT first_name, last_name FROM shop.customers WHERE id = 'cu_00001'")
        ).fetchone()
        assert row is not None
    assert "date of birth" in await talk.turn(f"my name is {row['first_name']} {row['last_name']}")
    await talk.turn("the third of march eighty five")
    assert await passed(talk)
    turns = str(await talk.turns())
    assert "1985" not in turns
    assert "eighty five" not in turns


async def test_who_refuses_everything_gets_a_person(database: Database) -> None:
    """And the person sees what was given and refused, never a value."""
    talk = await begin(database)
    await talk.turn(WANT)
    await talk.turn(ORDER)
    await talk.turn("I'd rather not say")
    await talk.turn("I won't give you that")
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    handoff = await talk.handoff()
    assert handoff is not None
    identity = handoff["payload"]["identity"]
    assert identity["declined"] == ["post_code", "name"]
    assert identity["given"] == ["order_number"]


async def test_somebody_elses_order_is_not_found(database: Database) -> None:
    """A verified caller who asks about another customer's order hears what is said of one that is not."""
    talk = await begin(database)
    for words in (WANT, ORDER, POST_CODE):
        await talk.turn(words)
    assert await passed(talk)
    other = await talk.turn("where is my order five one eight two six four")
    nobody = await talk.turn("where is my order one two three one two three")
    assert "wool rug" not in other
    said = "I can't find that order under your name."
    assert other.startswith(said)
    assert nobody.startswith(said)


async def test_a_code_goes_to_the_number_on_record_and_counts_once(database: Database) -> None:
    """Sent with the commit; right once; used up; nothing of it is stored but a digest."""
    talk = await begin(database, deployment=level_two(), texting=True)
    await talk.turn(WANT)
    await talk.turn(ORDER)
    plan = await talk.plan(POST_CODE)
    async with database.transaction() as tx:
        assert await text_messages.claim(tx, KEYS) == []  # a plan sends nothing
    asked = await talk.words(await talk.commit(plan))
    assert "text message" in asked
    assert "555" not in asked
    await talk.hear(plan.turn, asked)
    code = await code_of(talk)
    told = await talk.plan(f"the code is {' '.join(code)}")
    words = await talk.words(await talk.commit(told))
    assert "on its way" in words
    match = (await talk.state()).gate.match
    assert match is not None
    assert (match.level, "code" in match.method) == (2, True)
    async with database.transaction() as tx:
        rows = await (await tx.execute("SELECT * FROM one_time_codes")).fetchall()
    assert all(row["closed_at"] is not None and code.encode() not in bytes(row["digest"]) for row in rows)
    assert code not in str(await talk.turns())
    assert "identity.code_sent" in await talk.audited()


async def test_a_wrong_code_counts_as_a_try_and_an_old_one_for_nothing(database: Database) -> None:
    """Wrong: asked again. Out of time: another is sent, once; then another fact is asked for."""
    talk = await begin(database, deployment=level_two(), texting=True)
    for words in (WANT, ORDER, POST_CODE):
        await talk.turn(words)
    code = await code_of(talk)
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    assert "couldn't match" in await talk.turn(Keys(digits=wrong))
    assert (await talk.state()).gate.tries == 1
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE one_time_codes SET expires_at = now() - interval '1 s',"
            " sent_at = now() - interval '1 min'"
        )
    assert "no longer counts" in await talk.turn(Keys(digits=code))
    match = (await talk.state()).gate.match
    assert match is not None
    assert match.level == 1
    async with database.transaction() as tx:
        await tx.execute("UPDATE one_time_codes SET sent_at = sent_at - interval '1 min'")
    assert "date of birth" in await talk.turn("it hasn't arrived")


async def test_a_code_of_another_conversation_is_wrong(database: Database) -> None:
    """It is bound to the call it was asked for in."""
    talks = [await begin(database, deployment=level_two(), texting=True) for _ in range(2)]
    codes: list[str] = []
    for talk in talks:
        for words in (WANT, ORDER, POST_CODE):
            await talk.turn(words)
        codes.append(await code_of(talk) if not codes else "")
        async with database.transaction() as tx:
            await tx.execute("UPDATE text_messages SET status = 'sent'")
    await talks[1].turn(Keys(digits=codes[0]))
    state = await talks[1].state()
    assert state.gate.tries == 1


@pytest.mark.parametrize("texting", [True, False])
async def test_where_no_message_can_be_sent_other_facts_are_asked_for(
    database: Database, texting: bool
) -> None:
    """No account, or no number on record: the card and the birthday instead."""
    if texting:
        async with database.transaction() as tx:
            await tx.execute("UPDATE shop.customers SET phone = ''")
    talk = await begin(database, deployment=level_two(), texting=texting)
    await talk.turn(WANT)
    await talk.turn(ORDER)
    assert "date of birth" in await talk.turn(POST_CODE)
    assert "last four digits" in await talk.turn("march third nineteen eighty five")
    assert "on its way" in await talk.turn("four four one seven")


async def test_a_message_that_fails_is_gone_and_said_to_have_failed(database: Database) -> None:
    """Without an account each fails at once; words and number are wiped."""
    talk = await begin(database, deployment=level_two(), texting=True)
    for words in (WANT, ORDER, POST_CODE):
        await talk.turn(words)
    assert await TextSender(database, KEYS, None).send_queued() == 1
    async with database.transaction() as tx:
        [row] = await (await tx.execute("SELECT status, sealed FROM text_messages")).fetchall()
    assert (row["status"], bytes(row["sealed"])) == ("failed", b"")
    async with database.transaction() as tx:
        await tx.execute("UPDATE one_time_codes SET sent_at = sent_at - interval '1 min'")
    words = await talk.turn(Silence(nth=1))
    assert "couldn't be delivered" in words, "who waits for it is told, and asked for something else"
    assert "date of birth" in words


@pytest.mark.parametrize("given", [Silence(nth=1), "hm let me see"])
async def test_a_code_that_did_not_arrive_is_told_with_another_way(
    database: Database, given: Silence | str
) -> None:
    """Twilio reports it after it was taken; no second code goes to a number that took none."""
    talk = await begin(database, deployment=level_two(), texting=True)
    for words in (WANT, ORDER, POST_CODE):
        await talk.turn(words)
    async with database.transaction() as tx:
        (message,) = await text_messages.claim(tx, KEYS)
        await text_messages.settle(tx, message.id, provider_id="SM1")
    assert "couldn't be delivered" not in await talk.turn(Silence(nth=1)), "nothing is known yet"
    async with database.transaction() as tx:
        assert not await text_messages.undelivered(tx, message.id, provider_id="SM2", reason="another's")
        assert await text_messages.undelivered(
            tx, message.id, provider_id="SM1", reason="Twilio: undelivered"
        )
        assert not await text_messages.undelivered(tx, message.id, provider_id="SM1", reason="again")
    said = await talk.turn(given)
    assert said.startswith("I've just seen that the text message couldn't be delivered.")
    assert "date of birth" in said
    assert "last four digits" in await talk.turn("march third nineteen eighty five")
    assert "on its way" in await talk.turn("four four one seven")


async def test_on_a_chat_the_same_gate_stands(database: Database) -> None:
    """Written instead of said."""
    talk = await begin(database, channel=Channel.CHAT, caller=None)
    await talk.turn("where is my order 427103")
    await talk.turn("94107")
    assert await passed(talk)
