"""What the dialogue gives to whoever stores handoffs. The room `handoff` implements it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from voicebot.core.conversation import Decision, FiredTrigger
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.similar import Case
from voicebot.dialogue.state import ConversationState


@dataclass(frozen=True, slots=True)
class HandoverRequest:
    """A turn that ends with a person, seen at its commit; or a call that failed between turns.

    ``turns`` are the stored turns before it, as `Conversations.turns` gives them; ``caller`` the
    caller's part of this one, ``said`` the bot's (None while it is still being written).
    ``decision`` is None if no turn asked for the person: something failed. ``owner``: the team of
    specialists it goes to, None for whoever is free; ``form``: what is known for them, by field.
    ``similar``: how conversations of this shape were resolved. ``fired``: the trigger with its evidence.
    """

    snapshot: Snapshot
    turn: int
    state: ConversationState
    decision: Decision | None
    trigger: str
    urgency: str
    caller: str
    said: str | None
    turns: tuple[dict[str, Any], ...]
    policy_version: str
    owner: str | None = None
    form: dict[str, Any] = field(default_factory=dict[str, Any])
    similar: tuple[Case, ...] = ()
    fired: FiredTrigger | None = None


class HandoverDesk(Protocol):
    """Stores what a person needs to take over, in the turn's own transaction."""

    async def store(self, tx: Transaction, request: HandoverRequest) -> str:
        """Stores the handoff; twice for one turn is once.

        Returns:
            Its id.
        """
        ...
