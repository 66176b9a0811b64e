"""An utterance: an append-only stream of guarded clauses, owned by one turn.

Known parts are clauses at once. A part that a model writes is started early (while the turn is
still being planned), guarded clause by clause, and cut after its sentences; when the model fails
before its first words, the grounded responder answers instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import structlog

from voicebot.core.conversation import Clause
from voicebot.dialogue.flow.speech import Part, Written, clauses_of
from voicebot.dialogue.generation.clauses import ClauseSplitter
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import GenerationFailed, GenerationRequest, Generator
from voicebot.dialogue.phrases import Phrases
from voicebot.safety.output_guard import guard_clause

log = structlog.get_logger(__name__)

_QUEUE = 64
_SENTENCE_ENDS = (".", "!", "?")


class UtteranceStream:
    """The clauses of one turn. Iterate once; `cancel` at any time.

    Args:
        conversation_id: for log lines.
        parts: what is said, in order.
        phrases: the deployment's lines.
        generator: writes the `Written` parts.
    """

    def __init__(
        self, conversation_id: str, parts: Sequence[Part], phrases: Phrases, generator: Generator
    ) -> None:
        self._id = conversation_id
        self._parts = tuple(parts)
        self._phrases = phrases
        self._generator = generator
        self._writers: dict[int, _Writer] = {}

    def start(self) -> None:
        """Lets the model begin before the words are wanted. Needs a running event loop."""
        for at, part in enumerate(self._parts):
            if isinstance(part, Written) and at not in self._writers:
                self._writers[at] = _Writer(self._id, part.request, self._generator)

    async def cancel(self) -> None:
        """Ends whatever is being written; nothing is left running."""
        for writer in self._writers.values():
            await writer.cancel()

    async def clauses(self) -> AsyncIterator[Clause]:
        """The clauses in order, each as soon as it stands and may be said."""
        self.start()
        try:
            for at, part in enumerate(self._parts):
                if isinstance(part, Written):
                    async for clause in self._writers[at].clauses():
                        yield clause
                else:
                    for clause in clauses_of(part, self._phrases):
                        yield clause
        finally:
            await self.cancel()


class _Writer:
    """One written part: a task that fills a bounded queue, so that a slow speaker slows the model."""

    def __init__(self, conversation_id: str, request: GenerationRequest, generator: Generator) -> None:
        self._id = conversation_id
        self._request = request
        self._queue: asyncio.Queue[Clause | None] = asyncio.Queue(_QUEUE)
        self._task = asyncio.create_task(self._run(generator))

    async def clauses(self) -> AsyncIterator[Clause]:
        while (clause := await self._queue.get()) is not None:
            yield clause

    async def cancel(self) -> None:
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, generator: Generator) -> None:
        said = 0
        try:
            async with aclosing(self._guarded(generator)) as clauses:
                async for clause in clauses:
                    await self._queue.put(clause)
                    said += 1
        except GenerationFailed as error:
            log.warning(
                "generation.failed",
                conversation=self._id,
                turn=self._request.turn,
                generator=generator.name,
                reason=error.reason,
                began=said > 0,
            )
        if said == 0:
            async with aclosing(self._guarded(GroundedResponder())) as clauses:
                async for clause in clauses:
                    await self._queue.put(clause)
        await self._queue.put(None)

    async def _guarded(self, generator: Generator) -> AsyncGenerator[Clause]:
        """Clauses that may be said, at most ``sentences`` of them ending a sentence."""
        backed = [*(passage.body for passage in self._request.passages), self._request.question]
        ended = 0
        splitter = ClauseSplitter()
        stream = generator.stream(self._request)
        try:
            async for token in stream:
                for text in splitter.feed(token):
                    if not self._allowed(text, backed, generator):
                        return
                    yield Clause(text=text)
                    ended += _ended(text)
                    if ended >= self._request.sentences:
                        return
            for text in splitter.finish():
                # A rest without its full stop was cut off on the way here.
                if _ended(text) and self._allowed(text, backed, generator):
                    yield Clause(text=text)
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()  # pyright: ignore  # async generators have it, other iterators need not

    def _allowed(self, text: str, backed: Sequence[str], generator: Generator) -> bool:
        verdict = guard_clause(text, backed)
        if not verdict.allowed:
            log.warning(
                "guard.clause_blocked",
                conversation=self._id,
                turn=self._request.turn,
                generator=generator.name,
                reason=verdict.reason,
            )
        return verdict.allowed


def _ended(text: str) -> bool:
    """Whether a clause ends a sentence."""
    return text.rstrip("\"')").endswith(_SENTENCE_ENDS)
