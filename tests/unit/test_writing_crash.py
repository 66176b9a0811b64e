"""Whatever a writer raises, somebody waits for words: the next writer's, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from generation_kit import PATIENT, shop_phrases

from voicebot.core.conversation import Route, Source
from voicebot.dialogue.flow.speech import Written
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import GenerationRequest, Meter
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.knowledge.passage import Passage

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


class Breaks:
    """Raises what no writer should, at once; or hangs."""

    name = version = "breaks"

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncGenerator[str]:
        if self._hangs:
            await asyncio.Event().wait()
        raise KeyError(request.question)
        yield ""  # pyright: ignore[reportUnreachable]

    async def close(self) -> None:
        """Nothing is open."""


def stream_of(writers: Writers) -> UtteranceStream:
    return UtteranceStream("cv_1", (Written(REQUEST),), shop_phrases(), writers)


async def said(stream: UtteranceStream) -> str:
    async with asyncio.timeout(30):  # fails instead of hanging
        return " ".join([clause.text async for clause in stream.clauses()])


async def test_a_writer_that_crashes_is_followed_by_the_next() -> None:
    stream = stream_of(Writers(GroundedResponder(shop_phrases()), Breaks(), deadlines=PATIENT))
    assert "thirty days" in await said(stream)
    assert stream.report is not None
    assert stream.report.fell_back == ("small:broken",)


async def test_when_all_writers_crash_the_caller_hears_an_honest_line() -> None:
    stream = stream_of(Writers(Breaks(), Breaks(), deadlines=PATIENT))
    assert await said(stream) == shop_phrases().text("know.not")


async def test_whoever_waits_for_words_is_let_go_when_they_are_cancelled_elsewhere() -> None:
    stream = stream_of(Writers(GroundedResponder(shop_phrases()), Breaks(hangs=True), deadlines=PATIENT))
    waiting = asyncio.create_task(said(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await stream.cancel()
    assert await waiting == ""
