"""The strong model fails over to the small one, that to the quoted article; a dead endpoint is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from generation_kit import PATIENT, Words, shop_words
from language_model_server import USAGE_IN, USAGE_OUT, LanguageModelServer, running
from prometheus_client import REGISTRY

from voicebot.core.conversation import Route, Source
from voicebot.core.settings import Settings
from voicebot.dialogue.flow.speech import Written
from voicebot.dialogue.generation.prices import Models, Price
from voicebot.dialogue.generation.report import WritingReport
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writer import make_writers
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.knowledge.passage import Passage

PASSAGE = Passage(
    source=Source(article="returns", title="Returning an item", version="1", score=1.0),
    heading="",
    body="You can return almost anything within thirty days of delivery.",
    grounding=1.0,
    tagged=True,
)
REQUEST = GenerationRequest(
    conversation_id="cv_1",
    turn=3,
    intent="return_policy",
    route=Route.STRONG,
    question="how long can i return it",
    passages=(PASSAGE,),
)
WRITTEN = "You have thirty days."


class Time:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def deployment() -> Words:
    return shop_words()


@pytest.fixture
def server() -> LanguageModelServer:
    return LanguageModelServer(words=["You ", "have ", "thirty ", "days."])


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest_asyncio.fixture
async def writers(server: LanguageModelServer, deployment: Words, clock: Time) -> AsyncIterator[Writers]:
    async with running(server) as url:
        settings = Settings(
            _env_file=None,
            llm="openai:little",
            llm_strong="anthropic:big",
            openai_base_url=f"{url}/v1",
            anthropic_base_url=url,
            anthropic_api_key="sk-test",
        )
        prices = {
            "openai:little": Price(input=1.0, output=10.0),
            "anthropic:big": Price(input=5.0, output=50.0),
        }
        made = make_writers(
            settings,
            deployment.prompts,
            Models(prices=prices),
            deployment.phrases,
            deadlines=PATIENT,
        )
        made.clock = clock
        yield made
        await made.close()


async def written(
    writers: Writers, deployment: Words, request: GenerationRequest = REQUEST
) -> tuple[str, WritingReport]:
    stream = UtteranceStream("cv_1", (Written(request),), deployment.phrases, writers)
    said = " ".join([clause.text async for clause in stream.clauses()])
    assert stream.report is not None
    return said, stream.report


async def test_each_route_has_its_writer(
    writers: Writers, deployment: Words, server: LanguageModelServer
) -> None:
    """Strong is written by the strong model, small by the small one, grounded and everything else by none."""
    for route, writer in (
        (Route.STRONG, "anthropic:big"),
        (Route.SMALL, "openai:little"),
        (Route.DRAFT, "grounded"),
    ):
        request = REQUEST.model_copy(update={"route": route})
        planned = writers.planned(request)
        _, report = await written(writers, deployment, request)
        assert (report.route, report.writer, report.prompt) == (planned.route, planned.writer, planned.prompt)
        assert report.writer.startswith(writer)
    assert len(server.requests) == 2


async def test_strong_then_small_then_the_article(
    writers: Writers, deployment: Words, server: LanguageModelServer
) -> None:
    """Each failure is named, and both models' tokens are paid for."""
    server.faults = {"big": "empty"}
    said, report = await written(writers, deployment)
    assert (said, report.route, report.fell_back) == (WRITTEN, Route.SMALL, ("strong:empty",))
    assert (report.tokens_in, report.tokens_out) == (2 * USAGE_IN, 2 * USAGE_OUT)
    assert report.cost_usd == pytest.approx((USAGE_IN * (1 + 5) + USAGE_OUT * (10 + 50)) / 1e6)
    server.faults = {"big": "empty", "little": "tool"}
    said, report = await written(writers, deployment)
    assert said == PASSAGE.body
    assert report.fell_back == ("strong:empty", "small:tool")
    assert (report.asked_route, report.route) == (Route.STRONG, Route.GROUNDED)


async def test_a_small_answer_never_costs_the_strong_model(
    writers: Writers, deployment: Words, server: LanguageModelServer
) -> None:
    """Falling back only goes down."""
    server.faults = {"little": "error"}
    said, _ = await written(writers, deployment, REQUEST.model_copy(update={"route": Route.SMALL}))
    assert said == PASSAGE.body
    assert {one["body"]["model"] for one in server.requests} == {"little"}


async def test_a_dead_endpoint_is_not_asked_on_each_turn(
    writers: Writers, deployment: Words, server: LanguageModelServer, clock: Time
) -> None:
    """After two failures it is left alone, tried once when the time is up, and used again when it is well."""
    server.faults = {"big": "error"}
    for _ in range(4):
        assert (await written(writers, deployment))[0] == WRITTEN
    asked = [one["body"]["model"] for one in server.requests]
    assert asked.count("big") == 2
    _, report = await written(writers, deployment)
    assert report.fell_back == ("strong:left_alone",)
    assert writers.planned(REQUEST).writer == "openai:little"
    clock.now += 10.1
    server.faults = {}
    assert (await written(writers, deployment))[1].route is Route.STRONG


async def test_a_rate_limit_is_kept_as_long_as_it_asks(
    writers: Writers, deployment: Words, server: LanguageModelServer, clock: Time
) -> None:
    """One refusal with retry-after: 7 is enough."""
    server.faults = {"big": "rate_limit"}
    await written(writers, deployment)
    server.faults = {}
    clock.now += 6.9
    assert (await written(writers, deployment))[1].fell_back == ("strong:left_alone",)
    clock.now += 0.2
    assert (await written(writers, deployment))[1].fell_back == ()


async def test_routes_are_counted(writers: Writers, deployment: Words, server: LanguageModelServer) -> None:
    """Answers by route and outcome, tokens, dollars and fallbacks are there for Prometheus."""

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    names = {
        "voicebot_writings_total": {"asked": "strong", "route": "small", "outcome": "answered"},
        "voicebot_writing_tokens_total": {"route": "small", "direction": "out"},
        "voicebot_writing_cost_dollars_total": {"route": "small"},
        "voicebot_writing_fallbacks_total": {"route": "strong", "failure": "refusal"},
        "voicebot_writing_seconds_count": {"route": "small"},
    }
    before = {name: value(name, **labels) for name, labels in names.items()}
    server.faults = {"big": "refusal"}
    await written(writers, deployment)
    grown = {name: value(name, **labels) - before[name] for name, labels in names.items()}
    assert grown.pop("voicebot_writing_cost_dollars_total") == pytest.approx(
        (USAGE_IN + USAGE_OUT * 10) / 1e6
    )
    assert grown.pop("voicebot_writing_tokens_total") == USAGE_OUT
    assert set(grown.values()) == {1.0}
