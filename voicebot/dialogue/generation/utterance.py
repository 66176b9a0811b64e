"""An utterance: an append-only stream of guarded clauses, owned by one turn.

Known parts are clauses at once. A part that a writer writes is started early (while the turn is still being
planned); see `writing` for what happens to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from types import AsyncGeneratorType
from typing import cast

from voicebot.core.conversation import Clause
from voicebot.dialogue.flow.speech import Part, Said, Written, clauses_of
from voicebot.dialogue.generation.report import WritingReport
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.generation.writing import Writing
from voicebot.dialogue.phrases import Phrases


class UtteranceStream:
    """The clauses of one turn. Iterate once; `cancel` at any time.

    `first` makes the first clause before anybody says it, and does not take it.

    Args:
        conversation_id: for log lines.
        parts: what is said, in order.
        phrases: the deployment's lines.
        writers: write the `Written` parts; a lone generator has the quoted article behind it.
        guard: what the output guard knows of this turn.
    """

    def __init__(
        self,
        conversation_id: str,
        parts: Sequence[Part],
        phrases: Phrases,
        writers: Writers | Generator,
        guard: SpeechGuard = SpeechGuard(),  # noqa: B008  # frozen
    ) -> None:
        self._guard = guard
        self._id = conversation_id
        self._parts = tuple(parts)
        self._phrases = phrases
        self._writers = writers if isinstance(writers, Writers) else Writers.of(writers)
        self._writings: dict[int, Writing] = {}
        self._made = self._make()
        self._first: asyncio.Task[Clause | None] | None = None

    @property
    def reports(self) -> tuple[WritingReport, ...]:
        """How each written part came about, of those that are done or cancelled, in their order."""
        ordered = (
            part.report if isinstance(part, Said) else self._writings[at].report
            for at, part in enumerate(self._parts)
            if isinstance(part, Said) or at in self._writings
        )
        return tuple(report for report in ordered if report is not None)

    @property
    def report(self) -> WritingReport | None:
        """The same of the last one; None when nothing was written, or not yet."""
        return self.reports[-1] if self.reports else None

    def start(self) -> None:
        """Lets the writers begin before the words are wanted. Needs a running event loop."""
        for at, part in enumerate(self._parts):
            if isinstance(part, Written):
                self._writing(at, part)

    async def first(self, *, paid: bool) -> Clause | None:
        """The clause that is said first, as soon as it stands; it stays in the stream.

        Args:
            paid: a model may be asked for it, which costs. Otherwise only words that cost nothing are made.

        Returns:
            None: there are no words, they may not be made yet, or the stream was cancelled.
        """
        if self._first is None:
            opening = next(iter(self._parts), None)
            if isinstance(opening, Written) and not paid and self._writers.costs(opening.request.route):
                return None
            self._first = asyncio.ensure_future(anext(self._made, None))
        await asyncio.wait({self._first})
        if self._first.cancelled() or self._first.exception() is not None:
            return None  # whoever speaks the words is told
        return self._first.result()

    async def cancel(self) -> None:
        """Ends whatever is being written; nothing is left running."""
        for writing in self._writings.values():
            await writing.cancel()
        if self._first is not None and not self._first.done():
            self._first.cancel()
            await asyncio.wait({self._first})
        if not cast("AsyncGeneratorType[Clause]", self._made).ag_running:
            await self._made.aclose()

    async def clauses(self) -> AsyncIterator[Clause]:
        """The clauses in order, each as soon as it stands and may be said."""
        self.start()
        try:
            if self._first is not None:
                await asyncio.wait({self._first})
                first = None if self._first.cancelled() else self._first.result()
                if first is None:
                    return
                yield first
            async for clause in self._made:
                yield clause
        finally:
            await self.cancel()

    async def _make(self) -> AsyncGenerator[Clause]:
        for at, part in enumerate(self._parts):
            if isinstance(part, Written):
                async for clause in self._writing(at, part).clauses():
                    yield clause
            else:
                for clause in clauses_of(part, self._phrases):
                    yield clause

    def _writing(self, at: int, part: Written) -> Writing:
        if at not in self._writings:
            self._writings[at] = Writing(self._id, part.request, self._writers, self._phrases, self._guard)
        return self._writings[at]
