"""The first clause can be had before anybody says it: taken once, and paid for only when it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, cast

from generation_kit import PATIENT, shop_phrases
from prometheus_client import REGISTRY

from voicebot.core.conversation import Route, Source, TurnInput, Utterance
from voicebot.dialogue.eager import EagerPlans
from voicebot.dialogue.flow.reads import NotNow
from voicebot.dialogue.flow.speech import Said, Written
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import GenerationRequest, Meter
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.speculation import Fate, Verdict

BODY = "You can return almost anything within thirty days of delivery."
REQUEST = GenerationRequest(
    conversation_id="cv_1",
    turn=3,
    intent="return_policy",
    route=Route.SMALL,
    question="how long can i return it",
    passages=(
        Passage(
            source=Source(article="returns", title="Returning an item", version="1", score=1.0),
            heading="",
            body=BODY,
            grounding=1.0,
            tagged=True,
        ),
    ),
)
WORDS = Utterance(text="how long can i return it")


@dataclass
class Model:
    """A language model: two sentences, the second only when it is let; counts how often it was asked."""

    name = version = "model"
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    open: int = 0

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncGenerator[str]:
        self.asked += 1
        self.open += 1
        if meter is not None:
            meter.prompt_chars = 400
        try:
            yield "You can return almost anything within thirty days. "
            await self.may_go_on.wait()
            yield "You can return almost anything after delivery."
        finally:
            self.open -= 1

    async def close(self) -> None:
        """Nothing is open."""


def utterance(model: Model, *before: Said) -> UtteranceStream:
    writers = Writers(GroundedResponder(), model, deadlines=PATIENT)
    return UtteranceStream("cv_1", (*before, Written(REQUEST)), shop_phrases(), writers)


async def said(stream: UtteranceStream) -> list[str]:
    async with asyncio.timeout(30):
        return [clause.text async for clause in stream.clauses()]


async def first(stream: UtteranceStream, *, paid: bool) -> str | None:
    async with asyncio.timeout(30):
        clause = await stream.first(paid=paid)
    return clause.text if clause else None


async def test_the_first_clause_stays_in_the_stream() -> None:
    """Asked for twice, written once, said once, before the rest."""
    model = Model()
    stream = utterance(model)
    opening = await first(stream, paid=True)
    assert opening == await first(stream, paid=True)
    model.may_go_on.set()
    clauses = await said(stream)
    assert clauses[0] == opening
    assert len(clauses) == 2
    assert (model.asked, model.open) == (1, 0)


async def test_a_model_is_not_asked_before_it_may_cost_something() -> None:
    model = Model()
    stream = utterance(model)
    assert await first(stream, paid=False) is None
    assert model.asked == 0
    assert await first(stream, paid=True) is not None
    await stream.cancel()


async def test_what_stands_already_costs_nothing() -> None:
    """A known sentence before the written one is the first clause; the model waits."""
    model = Model()
    stream = utterance(model, Said("One moment please."))
    assert await first(stream, paid=False) == "One moment please."
    assert model.asked == 0
    model.may_go_on.set()
    assert len(await said(stream)) == 3


async def test_an_article_is_quoted_early_for_nothing() -> None:
    stream = UtteranceStream("cv_1", (Written(REQUEST),), shop_phrases(), GroundedResponder())
    assert "thirty days" in (await first(stream, paid=False) or "")
    await stream.cancel()


async def test_a_stream_that_is_cancelled_lets_go_of_whoever_waits_for_its_first_clause() -> None:
    @dataclass
    class Slow(Model):
        async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncGenerator[str]:
            await asyncio.Event().wait()
            yield ""

    tasks = asyncio.all_tasks()
    stream = utterance(Slow())
    waiting = asyncio.ensure_future(first(stream, paid=True))
    await asyncio.sleep(0)
    await stream.cancel()
    assert await waiting is None
    assert await said(stream) == []
    assert asyncio.all_tasks() == tasks


async def test_words_that_were_paid_for_and_thrown_away_are_counted() -> None:
    """The writing is closed, nothing runs on, and its tokens are waste."""

    def wasted() -> float:
        return REGISTRY.get_sample_value("voicebot_eager_wasted_tokens_total") or 0.0

    @dataclass
    class Plan:
        stream: UtteranceStream

    model = Model()

    async def make(conversation_id: str, given: TurnInput, likely: bool) -> Any:
        return Plan(utterance(model))

    async def drop(plan: Any) -> None:
        await plan.stream.cancel()

    tasks, before = asyncio.all_tasks(), wasted()
    eager = EagerPlans(make, cast("Any", drop), lambda given: ())
    assert await eager.offer("cv_1", WORDS, likely=False) is Verdict.START
    assert await eager.first_clause("cv_1") is None
    assert model.asked == 0, "the end of the turn is not likely yet"
    assert await eager.offer("cv_1", WORDS, likely=True) is Verdict.SAME
    assert await eager.first_clause("cv_1") is not None
    await eager.drop("cv_1", Fate.RESUMED)
    assert (model.asked, model.open) == (1, 0)
    assert wasted() - before > 100, "400 characters of prompt"
    assert asyncio.all_tasks() == tasks


async def test_a_read_that_had_to_wait_is_made_once_the_end_becomes_likely_meanwhile() -> None:
    """Likely while the plan without it is still being made, or after it was refused: once each."""

    class Plan:
        stream = None

        def of(self, given: TurnInput) -> Plan:
            return self

    for meanwhile in (True, False):
        allowed: list[bool] = []
        goes_on = asyncio.Event()

        async def make(
            conversation_id: str, given: TurnInput, likely: bool, made: list[bool] = allowed
        ) -> Any:
            made.append(likely)
            await goes_on.wait()  # noqa: B023  # this round's
            if not likely:
                raise NotNow("orders")
            return Plan()

        async def drop(plan: Any) -> None:
            return None

        eager = EagerPlans(cast("Any", make), drop, lambda given: ())
        await eager.offer("cv_1", WORDS, likely=False)
        await asyncio.sleep(0)
        if meanwhile:
            await eager.offer("cv_1", WORDS, likely=True)
        goes_on.set()
        for _ in range(5):
            await asyncio.sleep(0)
        if not meanwhile:
            await eager.offer("cv_1", WORDS, likely=True)
        assert await eager.settle("cv_1", WORDS) is not None
        assert allowed == [False, True]
        await eager.close()
