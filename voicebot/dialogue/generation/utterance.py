"""An utterance: an append-only stream of guarded clauses, owned by one turn.

Known parts are clauses at once. A part that a writer writes is started early (while the turn is still being
planned); see `writing` for what happens to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from voicebot.core.conversation import Clause
from voicebot.dialogue.flow.speech import Part, Said, Written, clauses_of
from voicebot.dialogue.generation.report import WritingReport
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.generation.writing import Writing
from voicebot.dialogue.phrases import Phrases


class UtteranceStream:
    """The clauses of one turn. Iterate once; `cancel` at any time.

    Args:
        conversation_id: for log lines.
        parts: what is said, in order.
        phrases: the deployment's lines.
        writers: write the `Written` parts; a lone generator has the quoted article behind it.
    """

    def __init__(
        self, conversation_id: str, parts: Sequence[Part], phrases: Phrases, writers: Writers | Generator
    ) -> None:
        self._id = conversation_id
        self._parts = tuple(parts)
        self._phrases = phrases
        self._writers = writers if isinstance(writers, Writers) else Writers.of(writers)
        self._writings: dict[int, Writing] = {}

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
            if isinstance(part, Written) and at not in self._writings:
                self._writings[at] = Writing(self._id, part.request, self._writers, self._phrases)

    async def cancel(self) -> None:
        """Ends whatever is being written; nothing is left running."""
        for writing in self._writings.values():
            await writing.cancel()

    async def clauses(self) -> AsyncIterator[Clause]:
        """The clauses in order, each as soon as it stands and may be said."""
        self.start()
        try:
            for at, part in enumerate(self._parts):
                if isinstance(part, Written):
                    async for clause in self._writings[at].clauses():
                        yield clause
                else:
                    for clause in clauses_of(part, self._phrases):
                        yield clause
        finally:
            await self.cancel()
