"""A slow tool holds nobody up: the caller hears that it is looked up; the result is an input of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from dialogue_kit import DEPLOYMENT, Talk, node
from prometheus_client import REGISTRY

from voicebot.core.conversation import Action, LateResult, ToolRead, TurnInput, Utterance
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.actions.tool import Cost, Outcome
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment

ORDER, CODE = "four two seven one zero three", "nine four one oh seven"
LOOKED_UP = "Let me look that up"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@dataclass
class Slow:
    """The shop's order look-up, waiting for a sign. ``fails``: it comes to nothing."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False
    calls: int = 0
    cancelled: int = 0

    def deployment(self, *, cost: Cost = Cost.PURE) -> Deployment:
        real = DEPLOYMENT.tools.get("order_status")

        async def order_status(*parts: Any) -> Outcome:
            self.calls += 1
            try:
                await self.may_answer.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if self.fails:
                raise ConnectorError("the shop is closed")
            return await real.function(*parts)

        slow = replace(real, function=order_status, cost=cost, timeout_s=30.0)
        return replace(DEPLOYMENT, tools=ToolRegistry([slow]))


@pytest.fixture
def slow() -> Slow:
    return Slow()


async def waiting(database: Database, keys: KeyRing, slow: Slow) -> tuple[Talk, str]:
    """A verified caller whose order is being looked up."""
    talk = await Talk.begin(database, keys, deployment=slow.deployment(), patience_s=0.01)
    await talk.turn(f"where is my order {ORDER}")
    return talk, await talk.turn(CODE)


async def late(talk: Talk, slow: Slow) -> TurnInput:
    """What comes into the conversation's box once the tool answers."""
    with talk.orchestrator.inbox.open(talk.id) as box:
        slow.may_answer.set()
        async with asyncio.timeout(30):
            return await box.get()


async def test_a_slow_tool_gives_a_pending_turn_and_then_a_turn_of_its_own(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """The filler is committed; the result is planned as it comes, spoken, and stands on its own turn."""
    talk, words = await waiting(database, keys, slow)
    assert words == f"{LOOKED_UP} for you."
    assert talk.last is not None
    assert talk.last.decision.policy_row.endswith("/pending")
    assert talk.last.decision.tools[0].result is None
    given = await late(talk, slow)
    assert isinstance(given, LateResult)
    assert "on its way" in await talk.turn(given)
    assert talk.last.decision.tools[0].result is not None
    assert (await talk.state()).pending == ()
    assert slow.calls == 1
    assert all(not discarded for _, discarded in await talk.accesses())


async def test_a_result_for_a_caller_who_moved_on_is_recorded_and_not_spoken(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """He asked something else meanwhile; thanking or saying nothing is not moving on."""
    talk, _ = await waiting(database, keys, slow)
    await talk.turn("when are you open on sunday")
    given = await late(talk, slow)
    plan = await talk.plan(given)
    committed = await talk.commit(plan)
    assert (committed.silent, committed.decision.policy_row) == (True, "late/moved_on")
    assert await talk.words(committed) == ""
    turn = (await talk.turns())[-1]
    assert turn["decision"]["tools"][0]["result"]["outcome"] == "shipped"
    assert "on its way" not in " ".join(talk.said)


async def test_thanks_is_not_moving_on(database: Database, keys: KeyRing, slow: Slow) -> None:
    """The near miss."""
    talk, _ = await waiting(database, keys, slow)
    await talk.turn("thanks")
    assert "on its way" in await talk.turn(await late(talk, slow))


async def test_a_result_that_was_talked_over_is_said_next(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """He has waited for it: cut off, it opens the next answer."""
    talk, _ = await waiting(database, keys, slow)
    await talk.turn(await late(talk, slow), heard=1)
    assert "on its way" in await talk.turn("hello")


async def test_a_slow_tool_that_fails_ends_with_a_person(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """Nobody is left waiting for what does not come."""
    slow.fails = True
    talk, _ = await waiting(database, keys, slow)
    assert "can't reach our order system" in await talk.turn(await late(talk, slow))
    assert talk.last is not None
    assert talk.last.decision.trigger == "tool_error"


async def test_a_result_nobody_waits_for_is_recorded(database: Database, keys: KeyRing) -> None:
    """Twice, or of another life of the conversation."""
    talk = await Talk.begin(database, keys)
    stray = LateResult(task="task_0", tool="order_status", arguments={}, result={"outcome": "shipped"})
    committed = await talk.commit(await talk.plan(stray))
    assert (committed.silent, committed.decision.action) == (True, Action.ABSTAIN)


async def test_a_plan_that_is_thrown_away_takes_its_slow_reads_with_it(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """Nothing goes on reading for a plan that is no more."""
    talk = await Talk.begin(database, keys, deployment=slow.deployment(), patience_s=0.01)
    await talk.turn(f"where is my order {ORDER}")
    await talk.orchestrator.discard(await talk.plan(CODE))
    assert slow.cancelled == 1


async def test_a_tool_whose_reading_counts_runs_with_the_commit_once(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """Planned twice, thrown away once: called once, at the commit, and told from what it said."""
    slow.may_answer.set()
    talk = await Talk.begin(database, keys, deployment=slow.deployment(cost=Cost.STATEFUL))
    await talk.turn(f"where is my order {ORDER}")
    await talk.orchestrator.discard(await talk.plan(CODE))
    plan = await talk.plan(CODE)
    assert (slow.calls, plan.said) == (0, None)
    committed = await talk.commit(plan)
    assert "on its way" in await talk.words(committed)
    again = await talk.commit(plan)
    assert "on its way" in await talk.words(again)
    assert slow.calls == 1


class Losing:
    """A database whose answer to one commit is lost: all of it is undone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lose: Callable[[], bool] = lambda: False
        self.open = 0
        self.deepest = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        with self._counted():
            async with self._database.transaction() as tx:
                yield tx
                if self.lose():
                    raise DatabaseDown("the lights went out")

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Transaction]:
        with self._counted():
            async with self._database.reading() as tx:
                yield tx

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.open += 1
        self.deepest = max(self.deepest, self.open)
        try:
            yield
        finally:
            self.open -= 1


async def test_a_tool_whose_reading_counts_runs_once_though_the_commit_has_to_be_tried_again(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """What it counted is not undone with our transaction; and it needs no second connection inside of it."""
    slow.may_answer.set()
    losing = Losing(database)
    deployment = slow.deployment(cost=Cost.STATEFUL)
    talk = await Talk.begin(database, keys, deployment=deployment)
    talk.orchestrator = node(
        losing, keys, deployment=deployment, connector=PostgresConnector(losing, deployment.queries)
    )
    await talk.turn(f"where is my order {ORDER}")
    plan = await talk.plan(CODE)
    losing.deepest = 0
    losing.lose = lambda: slow.calls == 1
    with pytest.raises(DatabaseDown):
        await talk.commit(plan)
    losing.lose = lambda: False
    assert "on its way" in await talk.words(await talk.commit(plan))
    assert slow.calls == 1
    assert losing.deepest == 1
    assert [discarded for resource, discarded in await talk.accesses() if resource == "shop.orders"] == [
        False
    ]


async def test_a_tool_that_breaks_at_the_commit_breaks_nothing_else(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """A statement that fails on the commit's own connection: told honestly, and the turn stands."""
    slow.may_answer.set()
    deployment = slow.deployment(cost=Cost.STATEFUL)
    talk = await Talk.begin(database, keys, deployment=deployment)
    await talk.turn(f"where is my order {ORDER}")
    plan = await talk.plan(CODE)
    async with database.transaction() as tx:
        await tx.execute("ALTER TABLE shop.shipments RENAME TO elsewhere")
    words = await talk.words(await talk.commit(plan))
    assert "on its way" not in words
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    assert (await talk.turns())[-1]["turn"] == talk.last.turn


async def test_two_slow_reads_of_one_tool_are_two_tasks(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """Each result comes under the name of its own call."""
    talk = await Talk.begin(database, keys, deployment=slow.deployment(), patience_s=0.01)
    await talk.turn(f"where is my order {ORDER}")
    plan = await talk.plan(CODE)
    (first,) = plan.reads.slow
    other = replace(first, task="task_other", arguments={"order_number": "518264"})
    plan.reads.slow.insert(0, other)
    read = ToolRead(tool=first.tool, arguments=first.arguments)
    assert plan.reads.task_of(read) == first.task
    await talk.orchestrator.discard(plan)


async def test_a_metered_tool_waits_until_the_end_is_likely(
    database: Database, keys: KeyRing, slow: Slow
) -> None:
    """A verified caller asks for another order: planned early only when it may cost something."""
    slow.may_answer.set()
    talk = await Talk.begin(database, keys, deployment=slow.deployment(cost=Cost.METERED))
    await talk.turn(f"where is my order {ORDER}")
    await talk.turn(CODE)
    more = Utterance(text="where is my order five one eight two six four")
    for likely, fate in ((False, "refused"), (True, "kept")):
        calls, before = slow.calls, counted(fate)
        await talk.orchestrator.offer(talk.id, more, likely=likely)
        plan = await talk.orchestrator.settle(talk.id, more)
        assert slow.calls == calls + 1
        assert counted(fate) == before + 1
        await talk.orchestrator.discard(plan)


def counted(fate: str) -> float:
    return REGISTRY.get_sample_value("voicebot_eager_plans_total", {"fate": fate}) or 0.0
