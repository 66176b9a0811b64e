"""Tells a turn that was made: as events, and as the reply that ends them."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from voicebot.channels.chat.reply import (
    ChatDecision,
    ChatEvent,
    ChatHandoff,
    ChatReply,
    ClauseWritten,
    DecisionMade,
    TurnDone,
    TurnStarted,
)
from voicebot.core.conversation import Decision
from voicebot.core.store import audit, handoffs
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.handoff import payload as payloads

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """What became of one input: its number, its words, the handoff it ended with."""

    turn: int
    decision: Decision
    words: str
    handoff: str | None


class Telling:
    """One per node."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    def told(self, conversation_id: str, turn: ChatTurn) -> list[ChatEvent]:
        """The events of a turn that was made before, but for the last."""
        at, number = conversation_id, turn.turn
        made: list[ChatEvent] = [
            TurnStarted(conversation_id=at, turn=number),
            DecisionMade(conversation_id=at, turn=number, decision=ChatDecision.of(turn.decision)),
        ]
        if turn.words:
            made.append(ClauseWritten(conversation_id=at, turn=number, text=turn.words))
        return made

    async def done(self, conversation_id: str, turn: ChatTurn, replies: list[str]) -> TurnDone:
        """The event that ends a message: its whole reply."""
        reply = ChatReply(
            conversation_id=conversation_id,
            turn=turn.turn,
            replies=tuple(replies),
            decision=ChatDecision.of(turn.decision),
            handoff=None if turn.handoff is None else await self._handoff(conversation_id, turn),
        )
        return TurnDone(conversation_id=conversation_id, turn=turn.turn, reply=reply)

    async def _handoff(self, conversation_id: str, turn: ChatTurn) -> ChatHandoff | None:
        """What the person was told, in short; None when it cannot be read just now (the turn stands)."""
        assert turn.handoff is not None
        try:
            async with self._database.transaction() as tx:
                row = await handoffs.get(tx, self._keys, turn.handoff)
                await audit.access(
                    tx,
                    actor="chat",
                    resource="handoff",
                    fields=["summary"],
                    purpose="reply",
                    conversation_id=conversation_id,
                    turn=turn.turn,
                )
        except DatabaseDown:
            log.error("chat.handoff_not_read", conversation=conversation_id)
            return None
        return ChatHandoff(
            id=row["id"],
            status=row["status"],
            trigger=row["trigger"],
            urgency=row["urgency"],
            summary=payloads.read(row["payload"], row["created_at"]).summary.text,
        )
