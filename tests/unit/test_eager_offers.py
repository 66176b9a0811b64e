"""Words offered while older ones are being dropped: one plan stays, the newest, and none is left running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from voicebot.core.conversation import TurnInput, Utterance
from voicebot.dialogue.eager import EagerPlans
from voicebot.dialogue.plan import Plan
from voicebot.dialogue.speculation import Verdict


@dataclass
class Silent:
    """A plan of no words."""

    stream: None = None


async def test_two_offers_at_once_leave_one_plan() -> None:
    made: list[str] = []
    under_way = 0

    async def make(conversation_id: str, given: TurnInput, likely: bool) -> Plan:
        nonlocal under_way
        assert isinstance(given, Utterance)
        made.append(given.text)
        under_way += 1
        try:
            await asyncio.Event().wait()
        finally:
            under_way -= 1
        raise AssertionError

    async def drop(plan: Plan) -> None:
        raise AssertionError

    eager = EagerPlans(make, drop, lambda given: ())

    async def offer(text: str) -> None:
        await eager.offer("cv", Utterance(text=text), likely=False)

    await offer("when do")
    await asyncio.sleep(0)
    await asyncio.gather(offer("when do you"), offer("when do you open"))
    await asyncio.sleep(0)
    assert (made, under_way, eager.alive) == (["when do", "when do you open"], 1, 1)
    await eager.close()
    assert (under_way, eager.alive) == (0, 0)


async def test_a_node_with_little_time_plans_only_what_probably_ends_the_turn() -> None:
    """A pause in the middle is left alone; where the end is likely, the same words are planned after all."""
    made: list[tuple[str, bool]] = []

    async def make(conversation_id: str, given: TurnInput, likely: bool) -> Any:
        assert isinstance(given, Utterance)
        made.append((given.text, likely))
        return Silent()

    async def drop(plan: Any) -> None:
        pass

    little = True
    eager = EagerPlans(make, cast("Any", drop), lambda given: (), sparing=lambda: little)
    words = Utterance(text="when do you open")
    assert await eager.offer("cv", words, likely=False) is Verdict.BUSY
    assert await eager.offer("cv", words, likely=True) is Verdict.START
    await asyncio.sleep(0)
    assert made == [("when do you open", True)]
    little = False
    assert await eager.offer("other", words, likely=False) is Verdict.START
    await asyncio.sleep(0)
    assert made == [("when do you open", True), ("when do you open", False)]
    await eager.close()


async def test_who_is_cancelled_while_dropping_a_plan_leaves_none() -> None:
    """A turn that took too long is cancelled in the middle of it; the plan is thrown away all the same."""
    may_end, dropped = asyncio.Event(), 0

    async def make(conversation_id: str, given: TurnInput, likely: bool) -> Any:
        return Silent()

    async def drop(plan: Any) -> None:
        nonlocal dropped
        await may_end.wait()
        dropped += 1

    eager = EagerPlans(make, cast("Any", drop), lambda given: ())
    await eager.offer("cv", Utterance(text="when do"), likely=False)
    settling = asyncio.ensure_future(eager.settle("cv", Utterance(text="something else")))
    for _ in range(10):
        await asyncio.sleep(0)
    settling.cancel()
    await asyncio.wait({settling})
    assert settling.cancelled()
    may_end.set()
    await eager.close()
    assert (dropped, eager.alive) == (1, 0)
