"""What planning a turn may read: articles, tools, the identity gate's look-up. Everything read is noted.

Reads are pure, metered or stateful. A plan made before the caller's words are final runs pure ones
only, metered ones when the end of the turn is likely; a stateful tool runs when its turn is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol

from voicebot.core.conversation import AgentDecision, ToolRead
from voicebot.core.store.one_time_codes import Told
from voicebot.core.store.payments import Payment
from voicebot.core.store.proposals import Standing
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.tool import Outcome, Tool
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.memory.memory import Known
from voicebot.dialogue.memory.recall import Recall
from voicebot.safety.identity import IdentityRecord, VerifiedCustomer


class Allowed(IntEnum):
    """What a plan may read by now; each includes the ones before it."""

    PURE = 0
    """The caller may go on speaking."""
    METERED = 1
    """The end of the turn is likely."""
    ALL = 2
    """The words are final."""


SWITCHED_OFF = "switched off"
"""The error of a tool that was not asked, because an operator has switched it off."""


class NotNow(Exception):  # a verdict
    """The plan is too early for a read it needs: plan again when the words are final."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the articles hold on a question. ``grounding``: 0..1, how well the first passage answers it.

    ``ambiguous``: passages of different articles between which the question does not decide.
    """

    passages: tuple[Passage, ...]
    grounding: float
    ambiguous: tuple[Passage, ...] = ()


class Reads(Protocol):
    """The reading side of a plan. One per plan; nothing it does can be seen by the caller."""

    async def articles(self, question: str, *, intent: str | None, region: str | None = None) -> Found:
        """What the articles hold on a question; those for other regions are left out."""
        ...

    async def remembered(
        self,
        customer: VerifiedCustomer,
        *,
        intent: str,
        told: tuple[str, ...],
        now: datetime,
        layers: tuple[str, ...] | None,
    ) -> tuple[Known, Recall | None]:
        """What may be used of the verified customer, and what to say about the last conversation.

        ``layers``: `Ruling.clearances`, None where no ruling was made.
        """
        ...

    async def identities(self, references: Sequence[str]) -> list[tuple[str, IdentityRecord]]:
        """Records found under the references, as (reference, record).

        Raises:
            NotNow: a check counts a try, so it waits for the final words.
        """
        ...

    async def locked(self, references: Sequence[str]) -> bool:
        """Whether too much was tried, in any conversation: by this caller, or about the first reference."""
        ...

    async def code(self, candidates: Sequence[str], number: str) -> Told:
        """What a code that was told is worth now; it counts and is used up with the commit only.

        Raises:
            NotNow: it waits for the final words.
        """
        ...

    async def code_undelivered(self) -> bool:
        """Whether the text message with the last code did not arrive, as far as is known by now."""
        ...

    async def decided(self, draft_id: str) -> AgentDecision | None:
        """What a person decided on a draft by now, wherever they did; None: nobody has."""
        ...

    async def waits(self, whisper_id: str) -> bool:
        """Whether a whisper is still to be taken up."""
        ...

    @property
    def texting(self) -> bool:
        """Whether text messages can be sent."""
        ...

    async def tool(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> tuple[ToolRead, Outcome | None]:
        """One reading tool called with those of the slots that its input names.

        A tool that is slow comes back without result and error: its result is an input of its own.

        Raises:
            NotNow: it costs something, and the words are not final.
        """
        ...

    async def terms(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer, purpose: str
    ) -> tuple[ToolRead, Prepared | Outcome | None]:
        """What a change would do, with those of the slots that it names; nothing is changed.

        Returns:
            The read, and: the change on its terms, ready to be proposed; or the outcome that says why it
            cannot be made; or None if that cannot be told now.

        Raises:
            NotNow: the words are not final.
            ToolRefused: the intent may not use it, or the slots do not fit: names the fields.
        """
        ...

    def waits_for_commit(self, name: str) -> bool:
        """Whether a tool's reading changes something, so that it runs with the commit."""
        ...

    def at_commit(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> dict[str, Any]:
        """Prepares such a tool; returns the arguments it will be called with."""
        ...

    def outcome(self, name: str, result: Mapping[str, Any]) -> Outcome | None:
        """A tool's result out of plain values; None if it does not fit (any more)."""
        ...

    def task_of(self, read: ToolRead) -> str:
        """The name under which the result of a slow tool will come."""
        ...

    def declared(self, name: str) -> Tool | None:
        """A tool as it is declared; None: there is none of that name."""
        ...

    async def payment(self, payment_id: str) -> Payment | None:
        """A card payment as it stands. None: there is no such payment."""
        ...

    async def proposal(self, proposal_id: str) -> tuple[Standing, Prepared | None] | None:
        """A proposal as it stands, and its call; without one, if its tool is no longer what it was.

        None: there is no such proposal.
        """
        ...
