"""Planned early, kept only for the same words, counted either way, and never true before its commit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from dialogue_kit import Talk
from prometheus_client import REGISTRY

from voicebot.core.conversation import Keys, Silence, Utterance
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.orchestrator import StalePlan
from voicebot.dialogue.speculation import ALIVE, Verdict

HOURS = "when are you open on sunday"
ORDER, CODE = "four two seven one zero three", "nine four one oh seven"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@pytest_asyncio.fixture
async def talk(database: Database, keys: KeyRing) -> Talk:
    return await Talk.begin(database, keys)


def so_far(text: str, **more: Any) -> Utterance:
    return Utterance(text=text, **more)


def counted(fate: str) -> float:
    return REGISTRY.get_sample_value("voicebot_eager_plans_total", {"fate": fate}) or 0.0


async def test_the_plan_is_there_when_the_words_agree(talk: Talk) -> None:
    """The final form is stored, not the one it was planned from; the answer is the same."""
    before = counted("kept")
    assert await talk.orchestrator.offer(talk.id, so_far(HOURS)) is Verdict.START
    final = so_far("When are you open on Sunday?", confidence=0.9)
    plan = await talk.orchestrator.settle(talk.id, final)
    assert counted("kept") == before + 1
    committed = await talk.commit(plan)
    assert "eleven to six" in await talk.words(committed)
    assert (await talk.turns())[-1]["input"] == final.model_dump(mode="json")
    assert (await talk.state()).open_turns[-1].caller == "When are you open on Sunday?"


async def test_other_words_are_planned_anew_and_counted_as_waste(talk: Talk) -> None:
    """One more word can turn it round."""
    before = counted("other_words")
    await talk.orchestrator.offer(talk.id, so_far("when are you open"))
    plan = await talk.orchestrator.settle(talk.id, so_far("how much is delivery"))
    assert plan.decision.intent == "shipping_cost"
    assert counted("other_words") == before + 1


async def test_digits_that_differ_are_other_words(talk: Talk) -> None:
    """Every number is one token, so the tokens agree and the slots do not."""
    await talk.turn("where is my order")
    await talk.orchestrator.offer(talk.id, so_far(ORDER))
    plan = await talk.orchestrator.settle(talk.id, so_far("four two seven one zero four"))
    assert "one zero four" in (plan.said or "")


async def test_the_caller_goes_on_speaking_and_the_plan_is_dropped(talk: Talk) -> None:
    """Counted as waste; nothing is left running."""
    tasks, before = asyncio.all_tasks(), counted("resumed")
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    await talk.orchestrator.withdraw(talk.id)
    assert counted("resumed") == before + 1
    assert asyncio.all_tasks() == tasks


async def test_the_same_words_offered_twice_are_planned_once(talk: Talk) -> None:
    """Partials repeat themselves; new ones replace the plan at hand."""
    assert await talk.orchestrator.offer(talk.id, so_far(HOURS)) is Verdict.START
    assert await talk.orchestrator.offer(talk.id, so_far(HOURS)) is Verdict.SAME
    assert await talk.orchestrator.offer(talk.id, so_far("how much is delivery")) is Verdict.REPLACE
    await talk.orchestrator.withdraw(talk.id)


async def test_an_early_plan_checks_nobodys_identity(talk: Talk) -> None:
    """The gate counts tries, so it waits for the final words: one look-up, by the plan for those."""
    await talk.turn(f"where is my order {ORDER}")
    before = counted("refused")
    await talk.orchestrator.offer(talk.id, so_far(CODE), likely=True)
    plan = await talk.orchestrator.settle(talk.id, so_far(CODE))
    assert counted("refused") == before + 1
    assert "side table" in (plan.said or "")
    assert (await talk.accesses()).count(("identity", True)) == 1
    await talk.orchestrator.discard(plan)


async def test_an_early_plan_of_a_conversation_that_moved_on_is_dropped(talk: Talk) -> None:
    """What was heard of the turn before changes the state: the early plan would be stale."""
    committed = await talk.commit(await talk.plan(HOURS))
    words = await talk.words(committed)
    before = counted("stale")
    await talk.orchestrator.offer(talk.id, so_far("how much is delivery"))
    await talk.hear(committed.turn, words)
    assert counted("stale") == before + 1
    await talk.commit(await talk.orchestrator.settle(talk.id, so_far("how much is delivery")))


async def test_an_early_plan_that_another_node_made_stale_is_refused(
    talk: Talk, database: Database, keys: KeyRing
) -> None:
    """Compare-and-swap holds for early plans like for any other."""
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    plan = await talk.orchestrator.settle(talk.id, so_far(HOURS))
    other = await Talk.begin(database, keys, greeted=False)
    other.id = talk.id
    await other.turn("how much is delivery")
    with pytest.raises(StalePlan):
        await talk.commit(plan)


async def test_an_early_plan_changes_nothing(talk: Talk) -> None:
    """State and turns are what they were until the commit."""
    snapshot, turns = await talk.snapshot(), await talk.turns()
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    plan = await talk.orchestrator.settle(talk.id, so_far(HOURS))
    assert (await talk.snapshot(), await talk.turns()) == (snapshot, turns)
    await talk.orchestrator.discard(plan)


async def test_a_busy_node_plans_nothing_early(database: Database, keys: KeyRing) -> None:
    """Off under load; the final words are planned all the same."""
    talk = await Talk.begin(database, keys, busy=lambda: True)
    assert await talk.orchestrator.offer(talk.id, so_far(HOURS)) is Verdict.BUSY
    assert (await talk.orchestrator.settle(talk.id, so_far(HOURS))).said


async def test_no_more_early_plans_than_a_node_can_spare(talk: Talk, keys: KeyRing) -> None:
    """The one too many waits for its final words; when one is gone there is room again."""
    talks = [talk.id, *[f"cv_{n:032x}" for n in range(ALIVE)]]
    verdicts = [await talk.orchestrator.offer(one, so_far(HOURS)) for one in talks]
    assert verdicts == [Verdict.START] * ALIVE + [Verdict.FULL]
    await talk.orchestrator.withdraw(talks[1])
    assert await talk.orchestrator.offer(talks[-1], so_far(HOURS)) is Verdict.START
    await talk.close()
    assert REGISTRY.get_sample_value("voicebot_eager_plans_alive") == 0


async def test_only_what_a_caller_says_is_planned_early(talk: Talk) -> None:
    """A silence is no beginning of a sentence."""
    assert await talk.orchestrator.offer(talk.id, Silence(nth=1)) is Verdict.UNFIT


async def test_its_first_clause_is_known_before_the_turn_ends_and_said_once(talk: Talk) -> None:
    """Whoever makes its sound early takes nothing away from the words of the turn."""
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    planned: list[bool] = []
    clause = await talk.orchestrator.first_clause(talk.id, lambda plan: planned.append(plan.understood))
    assert clause is not None
    assert planned == [True]
    plan = await talk.orchestrator.settle(talk.id, so_far(HOURS))
    assert plan.early
    words = await talk.words(await talk.commit(plan))
    assert words.startswith(clause.text)
    assert words.count(clause.text) == 1


async def test_a_plan_that_is_gone_has_no_first_clause(talk: Talk) -> None:
    """Nothing offered, taken back, or settled meanwhile: nothing to make the sound of."""
    assert await talk.orchestrator.first_clause(talk.id) is None
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    waiting = asyncio.ensure_future(talk.orchestrator.first_clause(talk.id))
    await asyncio.sleep(0)
    await talk.orchestrator.withdraw(talk.id)
    assert await waiting is None


async def test_what_was_heard_of_the_turn_before_makes_an_early_plan_stale_and_it_is_planned_anew(
    talk: Talk,
) -> None:
    """Only half of the answer was heard: what the next turn owes is known to the new plan alone."""
    committed = await talk.commit(await talk.plan(HOURS))
    words = await talk.words(committed)
    await talk.orchestrator.offer(talk.id, so_far("how much is delivery"))
    assert await talk.orchestrator.first_clause(talk.id) is not None
    await talk.hear(committed.turn, words, heard=2)
    assert await talk.orchestrator.first_clause(talk.id) is None
    plan = await talk.orchestrator.settle(talk.id, so_far("how much is delivery"))
    assert not plan.early
    assert plan.snapshot.version == (await talk.snapshot()).version
    await talk.commit(plan)


async def test_keys_pressed_meanwhile_are_another_turn(talk: Talk) -> None:
    before = counted("other_words")
    await talk.orchestrator.offer(talk.id, so_far(HOURS))
    plan = await talk.orchestrator.settle(talk.id, Keys(digits="0"))
    assert counted("other_words") == before + 1
    assert not plan.early
    await talk.orchestrator.discard(plan)
