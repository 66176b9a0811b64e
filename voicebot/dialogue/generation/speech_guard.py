"""What the output guard is told of one turn: whose call it is, what the caller said, what must stay
secret. Pure.

Made by the orchestrator for each turn; a `Writing` rules on its clauses with `of`, and words that were
rendered
from records are looked through for other customers' identifiers with `checked`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from voicebot.dialogue.flow.draft import ActOutcome, Draft, Fact
from voicebot.dialogue.flow.speech import Line, Part, Said, text_of
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.generation.spoken import spoken
from voicebot.dialogue.phrases import Phrases
from voicebot.safety.guard_out import Block, ClauseGuard, CustomerIndex, Facts

BLOCKED = "guard.blocked"
"""The fact of a turn whose words were stopped."""


@dataclass(frozen=True)
class SpeechGuard:
    """One turn's guard. ``own``: the verified customer's id. ``caller``: what was said in this call."""

    index: CustomerIndex | None = None
    secret: frozenset[str] = frozenset()
    own: str | None = None
    caller: tuple[str, ...] = field(default=(), repr=False)

    def of(self, request: GenerationRequest) -> ClauseGuard:
        """For the clauses of one answer."""
        caller = (request.question, *(one.caller for one in request.history), *self.caller)
        facts = Facts(
            cited=(
                *request.notes,
                *(text for one in request.passages for text in (one.body, one.source.title)),
            ),
            results=(words for one in request.results for words in _said(one.fields.values())),
            caller=caller,
            states=(one.outcome.replace("_", " ") for one in request.results),
            secret=self.secret,
            own=self.own,
        )
        return ClauseGuard(facts, self.index)

    def checked(self, draft: Draft, phrases: Phrases) -> Draft:
        """The draft with approved lines in place of words that hold somebody else's data.

        A quoted article is the shop's own text; a line without slots is approved as it stands.
        """
        if self.index is None:
            return draft
        deed = draft.deed
        if deed is not None:
            then = deed.then

            def guarded(outcome: ActOutcome) -> Draft:
                return self.checked(then(outcome), phrases)

            draft = replace(draft, deed=replace(deed, then=guarded))
        parts: list[Part] = []
        blocks: list[Block] = []
        for part in draft.parts:
            block = self._stopped(part, phrases)
            if block is None:
                parts.append(part)
                continue
            blocks.append(block)
            parts.append(Line(block.line))
        if not blocks:
            return draft
        what = sorted({f"{block.reason}:{block.what}" for block in blocks})
        return replace(
            draft,
            parts=tuple(parts),
            reasons=(*draft.reasons, *(f"output guard: {one}" for one in what)),
            facts=(*draft.facts, Fact(BLOCKED, {"reasons": what, "by": "records"})),
        )

    def _stopped(self, part: Part, phrases: Phrases) -> Block | None:
        if not isinstance(part, Said | Line) or (isinstance(part, Said) and part.report is not None):
            return None
        if isinstance(part, Line) and not part.slots:
            return None
        guard = ClauseGuard(Facts(caller=self.caller, own=self.own), self.index)
        for clause in split(text_of(part, phrases) or ""):
            ruling = guard.customers(clause)
            if isinstance(ruling, Block):
                return ruling
        return None


def _said(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        try:
            yield spoken(value)
        except TypeError:
            continue
