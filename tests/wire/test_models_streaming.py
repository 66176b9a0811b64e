"""A language model writes, or it does not: the caller gets a spoken answer in time either way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from language_model_server import LanguageModelServer, running

from voicebot.core.conversation import Route, Source
from voicebot.core.settings import Settings, SettingsError
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.flow.speech import Line, Written
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.models import LanguageModel
from voicebot.dialogue.generation.request import Exchange, GenerationFailed, GenerationRequest
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writer import make_generator
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.knowledge.passage import Passage

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = Deadlines(first_token_s=1.2, between_tokens_s=0.8, whole_s=3.0)
PASSAGE = Passage(
    source=Source(article="returns", title="Returning an item", version="1", score=1.0),
    heading="",
    body="You can return almost anything within thirty days of delivery. It should be unused.",
    grounding=1.0,
    tagged=True,
)
QUOTED = "You can return almost anything within thirty days of delivery."
REQUEST = GenerationRequest(
    conversation_id="cv_1",
    turn=3,
    intent="return_policy",
    route=Route.SMALL,
    question="how long can i return it",
    passages=(PASSAGE,),
    history=(Exchange(caller="when are you open", bot="We are open."),),
)


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return Deployment.load(ROOT)


@pytest.fixture
def server() -> LanguageModelServer:
    return LanguageModelServer()


@pytest_asyncio.fixture(params=["openai", "anthropic"])
async def model(
    request: pytest.FixtureRequest, server: LanguageModelServer, deployment: Deployment
) -> AsyncIterator[LanguageModel]:
    async with running(server) as url:
        settings = Settings(
            _env_file=None,
            llm=f"{request.param}:test-model",
            openai_base_url=f"{url}/v1",
            anthropic_base_url=url,
            openai_api_key="sk-test",
            anthropic_api_key="sk-test",
        )
        made = make_generator(settings, deployment.prompts)
        assert isinstance(made, LanguageModel)
        yield made
        await made.close()


async def spoken(model: LanguageModel, deployment: Deployment) -> list[str]:
    """What the caller would hear: the model's part and the question after it."""
    parts = (Written(REQUEST), Line("ask.more", question=True))
    stream = UtteranceStream(
        "cv_1", parts, deployment.phrases, Writers(GroundedResponder(), model, deadlines=QUICK)
    )
    return [clause.text async for clause in stream.clauses()]


async def test_tokens_come_as_they_are_written(model: LanguageModel, server: LanguageModelServer) -> None:
    """More than one token reaches us before the server has sent its last."""
    tokens = [(token, server.sent) async for token in model.stream(REQUEST)]
    assert "".join(token for token, _ in tokens) == "".join(server.words)
    assert tokens[0][1] < len(server.words)


async def test_the_request_holds_passages_history_and_the_question(
    model: LanguageModel, server: LanguageModelServer
) -> None:
    """The model is told what it may say; nothing that somebody else wrote stands among the instructions."""
    assert [token async for token in model.stream(REQUEST)]
    body = server.requests[0]["body"]
    system = str(body.get("system") or body["messages"][0]["content"])
    material = str(body["messages"][-1]["content"])
    for words in (PASSAGE.body, "when are you open", REQUEST.question):
        assert words in material
        assert words not in system
    assert "at most 2 short sentences" in system
    assert not body.get("tools")
    assert body["stream"] is True


async def test_two_sentences_are_spoken_and_the_rest_is_not_awaited(
    model: LanguageModel, server: LanguageModelServer, deployment: Deployment
) -> None:
    """A model that goes on and on is cut after its sentences; the question still follows."""
    server.fault = "endless"
    said = await asyncio.wait_for(spoken(model, deployment), 3)
    assert said == [
        "You have thirty days.",
        "It should be unused.",
        "Is there anything else I can help with?",
    ]


@pytest.mark.parametrize("fault", ["stall", "broken_json", "cut", "error", "tool", "empty"])
async def test_a_model_without_an_answer_is_replaced_by_the_article(
    model: LanguageModel, server: LanguageModelServer, deployment: Deployment, fault: str
) -> None:
    """Stalled, broken, refused, asking for a tool or saying nothing: the grounded responder speaks."""
    server.fault = fault
    started = time.monotonic()
    said = " ".join(await spoken(model, deployment))
    assert said == f"{QUOTED} Is there anything else I can help with?"
    assert time.monotonic() - started < 3


async def test_a_model_that_stalls_in_the_middle_leaves_no_half_sentence(
    model: LanguageModel, server: LanguageModelServer, deployment: Deployment
) -> None:
    """Nothing stood when it stalled, so the article is quoted; the whole takes less than the deadlines."""
    server.fault = "stall_later"
    assert " ".join(await spoken(model, deployment)).startswith(QUOTED)


async def test_an_invented_number_is_not_spoken(
    model: LanguageModel, server: LanguageModelServer, deployment: Deployment
) -> None:
    """The guard stops a clause whose number stands in no source; the near miss is spoken."""
    server.words = ["You ", "have ", "ninety ", "days. ", "Bye."]
    assert " ".join(await spoken(model, deployment)).startswith(QUOTED)
    server.words = ["You ", "have ", "thirty ", "days."]
    assert (await spoken(model, deployment))[0] == "You have thirty days."


async def test_closing_the_words_closes_the_request(
    model: LanguageModel, server: LanguageModelServer, deployment: Deployment
) -> None:
    """A barge-in ends the model's work too, and nothing is left running."""
    server.fault = "endless"
    server.words = ["and ", "so ", "on "]
    stream = UtteranceStream("cv_1", (Written(REQUEST),), deployment.phrases, model)
    before = asyncio.all_tasks()
    clauses = stream.clauses()
    assert await anext(clauses)
    await clauses.aclose()  # type: ignore[attr-defined]
    for _ in range(100):
        if server.closed_early:
            break
        await asyncio.sleep(0.01)
    assert server.closed_early
    writers = {task for task in asyncio.all_tasks() - before if "Writing" in repr(task)}
    assert writers == set()


async def test_failures_name_their_reason_and_nothing_of_the_caller(
    model: LanguageModel, server: LanguageModelServer
) -> None:
    """What is logged about a failed model is its kind."""
    server.fault = "error"
    with pytest.raises(GenerationFailed) as caught:
        assert [token async for token in model.stream(REQUEST)]
    assert REQUEST.question not in caught.value.reason
    assert not caught.value.began


def test_a_model_without_a_key_is_refused_with_the_remedy(deployment: Deployment) -> None:
    """The message names the variable to set."""
    for name, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        with pytest.raises(SettingsError, match=variable):
            make_generator(Settings(_env_file=None, llm=f"{name}:x"), deployment.prompts)
