"""Words that need approval are held back honestly, said as approved, and never without a decision."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
from dialogue_kit import Talk, node, with_policy

from voicebot.core.conversation import Action, AgentDecision, Route, Silence, Timer, TurnInput, Utterance
from voicebot.core.store import drafts
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.orchestrator import StalePlan

DEPLOYMENT = with_policy(gift_card={"route": Route.DRAFT})
QUESTION = "do you have gift cards"
ANSWER = "ten to five hundred dollars"


@pytest_asyncio.fixture
async def talk(shop_database: Database, keys: KeyRing) -> Talk:
    """An answer waits for approval."""
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT)
    await talk.turn(QUESTION)
    return talk


async def held(talk: Talk) -> str:
    (waiting,) = (await talk.state()).held
    return waiting.draft


async def stored(talk: Talk, draft: str) -> dict:
    async with talk.database.transaction() as tx:
        return await drafts.get(tx, talk.keys, draft)


def decision(draft: str, verdict: str, text: str | None = None) -> AgentDecision:
    return AgentDecision.model_validate({"draft": draft, "verdict": verdict, "agent": "ag_1", "text": text})


async def test_the_caller_is_told_and_the_words_are_stored_for_a_person(talk: Talk) -> None:
    """Decision, words and due time; the holding line promises no more than a minute; nothing is answered."""
    assert "asking a colleague to check my answer" in talk.said[-1]
    assert ANSWER not in " ".join(talk.said)
    assert talk.last is not None
    assert (talk.last.decision.action, talk.last.decision.route) == (Action.DRAFT, Route.DRAFT)
    draft = await stored(talk, await held(talk))
    assert (draft["status"], draft["intent"]) == ("waiting", "gift_card")
    assert ANSWER in draft["words"]["words"]
    assert draft["words"]["question"] == QUESTION
    assert "draft.requested" in await talk.events()
    assert "draft.requested" in await talk.audited()


async def test_approved_words_are_said_as_they_were(talk: Talk) -> None:
    """With thanks, and the decision on record with whose it was."""
    draft = await held(talk)
    words = await talk.turn(decision(draft, "approve"))
    assert words.startswith("Thanks for waiting.")
    assert ANSWER in words
    found = await stored(talk, draft)
    assert (found["status"], found["decided_by"]) == ("approve", "ag_1")
    assert (await talk.state()).held == ()
    assert "draft.decided" in await talk.audited()


async def test_edited_words_are_said_instead(talk: Talk) -> None:
    """The person's, not the bot's."""
    words = await talk.turn(decision(await held(talk), "edit", "Gift cards are sold out until Monday."))
    assert "sold out until Monday" in words
    assert ANSWER not in " ".join(talk.said)


async def test_rejected_words_end_with_a_person(talk: Talk) -> None:
    """Who would not have it said says it himself."""
    await talk.turn(decision(await held(talk), "reject"))
    assert talk.last is not None
    assert (talk.last.decision.trigger, talk.last.after) == ("draft_rejected", "hand_over")
    assert ANSWER not in " ".join(talk.said)


async def test_nobody_decides_in_time_and_a_person_takes_over(talk: Talk) -> None:
    """The draft expires; an approval that comes after that changes nothing."""
    draft = await held(talk)
    await talk.turn(Timer(about=draft))
    assert talk.last is not None
    assert talk.last.decision.trigger == "draft_overdue"
    assert (await stored(talk, draft))["status"] == "expired"
    late = await talk.commit(await talk.plan(decision(draft, "approve")))
    assert late.silent
    assert (await stored(talk, draft))["status"] == "expired"


@pytest.mark.parametrize("given", [Utterance(text="when are you open on sunday"), Silence(nth=1)])
async def test_any_node_knows_that_nobody_decided_in_time(
    shop_database: Database, keys: KeyRing, given: TurnInput
) -> None:
    """The process that had the timer is gone: whatever the caller does next ends with a person."""
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT, now=lambda: now)
    await talk.turn(QUESTION)
    draft = await held(talk)
    await talk.close()
    now += timedelta(seconds=59)
    talk.orchestrator = node(shop_database, keys, deployment=DEPLOYMENT, now=lambda: now)
    assert (await talk.plan(given)).decision.trigger is None, "still in time"
    now += timedelta(seconds=1)
    await talk.turn(given)
    assert talk.last is not None
    assert (talk.last.decision.trigger, talk.last.after) == ("draft_overdue", "hand_over")
    assert (await stored(talk, draft))["status"] == "expired"
    assert (await talk.state()).held == ()


async def test_who_needs_a_person_for_worse_is_not_told_of_a_draft(
    shop_database: Database, keys: KeyRing
) -> None:
    """Distress is answered as distress, though words are overdue."""
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    talk = await Talk.begin(shop_database, keys, deployment=DEPLOYMENT, now=lambda: now)
    await talk.turn(QUESTION)
    now += timedelta(minutes=5)
    await talk.turn("somebody is hurt and bleeding please help")
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    assert talk.last.decision.trigger != "draft_overdue"


async def test_a_timer_of_a_draft_that_was_decided_is_not_heard(talk: Talk) -> None:
    """Decided in time: its timer says nothing."""
    draft = await held(talk)
    await talk.turn(decision(draft, "approve"))
    assert (await talk.commit(await talk.plan(Timer(about=draft)))).silent


async def test_two_decisions_at_once_are_one(talk: Talk) -> None:
    """Two agents, one draft: the second is stale."""
    draft = await held(talk)
    plans = [await talk.plan(decision(draft, "approve")), await talk.plan(decision(draft, "reject"))]
    results = await asyncio.gather(
        *(talk.orchestrator.commit(plan) for plan in plans), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Committed", "StalePlan"]


async def test_a_decision_taken_elsewhere_makes_the_plan_stale(talk: Talk) -> None:
    """The draft's row is the last word, whoever wrote it."""
    draft = await held(talk)
    plan = await talk.plan(decision(draft, "approve"))
    async with talk.database.transaction() as tx:
        await drafts.decide(tx, draft, verdict="expired", by="sweeper")
    with pytest.raises(StalePlan):
        await talk.commit(plan)


async def test_a_silent_caller_is_told_that_it_is_being_looked_at(talk: Talk) -> None:
    """Nobody is asked whether he is still there while he waits for us."""
    said = [await talk.turn(Silence(nth=nth)) for nth in (1, 2, 3)]
    assert all("my colleague" in one.lower() for one in said)
    assert all(before != after for before, after in pairwise(said))
    assert talk.last is not None
    assert talk.last.after == "continue"


async def test_another_question_in_between_is_answered_and_the_words_come_with_what_they_are_about(
    talk: Talk,
) -> None:
    """The wait does not stop the conversation."""
    draft = await held(talk)
    assert "eleven to six" in await talk.turn("when are you open on sunday")
    assert (await talk.turn(decision(draft, "approve"))).startswith("About your earlier question:")


@pytest.mark.parametrize(("verdict", "text"), [("edit", None), ("edit", "  "), ("approve", "words")])
def test_a_decision_that_contradicts_itself_is_refused(verdict: str, text: str | None) -> None:
    """Words come with an edit, and only with one."""
    with pytest.raises(ValueError, match="edit"):
        decision("dr_" + "0" * 32, verdict, text)


async def test_what_a_tool_says_waits_too(shop_database: Database, keys: KeyRing) -> None:
    """Where policy has the words approved, those about the caller's own order are no exception."""
    deployment = with_policy(order_status={"route": Route.DRAFT})
    talk = await Talk.begin(shop_database, keys, deployment=deployment)
    await talk.turn("where is my order")
    await talk.turn("four two seven one zero three")
    await talk.turn("nine four one zero seven")
    assert talk.last is not None
    assert talk.last.decision.action is Action.DRAFT
    assert "on its way" not in " ".join(talk.said)
    assert [read.tool for read in talk.last.decision.tools] == ["order_status"]
    assert "on its way" in (await stored(talk, await held(talk)))["words"]["words"]
