"""People decide over REST what the bot may say or do, from any process: once, in time, and word for word.

The first decision counts and others are told whose it was; what comes too late or may not be said is refused
with the reason; the conversation takes the decision up wherever it is, also after its process died.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from chat_kit import orchestrator_on
from dialogue_kit import Talk, node
from drafts_kit import ANSWER, DRAFTED, QUESTION, TOKEN, Desk, desk_with, no_chat
from prometheus_client import REGISTRY
from test_nobody_there import DAY, NIGHT, presence
from test_proposals import NUMBER, PACKED, change, done, statuses, verified, waiting_for_a_person

from voicebot.channels.chat.service import ChatService
from voicebot.console import draft_gauges
from voicebot.console.readers import agent_key
from voicebot.core.bus import Bus
from voicebot.core.conversation import Silence, Timer
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.postgres_carrier import PostgresCarrier
from voicebot.core.store.sharing import Sharing
from voicebot.dialogue.orchestrator import StalePlan
from voicebot.runtime.waking import Waking

EDITED = "Gift cards come in amounts of $25, $50 and $75 - ask us about others!"


@pytest_asyncio.fixture
async def desk(shop_database: Database, keys: KeyRing) -> Desk:
    """An answer waits."""
    return await desk_with(shop_database, keys, QUESTION)


async def test_what_waits_is_listed_with_its_time_and_opened_with_why(desk: Desk) -> None:
    (row,) = await desk.ask("drafts?status=waiting", "ada")
    assert (row["kind"], row["intent"], row["question"]) == ("words", "gift_card", QUESTION)
    assert ANSWER in row["words"]
    assert 50 < row["left_s"] <= 60
    assert await desk.ask(f"drafts?conversation=cv_{'0' * 32}", "ada") == []
    one = await desk.ask(f"drafts/{row['id']}", "ada")
    assert one["row"].startswith("gift_card/")
    assert one["articles"]
    await desk.ask(f"drafts/dr_{'0' * 32}", "ada", status=404)


async def test_approved_elsewhere_it_is_said_by_the_node_that_has_the_call_and_once(desk: Desk) -> None:
    (draft,) = await desk.held()
    one = await desk.ask(f"drafts/{draft}/approve", "ada", {})
    assert (one["status"], one["decided_by"], one["told_turn"]) == ("approve", "ada", None)
    assert desk.woken == [desk.talk.id]
    (said,) = await desk.woke()
    assert said.startswith("Thanks for waiting.")
    assert ANSWER in said
    assert (await desk.row(draft))["told_turn"] == (await desk.talk.snapshot()).turn
    assert await desk.woke() == []
    assert [one["verdict"] for one in await desk.told("draft.judged")] == ["approve"]
    assert [*await desk.talk.audited()].count("draft.judged") == 1


async def test_edited_words_are_said_exactly_and_kept_with_tokens_for_who_reads_on(desk: Desk) -> None:
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/edit", "ben", {"text": f"  {EDITED}\n"})
    (said,) = await desk.woke()
    assert EDITED in said
    assert ANSWER not in " ".join(desk.talk.said)
    assert (await desk.ask(f"drafts/{draft}", "cleo"))["text"] == EDITED


async def test_what_waits_and_what_became_of_it_is_counted_for_alarms(desk: Desk) -> None:
    def shown(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"voicebot_drafts_{name}", labels)

    await draft_gauges.look(desk.database)
    assert shown("waiting") == 1
    assert (shown("oldest_seconds") or 0) > 0
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/reject", "ada", {})
    await draft_gauges.look(desk.database)
    assert (shown("waiting"), shown("oldest_seconds")) == (0, 0)
    assert shown("day", kind="words", outcome="reject") == 1


async def test_rejected_the_caller_goes_to_a_person(desk: Desk) -> None:
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/reject", "ada", {})
    await desk.woke()
    assert await desk.handoffs() == ["draft_rejected"]


async def test_of_many_at_once_one_decides_and_the_others_are_told_who(desk: Desk) -> None:
    (draft,) = await desk.held()

    async def judge(who: str, what: str) -> Any:
        return await desk.http.post(
            f"/api/drafts/{draft}/{what}",
            headers={"Authorization": f"Bearer {_key(who)}"},
            json={"text": EDITED} if what == "edit" else {},
        )

    tries = [(who, what) for who in ("ada", "ben", "cleo") for what in ("approve", "edit", "reject")]
    answers = await asyncio.gather(*(judge(*one) for one in tries))
    won = [one for one, answer in zip(tries, answers, strict=True) if answer.status_code == 200]
    assert len(won) == 1
    ((who, what),) = won
    for one, answer in zip(tries, answers, strict=True):
        if one != (who, what):
            assert answer.status_code == 409
            detail = answer.json()["detail"]
            assert (detail["decided_by"], detail["verdict"]) == (who, what)
    assert len(await desk.told("draft.judged")) == 1
    again = await judge(who, what)
    assert (again.status_code, len(await desk.told("draft.judged"))) == (200, 1), "the same again is nothing"


def _key(who: str) -> str:
    return agent_key(TOKEN, who)


async def test_too_late_is_said_with_why(desk: Desk) -> None:
    (draft,) = await desk.held()
    desk.late_s = 61.0
    refused = await desk.ask(f"drafts/{draft}/approve", "ada", {}, status=410)
    assert refused["detail"]["why"] == "expired"
    desk.late_s = 0.0
    async with desk.database.transaction() as tx:
        await desk.talk.conversations.finish(tx, desk.talk.id, reason="caller_hung_up")
    assert await desk.ask("drafts?status=waiting", "ada") == []
    refused = await desk.ask(f"drafts/{draft}/edit", "ada", {"text": EDITED}, status=410)
    assert refused["detail"]["why"] == "ended"
    assert (await desk.row(draft))["text"] is None


async def test_with_a_person_on_the_line_nothing_waits_any_more(desk: Desk) -> None:
    (draft,) = await desk.held()
    await desk.talk.turn("a person please")
    refused = await desk.ask(f"drafts/{draft}/approve", "ada", {}, status=410)
    assert refused["detail"]["why"] == "handoff"
    assert [one["reason"] for one in await desk.told("draft.withdrawn")] == ["handoff"]
    assert await desk.woke() == []


async def test_words_that_may_not_be_said_are_refused_before_they_are_stored(desk: Desk) -> None:
    (draft,) = await desk.held()
    for text, reason in (
        ("Your card 4242 4242 4242 4242 was charged.", "card_number"),
        ("Trust me, I'm a real person.", "claims_human"),
        ("Don't be an idiot.", "tone"),
        ("We have [name 1] on the list.", "placeholder"),
    ):
        refused = await desk.ask(f"drafts/{draft}/edit", "ada", {"text": text}, status=422)
        assert refused["detail"]["reasons"] == [reason]
    row = await desk.row(draft)
    assert (row["status"], row["text"]) == ("waiting", None)
    assert (await desk.talk.audited()).count("draft.edit_refused") == 4
    assert "4242" not in str(await desk.told("draft.edit_refused"))


async def test_who_may_decide_and_what_they_see(shop_database: Database, keys: KeyRing) -> None:
    """An agent who opens one that waits sees the caller's values, logged; lists and programs have tokens, and
    so has every agent once nobody waits for it any more; supervisors review.
    """
    talk, draft = await waiting_for_a_person(shop_database, keys)
    desk = Desk(talk)
    assert "12 main street" in (await desk.ask(f"drafts/{draft}", "ada"))["words"]
    assert "address" in await desk.looked("ada")
    (row,) = await desk.ask("drafts?status=waiting", "ben")
    assert "[address 1]" in row["words"]
    assert "12 main" not in str(row)
    assert "[address 1]" in (await desk.ask(f"drafts/{draft}", None))["words"]
    assert "address" not in await desk.looked("ben")
    desk.late_s = 61.0
    assert "[address 1]" in (await desk.ask(f"drafts/{draft}", "ben"))["words"], "its time is over"
    desk.late_s = 0.0
    await desk.ask(f"drafts/{draft}/approve", None, {}, status=422)
    await desk.ask(f"drafts/{draft}/approve", "ada", {"agent": "ben"}, status=403)
    await desk.ask(f"drafts/{draft}/approve", None, {"agent": "crm:7"})
    assert "[address 1]" in (await desk.ask(f"drafts/{draft}", "ada"))["words"], "it is decided"
    assert "12 main street" in (await desk.ask(f"drafts/{draft}", "cleo"))["words"]
    assert "address" not in await desk.looked("ben")
    assert (await desk.row(draft))["decided_by"] == "crm:7"


async def test_an_act_is_approved_read_back_agreed_to_and_done_once(
    shop_database: Database, keys: KeyRing
) -> None:
    """The person's yes is not the caller's; it is never reworded."""
    talk, draft = await waiting_for_a_person(shop_database, keys)
    desk = Desk(talk)
    await desk.ask(f"drafts/{draft}/edit", "ada", {"text": "I send it to the moon."}, status=422)
    one = await desk.ask(f"drafts/{draft}/approve", "ada", {})
    assert one["kind"] == "act"
    (said,) = await desk.woke()
    assert "12 main street" in said
    assert await done(talk) == []
    assert "goes to 12 main street" in await talk.turn("yes")
    assert len(await done(talk)) == 1
    assert await desk.woke() == []
    assert await statuses(talk) == ["done"]


async def test_a_refused_act_is_not_done_and_the_caller_hears_it_from_a_person(
    shop_database: Database, keys: KeyRing
) -> None:
    talk, draft = await waiting_for_a_person(shop_database, keys)
    desk = Desk(talk)
    await desk.ask(f"drafts/{draft}/reject", "cleo", {})
    await desk.woke()
    assert (await done(talk), await statuses(talk)) == ([], ["voided"])
    assert await desk.handoffs() == ["draft_rejected"]


@pytest.mark.parametrize("now", [NIGHT, DAY])
async def test_out_of_hours_nobody_is_said_to_look_at_it(
    shop_database: Database, keys: KeyRing, now: datetime
) -> None:
    """A call back is offered at once instead; words and acts alike."""
    closed = now is NIGHT
    desk = await desk_with(shop_database, keys, QUESTION, staff=presence(), now=lambda: now)
    assert ("asking a colleague" in desk.talk.said[-1]) is not closed
    assert ("back tomorrow" in desk.talk.said[-1]) is closed
    assert len(await desk.held()) == (0 if closed else 1)
    assert ANSWER not in desk.talk.said[-1]
    talk = await Talk.begin(shop_database, keys, staff=presence(), now=lambda: now)
    await change(shop_database, "UPDATE shop.orders SET total_cents = 30000 WHERE number = %s", NUMBER)
    await verified(talk, PACKED, "i want to change the delivery address")
    for line in ("twelve main street", "springfield", "nine seven four seven seven"):
        await talk.turn(line)
    assert ("back tomorrow" in talk.said[-1]) is closed
    assert await statuses(talk) == ([] if closed else ["waiting"])


async def test_decided_at_the_last_moment_the_timer_says_what_was_decided(desk: Desk) -> None:
    """The row is the last word, not the clock; a caller who speaks up then is not given away either."""
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/approve", "ada", {})
    assert ANSWER in await desk.talk.turn(Timer(about=draft))
    assert await desk.handoffs() == []
    assert await desk.woke() == []


async def test_decided_between_a_timers_plan_and_its_commit_the_decision_stands(desk: Desk) -> None:
    (draft,) = await desk.held()
    late = await desk.talk.plan(Timer(about=draft))
    await desk.ask(f"drafts/{draft}/approve", "ada", {})
    with pytest.raises(StalePlan):
        await desk.talk.commit(late)
    assert ANSWER in await desk.talk.turn(Timer(about=draft))
    assert (await desk.row(draft))["status"] == "approve"


async def test_two_that_wait_are_told_apart_in_whatever_order(shop_database: Database, keys: KeyRing) -> None:
    desk = await desk_with(shop_database, keys, QUESTION, "when are you open on sunday")
    first, second = await desk.held()
    await desk.ask(f"drafts/{second}/approve", "ada", {})
    (said,) = await desk.woke()
    assert said.startswith("About your question on our opening hours:")
    assert await desk.held() == [first]
    await desk.ask(f"drafts/{first}/edit", "ben", {"text": EDITED})
    (said,) = await desk.woke()
    assert said.startswith("About your earlier question:")
    assert EDITED in said


async def test_what_was_talked_over_opens_the_next_answer(desk: Desk) -> None:
    """They have waited for it."""
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/edit", "ada", {"text": EDITED})
    with desk.talk.orchestrator.inbox.open(desk.talk.id) as box:
        await desk.waking.look()
        await desk.talk.turn(box.get_nowait(), heard=4)
    assert EDITED in await desk.talk.turn("do you sell lamps")
    assert EDITED not in await desk.talk.turn("thank you")


async def test_the_node_dies_and_the_next_one_says_it(desk: Desk) -> None:
    """Decided while nobody held the call: nothing is lost, and a box that is opened again gets it again."""
    (draft,) = await desk.held()
    await desk.talk.close()
    await desk.ask(f"drafts/{draft}/approve", "ada", {})
    talk = desk.talk
    talk.orchestrator = node(desk.database, desk.keys, deployment=DRAFTED)
    inbox = talk.orchestrator.inbox
    waking = Waking(desk.database, desk.keys, inbox, no_chat)
    with inbox.open(talk.id) as box:
        await waking.look()
        await waking.look()
        assert box.qsize() == 1, "once to a box"
    with inbox.open(talk.id) as box:  # the socket was lost, the call is connected again
        await waking.look()
        assert ANSWER in await talk.turn(box.get_nowait())
        await waking.look()
        assert box.empty()
    assert (await talk.turn(Silence(nth=1))).count(ANSWER) == 0


async def test_a_decision_wakes_the_process_that_has_the_call_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in one process, heard of in another by NOTIFY: not only when that one looks by itself."""
    monkeypatch.setattr("voicebot.runtime.waking.EVERY_S", 3600.0)
    url = desk.database.url
    here = Sharing(desk.database, desk.keys, Bus(), PostgresCarrier(url))
    there = Sharing(desk.database, desk.keys, Bus(), PostgresCarrier(url))
    there.on_wake(desk.waking.wake)
    tasks = [asyncio.create_task(work) for work in (here.run(), there.run())]
    try:
        (draft,) = await desk.held()
        with desk.talk.orchestrator.inbox.open(desk.talk.id) as box:
            tasks.append(asyncio.create_task(desk.waking.run()))
            await desk.ask(f"drafts/{draft}/approve", "ada", {})
            async with asyncio.timeout(30):
                while box.empty():
                    here.wake(desk.talk.id)
                    await asyncio.sleep(0.02)  # until both have connected
            assert ANSWER in await desk.talk.turn(box.get_nowait())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_chat_that_no_process_holds_gets_its_answer_with_the_next_reply(
    shop_database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two nodes that look at once one makes the turn."""
    monkeypatch.setattr("voicebot.runtime.waking.ELSEWHERE_S", 0.0)
    first = orchestrator_on(shop_database, keys, deployment=DRAFTED)
    chat = ChatService(first, shop_database, keys, DRAFTED.phrases)
    asked = await chat.say(None, QUESTION)
    await chat.close()
    await first.close()
    desk = await desk_with(shop_database, keys)
    (row,) = await desk.ask("drafts?status=waiting", "ada")
    await desk.ask(f"drafts/{row['id']}/edit", "ada", {"text": EDITED})
    other = orchestrator_on(shop_database, keys, deployment=DRAFTED)
    chat = ChatService(other, shop_database, keys, DRAFTED.phrases)
    await asyncio.gather(
        *(Waking(shop_database, keys, other.inbox, chat.late).look() for _ in range(2)),
    )
    reply = await chat.say(asked.conversation_id, "Hello?")
    assert EDITED in reply.replies[0]
    assert " ".join(reply.replies).count(EDITED) == 1
    await chat.close()
    await other.close()
