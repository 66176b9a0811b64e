"""What planning a turn may read: articles, tools, the identity gate's look-up. Everything read is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from voicebot.core.conversation import ToolRead
from voicebot.dialogue.actions.tool import Outcome
from voicebot.dialogue.knowledge.search import Passage
from voicebot.safety.identity import IdentityRecord, VerifiedCustomer


class Reads(Protocol):
    """The reading side of a plan. One per plan; nothing it does can be seen by the caller."""

    async def articles(self, question: str, *, intent: str | None) -> list[Passage]:
        """Passages that may answer, best first."""
        ...

    async def identities(self, references: Sequence[str]) -> list[tuple[str, IdentityRecord]]:
        """Records found under the references, as (reference, record)."""
        ...

    async def tool(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> tuple[ToolRead, Outcome | None]:
        """One reading tool called with those of the slots that its input names."""
        ...
