"""A change is made once, after a yes that counts; whatever makes the yes doubtful voids it and is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from changes_kit import (
    CANCEL,
    DELIVERED,
    PACKED,
    RETURN,
    SENT,
    calls,
    change,
    count,
    done,
    read_back,
    status_of,
    statuses,
    stored,
    verified,
)
from dialogue_kit import DEPLOYMENT, Talk, node
from test_dialogue_acts import Fragile

from voicebot.core.conversation import Action, AgentDecision, Channel, Keys, Silence, Timer, Utterance
from voicebot.core.store import drafts
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing, SealBroken
from voicebot.core.store.vault import vault_cipher
from voicebot.dialogue.plan import StalePlan
from voicebot.dialogue.speculation import Verdict
from voicebot.safety.policy import Policy

NUMBER = PACKED[0]


async def test_read_back_yes_done_and_told_from_the_outcome(shop_database: Database, keys: KeyRing) -> None:
    """Order, amount and way are read from the row; the words of the act come from the records."""
    talk = await read_back(shop_database, keys)
    assert "order six three five, one nine two" in talk.said[-1]
    assert "one thousand two hundred ninety nine dollars" in talk.said[-1]
    assert talk.last is not None
    assert (talk.last.decision.action, talk.last.decision.expects.kind) == (Action.PROPOSE, "yes_no")
    assert await status_of(shop_database, NUMBER) == "processing"
    words = await talk.turn("yes please")
    assert words.startswith("Your order is cancelled, and one thousand two hundred ninety nine dollars")
    assert talk.last.decision.action is Action.ACT
    assert await status_of(shop_database, NUMBER) == "cancelled"
    (act,) = await done(talk)
    (row,) = await stored(talk)
    assert (act.status, act.proposal, row["status"], row["consent"]) == ("done", row["id"], "done", "words")
    assert await calls(talk) == [("cancel_order", "done")]
    assert {"act.proposed", "act.done"} <= set(await talk.events())
    assert {"act.proposed", "act.done"} <= set(await talk.audited())


async def test_key_one_is_a_yes_and_key_two_is_none(shop_database: Database, keys: KeyRing) -> None:
    """On the keypad, after the read-back was heard."""
    talk = await read_back(shop_database, keys)
    await talk.turn(Keys(digits="2"))
    assert await statuses(talk) == ["declined"]
    await talk.turn(CANCEL)
    words = await talk.turn(Keys(digits="1"))
    assert "is cancelled" in words
    assert (await stored(talk))[-1]["consent"] == "key"


async def test_no_leaves_everything_as_it_is(shop_database: Database, keys: KeyRing) -> None:
    """And a yes after it is a yes to nothing."""
    talk = await read_back(shop_database, keys)
    assert "leave that" in await talk.turn("no thanks")
    await talk.turn("yes")
    assert await statuses(talk) == ["declined"]
    assert await done(talk) == []
    assert await status_of(shop_database, NUMBER) == "processing"


@pytest.mark.parametrize("answer", ["i guess so", "mm-hm", "yes if it's free", "are there any fees"])
async def test_an_unclear_answer_is_asked_again_with_all_values(
    shop_database: Database, keys: KeyRing, answer: str
) -> None:
    """Twice; the third time a person is offered. In between a clear yes is taken."""
    talk = await read_back(shop_database, keys)
    words = await talk.turn(answer)
    assert "clear yes or no" in words
    assert "six three five, one nine two" in words
    assert "one thousand two hundred ninety nine dollars" in words
    assert await done(talk) == []
    assert "is cancelled" in await talk.turn("yes")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("are you sure", "looked it up once more"),
        ("is that right?", "looked it up once more"),
        ("why", "I ask so that nothing is changed"),
        ("what for", "I ask so that nothing is changed"),
    ],
)
async def test_a_question_about_the_read_back_is_answered_and_it_stays_open(
    shop_database: Database, keys: KeyRing, asked: str, answer: str
) -> None:
    """The records are read again, all values are said again, and the yes after it counts."""
    talk = await read_back(shop_database, keys)
    words = await talk.turn(asked)
    assert answer in words
    assert "clear yes or no" not in words
    assert "order six three five, one nine two" in words
    assert "one thousand two hundred ninety nine dollars" in words
    assert talk.last is not None
    assert [call.tool for call in talk.last.decision.tools] == ["cancel_order"]
    assert await statuses(talk) == ["open"]
    assert "is cancelled" in await talk.turn("yes")
    assert len(await done(talk)) == 1


async def test_who_only_asks_is_asked_for_a_yes_or_no_in_the_end(
    shop_database: Database, keys: KeyRing
) -> None:
    """Twice it is answered; then it is an unclear answer like any other."""
    talk = await read_back(shop_database, keys)
    assert "once more" in await talk.turn("are you sure")
    assert "once more" in await talk.turn("really")
    assert "clear yes or no" in await talk.turn("are you sure")
    assert await done(talk) == []


async def test_are_you_sure_is_told_what_has_changed_since(shop_database: Database, keys: KeyRing) -> None:
    """The order left in the meantime: said so, and the proposal is void."""
    talk = await read_back(shop_database, keys)
    async with shop_database.transaction() as tx:
        await tx.execute("UPDATE shop.orders SET status = 'shipped' WHERE number = %s", (NUMBER,))
    words = await talk.turn("are you sure")
    assert "left our warehouse" in words
    assert await statuses(talk) == ["voided"]


async def test_who_is_never_clear_is_offered_a_person(shop_database: Database, keys: KeyRing) -> None:
    """And the proposal is void."""
    talk = await read_back(shop_database, keys)
    await talk.turn("mm-hm")
    await talk.turn("i guess")
    assert "colleague" in await talk.turn("maybe")
    assert await statuses(talk) == ["voided"]
    assert await done(talk) == []


@pytest.mark.parametrize("heard", [3, 8, 11, 14])
async def test_a_yes_before_the_last_value_was_heard_is_asked_again(
    shop_database: Database, keys: KeyRing, heard: int
) -> None:
    """Spoken over before the amount was whole; then heard, and agreed to."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn(CANCEL)
    await talk.turn(" ".join(NUMBER))
    await talk.turn(" ".join(PACKED[1]), heard=heard)
    words = await talk.turn("yes")
    assert words.startswith("Shall I cancel order six three five, one nine two, with")
    assert await done(talk) == []
    assert (await stored(talk))[0]["heard_at"] is not None  # by now
    assert "is cancelled, and one thousand" in await talk.turn("yes")
    assert len(await done(talk)) == 1


async def test_a_yes_after_the_last_value_counts_though_the_question_was_cut(
    shop_database: Database, keys: KeyRing
) -> None:
    """The near miss: everything that matters was heard."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn(CANCEL)
    await talk.turn(" ".join(NUMBER))
    plan = await talk.plan(" ".join(PACKED[1]))
    committed = await talk.commit(plan)
    words = await talk.words(committed)
    cut = len(words.partition(" goes back")[0].split())
    await talk.hear(committed.turn, words, cut)
    assert "is cancelled" in await talk.turn("yes")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE proposals SET expires_at = clock_timestamp() - interval '1 second'", "expired"),
        ("UPDATE proposals SET policy_version = 'older'", "the policy changed"),
        ("UPDATE proposals SET digest = repeat('0', 64)", "another digest"),
        ("UPDATE proposals SET turn = turn - 1", "another turn came between"),
    ],
)
async def test_what_voids_a_yes_is_proposed_anew(
    shop_database: Database, keys: KeyRing, statement: str, reason: str
) -> None:
    """Nothing is done; the facts are read again, and that proposal can be agreed to."""
    talk = await read_back(shop_database, keys)
    await change(shop_database, statement)
    words = await talk.turn("yes")
    assert words.startswith("Let me look at that again")
    assert "Shall I do that?" in words
    assert await done(talk) == []
    assert [(row["status"], row["reason"]) for row in await stored(talk)] == [
        ("voided", reason),
        ("open", None),
    ]
    assert "is cancelled" in await talk.turn("yes")
    assert len(await done(talk)) == 1


async def test_changed_records_are_told_with_the_new_facts(shop_database: Database, keys: KeyRing) -> None:
    """Another amount: read back anew. No longer possible: told from the records."""
    talk = await read_back(shop_database, keys)
    await change(
        shop_database, "UPDATE shop.payments SET amount_cents = 100000 WHERE order_number = %s", NUMBER
    )
    words = await talk.turn("yes")
    assert words.startswith("Something about it has changed")
    assert "one thousand dollars" in words
    assert await done(talk) == []
    await change(shop_database, "UPDATE shop.orders SET status = 'shipped' WHERE number = %s", NUMBER)
    words = await talk.turn("yes")
    assert "has left our warehouse" in words
    assert await done(talk) == []
    assert await statuses(talk) == ["voided", "voided"]


async def test_records_that_change_between_plan_and_commit_take_it_back(
    shop_database: Database, keys: KeyRing
) -> None:
    """The last look is in the transaction itself: nothing is done, and that is said."""
    talk = await read_back(shop_database, keys)
    plan = await talk.plan("yes")
    await change(shop_database, "UPDATE shop.payments SET amount_cents = 500 WHERE order_number = %s", NUMBER)
    words = await talk.words(await talk.commit(plan))
    assert "has changed in the meantime, so I haven't done it" in words
    assert await status_of(shop_database, NUMBER) == "processing"
    assert await statuses(talk) == ["refused"]
    assert await calls(talk) == [("cancel_order", "refused")]


async def test_another_wish_voids_it_and_is_taken_up(shop_database: Database, keys: KeyRing) -> None:
    """What was proposed is offered again afterwards; a yes to that reads it back, it does not act."""
    talk = await read_back(shop_database, keys)
    words = await talk.turn("when are you open on sunday")
    assert await statuses(talk) == ["voided"]
    assert "cancelling an order" in words
    assert "Shall I do that?" in await talk.turn("yes")
    assert await done(talk) == []


async def test_another_order_is_read_back_anew(shop_database: Database, keys: KeyRing) -> None:
    """New arguments void it; somebody else's order is none of the caller's."""
    talk = await read_back(shop_database, keys)
    words = await talk.turn("no the order number is four two seven one zero three")
    assert "can't find that order under your name" in words
    assert await statuses(talk) == ["voided"]
    assert await done(talk) == []


async def test_a_question_put_again_after_silence_keeps_it(shop_database: Database, keys: KeyRing) -> None:
    """The read-back was heard before: the short question is enough."""
    talk = await read_back(shop_database, keys)
    assert "yes or no" in await talk.turn(Silence(nth=1))
    assert "is cancelled" in await talk.turn("yes")


async def test_signs_are_no_consent(shop_database: Database, keys: KeyRing) -> None:
    """In a chat a thumb is asked about in words."""
    talk = await Talk.begin(shop_database, keys, channel=Channel.CHAT)
    await verified(talk, PACKED, CANCEL)
    assert "clear yes or no" in await talk.turn("\N{THUMBS UP SIGN}")
    assert await done(talk) == []


async def test_the_same_yes_on_two_nodes_is_one_act(shop_database: Database, keys: KeyRing) -> None:
    """Both planned it; one commits, the other is stale and has changed nothing."""
    talk = await read_back(shop_database, keys)
    other = node(shop_database, keys)
    plans = [await talk.plan("yes"), await other.plan(talk.id, Utterance(text="yes please"))]
    results = await asyncio.gather(
        talk.orchestrator.commit(plans[0]), other.commit(plans[1]), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in results) == ["Committed", "StalePlan"]
    assert len(await done(talk)) == 1
    assert await count(shop_database, "shop.refunds", f"order_number = '{NUMBER}'") == 1


async def test_a_commit_that_dies_anywhere_leaves_nothing_and_then_happens_once(
    shop_database: Database, keys: KeyRing
) -> None:
    """Killed at a statement in the middle, at the act, at the end; and once with only the answer lost."""
    talk = await read_back(shop_database, keys)
    plan = await talk.plan("yes")
    with psycopg.connect(shop_database.url, autocommit=True) as admin:
        for at in (3, 9, 14, 20, 26):
            with pytest.raises(DatabaseDown):
                await node(Fragile(shop_database, admin, at), keys).commit(plan)
            assert await status_of(shop_database, NUMBER) == "processing"
            assert await done(talk) == []
    words = await talk.words(await talk.commit(plan))
    again = await talk.words(await talk.commit(plan))
    assert words == again
    assert "is cancelled" in words
    assert len(await done(talk)) == 1
    assert await calls(talk) == [("cancel_order", "done")]


async def test_a_caller_who_is_gone_takes_nothing_back(shop_database: Database, keys: KeyRing) -> None:
    """Whoever waited for the commit is cancelled; the act stands."""
    talk = await read_back(shop_database, keys)
    waiting = asyncio.ensure_future(talk.orchestrator.commit(await talk.plan("yes")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await talk.close()
    assert await status_of(shop_database, NUMBER) == "cancelled"
    assert await statuses(talk) == ["done"]


async def test_an_early_plan_does_not_consent(shop_database: Database, keys: KeyRing) -> None:
    """The words so far are not the final ones."""
    talk = await read_back(shop_database, keys)
    yes = Utterance(text="yes")
    assert await talk.orchestrator.offer(talk.id, yes, likely=True) is Verdict.START
    assert await talk.orchestrator.first_clause(talk.id) is None
    assert await done(talk) == []
    plan = await talk.orchestrator.settle(talk.id, yes)
    assert "is cancelled" in await talk.words(await talk.commit(plan))


async def test_a_return_is_asked_for_value_by_value_and_a_second_one_is_refused(
    shop_database: Database, keys: KeyRing
) -> None:
    """Which items, why, the read-back; then the records say that it was registered."""
    talk = await Talk.begin(shop_database, keys)
    assert "Which item" in await verified(talk, DELIVERED, RETURN)
    assert "what is the reason" in await talk.turn("everything")
    assert "Shall I do that?" in await talk.turn("i changed my mind")
    assert "is registered. Once it has arrived" in await talk.turn("yes please")
    words = await talk.turn(RETURN)
    assert "registered already" in words, "said before anything is asked that does not matter any more"
    assert "a refund you are waiting for" in words, "what helps instead"
    assert len(await done(talk)) == 1


async def test_a_sent_order_cannot_be_cancelled_and_a_return_is_offered(
    shop_database: Database, keys: KeyRing
) -> None:
    """The records refuse it before anything is proposed."""
    talk = await Talk.begin(shop_database, keys)
    words = await verified(talk, SENT, CANCEL)
    assert "has left our warehouse" in words
    assert "starting a return" in words
    assert await stored(talk) == []


async def test_over_a_limit_a_person_does_it(shop_database: Database, keys: KeyRing) -> None:
    """Nothing was done, and the caller is told so."""
    table = DEPLOYMENT.policy.table
    tight = table.limits["refund_amount"].model_copy(update={"most": {"others": 10}})
    limits = {**table.limits, "refund_amount": tight}
    deployment = replace(DEPLOYMENT, policy=Policy(table.model_copy(update={"limits": limits})))
    talk = await read_back(shop_database, keys, deployment=deployment)
    words = await talk.turn("yes")
    assert "more than I may do by myself" in words
    assert talk.last is not None
    assert (talk.last.after, talk.last.decision.trigger) == ("hand_over", "act_limit")
    assert await status_of(shop_database, NUMBER) == "processing"
    assert await statuses(talk) == ["refused"]


async def waiting_for_a_person(database: Database, keys: KeyRing, **more: Any) -> tuple[Talk, str]:
    """Another address, which no grant covers: a person has to approve it."""
    await change(database, "UPDATE shop.orders SET total_cents = 30000 WHERE number = %s", NUMBER)
    talk = await Talk.begin(database, keys, **more)
    await verified(talk, PACKED, "i want to change the delivery address")
    await talk.turn("twelve main street")
    await talk.turn("springfield")
    assert "colleague has to approve" in await talk.turn("nine seven four seven seven")
    (held,) = (await talk.state()).held
    return talk, held.draft


async def test_without_a_grant_a_person_approves_the_act_and_the_caller_still_agrees(
    shop_database: Database, keys: KeyRing
) -> None:
    """The person sees what would be done; approved, it is read back; only the caller's yes does it."""
    talk, draft = await waiting_for_a_person(shop_database, keys)
    async with shop_database.transaction() as tx:
        row = await drafts.get(tx, keys, draft)
    assert "to [address 1], in springfield" in row["words"]["words"], "people see tokens"
    assert await statuses(talk) == ["waiting"]
    await talk.turn("yes")
    assert await done(talk) == [], "nobody asked the caller yet"
    decision = AgentDecision(draft=draft, verdict="approve", agent="ag_1")
    words = await talk.turn(decision)
    assert "12 main street" in words
    assert await done(talk) == []
    assert "goes to 12 main street" in await talk.turn("yes")
    (proposal,) = await stored(talk)
    assert (proposal["status"], proposal["approved_by"]) == ("done", "ag_1")


@pytest.mark.parametrize("verdict", ["reject", "expired"])
async def test_what_nobody_approves_is_not_done(shop_database: Database, keys: KeyRing, verdict: str) -> None:
    """A person takes over."""
    talk, draft = await waiting_for_a_person(shop_database, keys)
    if verdict == "reject":
        await talk.turn(AgentDecision(draft=draft, verdict="reject", agent="ag_1"))
    else:
        await talk.turn(Timer(about=draft))
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    assert await statuses(talk) == ["voided"]
    assert await done(talk) == []


async def test_a_grant_that_ran_out_between_read_back_and_yes_needs_a_person(
    shop_database: Database, keys: KeyRing
) -> None:
    """The policy is asked again when the yes comes."""
    now = datetime(2027, 10, 31, 20, tzinfo=UTC)
    talk = await read_back(shop_database, keys, now=lambda: now)
    now = datetime(2027, 11, 2, 20, tzinfo=UTC)
    words = await talk.turn("yes")
    assert "colleague has to approve" in words
    assert await done(talk) == []
    assert await statuses(talk) == ["voided", "waiting"]


async def test_a_stale_yes_acts_on_nothing(shop_database: Database, keys: KeyRing) -> None:
    """Planned, then the caller went on."""
    talk = await read_back(shop_database, keys)
    plan = await talk.plan("yes")
    await talk.turn("when are you open on sunday")
    with pytest.raises(StalePlan):
        await talk.commit(plan)
    assert await done(talk) == []


async def test_its_values_open_under_the_key_of_the_vault_only(
    shop_database: Database, keys: KeyRing
) -> None:
    """Who holds the conversation's own key reads no argument; what an older node sealed so still counts."""
    talk = await read_back(shop_database, keys)
    async with shop_database.transaction() as tx:
        row = await (
            await tx.execute(
                "SELECT p.id, p.sealed, c.subject_id FROM proposals p JOIN conversations c"
                " ON c.id = p.conversation_id WHERE c.id = %s",
                (talk.id,),
            )
        ).fetchone()
        assert row is not None
        subject = await keys.cipher(tx, row["subject_id"])
        context = f"proposal:{row['id']}"
        with pytest.raises(SealBroken):
            subject.open_json(row["sealed"], context)
        opened = vault_cipher(subject).open_json(row["sealed"], context)
        assert NUMBER in opened["canonical"]
        older = subject.seal_json(opened, context)
        await tx.execute("UPDATE proposals SET sealed = %s WHERE id = %s", (older, row["id"]))
    assert "is cancelled" in await talk.turn("yes")
